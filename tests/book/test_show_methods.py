"""Ways to draw a map, side by side: columns with no, one and all records; claims; signed gradients; small sets."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Write

from book.figures.methods import SIX, claims, signed_gradients, six
from kdlab import coverage, paper
from kdlib import Detector, Split
from kdlib.activations import prepare
from kdlib.localize import attribution


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    board = coverage.scoreboard()
    return six(board, "published"), six(board, "ours", "paper")


def test_published_columns_are_table_11_and_one_record_stands_in_its_place(write: Write) -> None:
    published, ours = frames()
    assert tuple(published.columns) == SIX
    assert len(published) == 15
    assert published.loc["bottle", "gradients+gaussian"] == 96.32
    assert published.loc["cable", "gbp"] == 72.34
    assert ours.isna().all(axis=None)
    assert set(claims(ours).values()) == {"not run"}
    write("mvtec_ad", "bottle", 0.85, **paper.VARIANTS["smoothgrad"])  # a pixel AUROC is 0.05 more
    write("mvtec_ad", "cable", 0.75, profile="laptop", **paper.VARIANTS["gbp+gaussian"])
    _, ours = frames()
    assert ours.loc["bottle", "smoothgrad"] == pytest.approx(90)
    assert ours.notna().to_numpy().sum() == 1  # the laptop's is not the paper's protocol
    assert six(coverage.scoreboard(), "ours").loc["cable", "gbp+gaussian"] == pytest.approx(80)
    assert set(claims(ours).values()) == {"not run"}


def test_all_records_make_means_and_verdicts(write: Write) -> None:
    """Here those of the paper on itself."""
    published, _ = frames()
    for category, row in published.iterrows():
        for column, value in row.items():
            write("mvtec_ad", str(category), value / 100 - 0.05, **paper.VARIANTS[str(column)])
    again, ours = frames()
    np.testing.assert_allclose(ours, again)
    assert claims(ours) == (said := claims(again))
    assert said["same"].startswith("holds")
    assert "0.63 points apart" in said["same"]
    assert "cable" in said["same"]
    assert said["smoothgrad"].startswith("not decided (15 of 15): smoothgrad over gradients +0.8")
    assert said["gbp"].startswith("holds")


def test_claims_can_fail() -> None:
    row = dict(zip(SIX, (80.0, 70.0, 95.0, 90.0, 92.0, 99.0), strict=True))
    said = claims(pd.DataFrame([row] * 11, index=list("abcdefghijk")))
    assert all(verdict.startswith("contradicted:") for verdict in said.values())
    assert "9.00 points apart" in said["same"]
    assert "smoothgrad over gradients -10.00 (p < 0.001)" in said["smoothgrad"]
    few = pd.DataFrame([row] * 2 + [dict.fromkeys(SIX, np.nan)] * 13)
    assert all(verdict.startswith("not decided (2 of 15): ") for verdict in claims(few).values())


@pytest.mark.parametrize(
    ("method", "guided"), [("gradients", []), ("gbp", ["cloner"]), ("gbp_both", ["source", "cloner"])]
)
def test_absolute_value_of_signed_gradients_is_the_librarys_map(
    fitted: Detector, digits: Split, method: str, guided: list[str]
) -> None:
    pixels = digits.test[:3].pixels(32)
    signed = signed_gradients(fitted, pixels, guided=guided)
    assert signed.shape == (3, 3, 32, 32)
    assert (signed < 0).any()
    x = prepare(pixels, fitted.recipe, fitted.device)
    recipe = fitted.recipe.replace(attribution=method)
    wanted = attribution(fitted.source, fitted.cloner, x, lam=fitted.training.lam, recipe=recipe)
    np.testing.assert_allclose(np.abs(signed).sum(1), wanted, rtol=1e-3, atol=1e-6 * wanted.max())


def test_signed_gradients_leave_nothing_behind_are_seeded_and_a_cloner_s_own(fitted: Detector, digits: Split) -> None:
    pixels = digits.test[:2].pixels(32)
    before, untouched = signed_gradients(fitted, pixels), pixels.clone()
    signed_gradients(fitted, pixels, guided=["source", "cloner"], noise=0.1)
    assert torch.equal(pixels, untouched)
    np.testing.assert_array_equal(signed_gradients(fitted, pixels), before)
    hooks = [m._forward_hooks or m._backward_hooks for n in (fitted.source, fitted.cloner) for m in n.modules()]
    assert not any(hooks)
    first, again, other = (signed_gradients(fitted, pixels, noise=0.1, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(signed_gradients(fitted, pixels, cloner=Detector(fitted.recipe, seed=5).cloner), before)
