"""Studies in small: constant answers, and how far a cloner is from one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kdlab.cost import passes
from kdlab.studies import small_runs
from kdlab.studies.sentences import COLUMNS
from kdlib import Detector, Split
from kdlib.activations import prepare
from kdlib.losses import discrepancy
from kdlib.networks import CLONERS, CRITICAL_POINTS, Cloner, parameter_count


def test_activations_are_the_network_s(fitted: Detector, digits: Split) -> None:
    x = prepare(digits.test.pixels(fitted.recipe.size), fitted.recipe, fitted.device)
    known, found = small_runs.activations(fitted, digits.test)
    again = small_runs.activations(fitted, digits.test, known)
    for network, answers in ((fitted.source, (known, again[0])), (fitted.cloner, (found, again[1]))):
        for point, expected in network(x).items():
            for answer in answers:
                torch.testing.assert_close(answer[point], expected.detach(), rtol=1e-4, atol=1e-5)


@given(arrays(np.float32, (4, 2, 3, 3), elements=st.floats(-8, 8, width=16)))
def test_the_share_of_the_mean_and_that_of_the_variance_make_one(values: np.ndarray) -> None:
    power = (values.astype(float) ** 2).mean()
    if power > 1e-3:
        share = small_runs.constant_share({"pool2": torch.from_numpy(values)})["pool2"]
        assert share == pytest.approx(1 - values.astype(float).var(axis=0).mean() / power, abs=1e-4)


def test_a_constant_is_the_mean_of_images_or_of_images_and_positions() -> None:
    known = {"pool2": torch.rand(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))}
    fixed, channels = (small_runs.constant(known, 4, by_channel=each)["pool2"] for each in (False, True))
    assert fixed.shape == channels.shape == (4, 3, 2, 2)
    for image in range(4):
        np.testing.assert_allclose(fixed[image], known["pool2"].numpy().mean(axis=0), rtol=1e-5)
        for channel in range(3):
            expected = known["pool2"][:, channel].numpy().mean()
            np.testing.assert_allclose(channels[image, channel], np.full((2, 2), expected), rtol=1e-5)


@pytest.mark.slow
def test_cloners_beside_constants() -> None:
    settings = ["BatchNorm shift", "no bias at all"]
    points, areas = small_runs.constants([("digits", "0")], settings, seed=0, epochs=2)
    networks = ["source", *(name for label in settings for name in (f"{label}, untrained", label))]
    assert points["network"].drop_duplicates().tolist() == networks
    assert {tuple(part["point"]) for _, part in points.groupby("network")} == {CRITICAL_POINTS}
    assert points["share"].between(0, 1).all()
    assert areas["network"].tolist() == ["constant", "constant by channel", *settings]
    assert areas["black"].isna().tolist() == [True, True, False, False]
    detector, data = small_runs.fitted("bias", settings[1], "digits", "0", seed=0, epochs=2)
    run = small_runs.studied("bias", [("digits", "0")], settings[1:], epochs=2)
    assert areas["auroc"].iloc[-1] == pytest.approx(run["auroc"].item(), abs=0.1)
    assert not detector.recipe.norm_shift
    assert data.test.labels is not None
    with torch.no_grad():  # a black image, by hand: zero where BatchNorm's mean is taken out as well
        for module in detector.cloner.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.zero_()
    _, found = small_runs.activations(detector, data.test)
    assert small_runs.black(detector, found) == 0
    assert areas["black"].iloc[-1] > 0


def test_costs_are_those_of_the_convolutions() -> None:
    costs = small_runs.costs(size=64)
    assert list(costs.index) == list(CLONERS)
    assert costs.loc["tiny", "gmac"] == passes(64, "tiny")["cloner"] / 1e9
    assert costs.loc["tiny", "parameters"] == parameter_count(Cloner("tiny"))


def test_terms_add_up_to_the_score(fitted: Detector, digits: Split) -> None:
    value, direction = small_runs.terms(fitted, digits.test)
    np.testing.assert_allclose(value + fitted.training.lam * direction, fitted.score(digits.test), rtol=1e-4)
    one = small_runs.terms(fitted, digits.test, ["pool3"])
    x = prepare(digits.test.pixels(fitted.recipe.size), fitted.recipe, fitted.device)
    expected = discrepancy(fitted.source(x), fitted.cloner(x), lam=2.0, points=["pool3"])
    np.testing.assert_allclose(one[0] + 2 * one[1], expected.detach(), rtol=1e-4)


@pytest.mark.slow
def test_a_study_live() -> None:
    run = small_runs.studied("loss_terms", [("digits", "0")], ["value", "direction"], seeds=[0, 1], epochs=2)
    assert run["setting"].tolist() == ["value", "direction"] * 2
    assert run["lam"].tolist() == [0, np.inf] * 2
    assert run["auroc"].between(0, 100).all()
    assert (run["bad"] > run["good"])[run["setting"] == "direction"].all()
    assert list(run.columns[: len(COLUMNS)]) == COLUMNS
    detector, data = small_runs.fitted("loss_terms", "total", "textures", "brick", seed=0, epochs=1)
    assert (detector.recipe.size, len(data.train), len(data.test)) == (64, 80, 50)
