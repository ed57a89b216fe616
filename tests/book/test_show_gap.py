"""Maps: what settings are worth, from records; the gradient term by term."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, grey_opening
from sklearn.metrics import roc_auc_score
from torch import Tensor

from book.figures import gap as show_gap
from kdlab.experiments.experiment import Experiment
from kdlab.studies import sentences
from kdlab.studies.catalogue import STUDIES
from kdlab.terms import Terms
from kdlib import Detector, Split
from kdlib.activations import prepare
from kdlib.networks import CRITICAL_POINTS

pytestmark = pytest.mark.usefixtures("plots")

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
KEYS = ["dataset", "normal", "seed", "profile", "setting", "auroc"]


def record(normal: str, auroc: float, *, dataset: str = "mvtec_ad", **changes: Any) -> dict[str, Any]:
    """The record of an experiment that was never run."""
    experiment = Experiment.of(dataset, normal, **changes)
    metrics: dict[str, Any] = {"image_auroc": None, "pixel_auroc": {"all": auroc, "defective": 0.5}, "evaluations": []}
    return {"experiment": experiment.to_dict(), "metrics": metrics}


def gained() -> pd.DataFrame:
    found = [
        record("bottle", 0.90),
        record("bottle", 0.91, seed=1),
        record("bottle", 0.94, map_lam=0.0),
        record("bottle", 0.93, map_lam=0.0, seed=1),
        record("capsule", 0.96),
        record("capsule", 0.95, map_lam=0.0),
        record("capsule", 0.5, normalize=True, seed=3),  # no base of that seed
        record("brick", 0.80, dataset="textures", profile="laptop"),
        record("brick", 0.85, dataset="textures", profile="laptop", sigma=8.0),
        record("bottle", 0.2, profile="smoke"),
    ]
    return show_gap.gains(sentences.frame("localization_gap", found))


def test_gains_are_over_the_same_data_seed_and_profile() -> None:
    found = {(r.normal, r.seed, r.setting): r.gain for r in gained().itertuples()}
    assert found == pytest.approx(
        {
            ("bottle", 0, "map of the value loss"): 4,
            ("bottle", 1, "map of the value loss"): 2,
            ("capsule", 0, "map of the value loss"): -1,
            ("brick", 0, "sigma = 8"): 5,
        }
    )
    rows = show_gap.worth(gained())
    assert rows["setting"].tolist() == ["sigma = 8", "map of the value loss"]
    assert rows["gain"].tolist() == pytest.approx([5, 1])  # seeds before categories: (3 - 1) / 2
    assert rows["categories"].tolist() == [1, 2]


def test_figure_has_a_mark_for_each_record() -> None:
    axis = show_gap.factors(gained()).axes[0]
    drawn = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in axis.lines[1:]}
    assert drawn["bottle, paper"] == pytest.approx([4, 2])
    assert drawn["brick, laptop"] == pytest.approx([5])
    assert drawn["mean"] == pytest.approx([5, 1])
    hollow = {str(line.get_label()): line.get_markerfacecolor() == "white" for line in axis.lines[1:-1]}
    assert hollow == {"bottle, paper": False, "capsule, paper": False, "brick, laptop": True}
    ticks = dict(zip((t.get_text() for t in axis.get_yticklabels()), axis.get_yticks(), strict=True))
    assert set(ticks) == {"sigma = 8", "map of the value loss"}
    (line,) = (line for line in axis.lines if line.get_label() == "brick, laptop")
    assert np.asarray(line.get_ydata()).tolist() == [ticks["sigma = 8"]]


def test_nothing_is_there() -> None:
    assert show_gap.worth(show_gap.gains(sentences.frame("localization_gap", []))).empty


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_gains_add_up(aurocs: list[float]) -> None:
    """From the first to the last setting it is the same way, whichever is the base between."""
    labels = list(STUDIES["localization_gap"].settings)[: len(aurocs)]
    rows = [("mvtec_ad", "bottle", 0, "paper", s, a) for s, a in zip(labels, aurocs, strict=True)]
    frame = pd.DataFrame(rows, columns=KEYS)
    first, second = (show_gap.gains(frame, base).set_index("setting")["gain"] for base in labels[:2])
    np.testing.assert_allclose(first[labels[2:]], second[labels[2:]] + first[labels[1]], atol=1e-9)


@pytest.fixture(scope="module")
def x(fitted: Detector, digits: Split) -> Tensor:
    return prepare(digits.test[:4].pixels(32), fitted.recipe, fitted.device)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return np.random.default_rng(0).random((4, 32, 32)) < 0.1


def literal_gradients(detector: Detector, x: Tensor) -> dict[tuple[str, str], np.ndarray]:
    """d of Eq. 1 and 3 at each critical point / d x, each by itself, written out."""
    found = {}
    for point in CRITICAL_POINTS:
        for term in ("value", "direction"):
            image = x.clone().requires_grad_()
            s, c = detector.source(image)[point], detector.cloner(image)[point]
            if term == "value":
                total = ((s - c) ** 2).mean((1, 2, 3)).sum()
            else:
                total = (1 - torch.cosine_similarity(s.flatten(1), c.flatten(1))).sum()
            (gradient,) = torch.autograd.grad(total, image)
            found[point, term] = gradient.numpy()
    return found


def literal_map(gradient: np.ndarray) -> np.ndarray:
    rough = np.abs(gradient).sum(1)
    return np.stack([grey_opening(gaussian_filter(one, 4), footprint=CROSS) for one in rough])


def test_signed_gradients_of_each_term(fitted: Detector, x: Tensor) -> None:
    found, expected = Terms(fitted, x).signed_gradients(), literal_gradients(fitted, x)
    for i, point in enumerate(CRITICAL_POINTS):
        for j, term in enumerate(("value", "direction")):
            wanted = expected[point, term]
            np.testing.assert_allclose(found[i, j], wanted, rtol=1e-2, atol=1e-3 * np.abs(wanted).max())


def test_shares_are_those_written_out(fitted: Detector, x: Tensor, masks: np.ndarray) -> None:
    lam = 2.5
    found = show_gap.shares(Terms(fitted, x), masks, lam)
    terms = [g * (lam if t == "direction" else 1) for (_, t), g in literal_gradients(fitted, x).items()]
    norms = np.array([[np.sqrt((image.astype(float) ** 2).sum()) for image in g] for g in terms])
    share = np.mean([[n / column.sum() for n in column] for column in norms.T], axis=0)
    np.testing.assert_allclose(found.share.ravel(), share, rtol=1e-3)
    assert found.share.sum() == pytest.approx(1)
    alone = [100 * roc_auc_score(masks.ravel(), literal_map(g).ravel()) for g in terms]
    np.testing.assert_allclose(found.alone.ravel(), alone, atol=0.1)


def test_pictures_of_terms(fitted: Detector, x: Tensor, masks: np.ndarray) -> None:
    terms = Terms(fitted, x)
    found = show_gap.shares(terms, masks, 2.0)
    axes = show_gap.taken_apart({"a": found, "b": found}, terms.points).axes
    assert [axis.get_title() for axis in axes] == ["a", "b", "", ""]
    for axis, values in ((axes[0], found.alone), (axes[3], 100 * found.share)):
        heights = [bar.get_height() for bars in axis.containers for bar in bars]
        np.testing.assert_allclose(heights, values.T.ravel())
