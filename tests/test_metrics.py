"""Exact metrics, by hand and by brute force."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from kdlib.metrics import aupro, auroc


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0),
        ([0, 0, 1, 1], [4, 3, 2, 1], 0.0),
        ([0, 1, 0, 1], [1, 2, 3, 4], 0.75),
        ([0, 1], [5, 5], 0.5),
        ([0, 0, 1], [1, 2, 2], 0.75),  # half for the tie
        ([0, 0], [1, 2], None),
        ([1, 1], [1, 2], None),
    ],
)
def test_auroc_by_hand(labels: list[int], scores: list[float], expected: float | None) -> None:
    found = auroc(np.array(labels), np.array(scores))
    assert found == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=1))
def test_auroc_is_the_probability_of_the_right_order(pairs: list[tuple[int, int]]) -> None:
    normal, anomalous = ([s for label, s in pairs if label == wanted] for wanted in (0, 1))
    found = auroc(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    if not normal or not anomalous:
        assert found is None
    else:
        wins = sum((a > n) + (a == n) / 2 for a in anomalous for n in normal)
        assert found == pytest.approx(wins / len(normal) / len(anomalous))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_must_be_finite(value: float) -> None:
    with pytest.raises(ValueError, match="1 of 3 scores are not finite"):
        auroc(np.array([0, 1, 1]), np.array([1, value, 2]))
    with pytest.raises(ValueError, match="1 of 9 scores are not finite"):
        aupro(np.eye(3, dtype=bool)[None], np.where(np.eye(3)[::-1] * np.eye(3), value, 0)[None])


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"one shape; found \(3,\) and \(2,\)"):
        auroc(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="one shape"):
        auroc(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="one shape"):
        aupro(np.zeros((1, 3, 3), bool), np.zeros((1, 3, 4)))


def brute_force(masks: np.ndarray, maps: np.ndarray, limit: float) -> float:
    """The definition: threshold by threshold, region by region."""
    regions = []
    for number, mask in enumerate(masks):
        components, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(number, components == c) for c in range(1, count + 1)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        marked = maps >= threshold
        overlap = np.mean([marked[number][region].mean() for number, region in regions])
        points.append((marked[~masks].mean(), float(overlap)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit or x0 == x1:
            continue
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def test_aupro_by_hand() -> None:
    """Ten defect-free pixels, regions of 1 and 4 pixels: two corners that touch are one region."""
    mask = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0]], bool)[None]
    assert ndimage.label(mask[0], np.ones((3, 3)))[1] == 2
    maps = np.zeros(mask.shape)
    maps[0, 0, 0] = 3  # first the small region: overlap 1/2
    maps[0, 0, 1:4] = 2  # then 3 of 15 defect-free pixels: false-positive rate 1/5
    maps[0, 1, 3] = 1  # then a quarter of the large one: overlap 5/8; at last all the rest: (1, 1)
    at_limit = 5 / 8 + (1 - 5 / 8) * (0.3 - 0.2) / (1 - 0.2)
    expected = (0.2 * 1 / 2 + 0.1 * (5 / 8 + at_limit) / 2) / 0.3
    assert aupro(mask, maps) == pytest.approx(expected)
    assert brute_force(mask, maps, 0.3) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.floats(0.02, 0.5), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_against_brute_force(seed: int, levels: int, density: float, limit: float) -> None:
    random = np.random.default_rng(seed)
    masks = random.random((2, 6, 7)) < density
    maps = random.integers(0, levels, masks.shape) + masks * random.integers(0, 3)  # many ties
    if not masks.any():
        assert aupro(masks, maps, limit=limit) is None
    else:
        assert aupro(masks, maps, limit=limit) == pytest.approx(brute_force(masks, maps, limit))


def test_aupro_of_perfect_and_of_constant_maps() -> None:
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 2:5, 2:5] = masks[1, 7, 7] = True
    assert aupro(masks, masks.astype(float)) == pytest.approx(1)
    assert aupro(masks, np.zeros(masks.shape)) == pytest.approx(0.15)  # one step from (0, 0) to (1, 1)


def test_aupro_does_not_see_what_is_found_at_the_limit() -> None:
    """Three of ten defect-free pixels come first: at a rate of 0.3 exactly the overlap jumps from 0 to 1."""
    mask = np.array([[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]], bool)[None]
    assert aupro(mask, -np.arange(11.0).reshape(mask.shape)) == 0


def test_aupro_takes_masks_of_integers() -> None:
    masks = np.zeros((1, 6, 6), bool)
    masks[0, 1:3, 2:5] = True
    maps = np.random.default_rng(0).random(masks.shape)
    assert aupro(masks.astype(np.uint8), maps) == aupro(masks, maps)


def test_aupro_without_regions_or_without_anything_else() -> None:
    maps = np.arange(9.0).reshape(1, 3, 3)
    assert aupro(np.zeros((1, 3, 3), bool), maps) is None
    assert aupro(np.ones((1, 3, 3), bool), maps) is None
