"""Exact metrics, by hand and by scikit-learn."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Both, categories
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label
from sklearn.metrics import auc, f1_score, jaccard_score, roc_auc_score, roc_curve

from kdlab.localization import f1_and_iou, pixel_threshold
from kdlib.metrics import aupro, auroc


@given(st.lists(st.tuples(st.sampled_from([0, 0, 1, 0.5, 255, 256]), st.integers(-5, 5))))
def test_auroc_is_the_probability_of_the_right_order(pairs: list[tuple[float, int]]) -> None:
    """Whatever is not 0 is anomalous, as in the files of masks."""
    normal, anomalous = ([s for label, s in pairs if (label > 0) == wanted] for wanted in (False, True))
    found = auroc(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    if not normal or not anomalous:
        assert found is None
    else:
        wins = sum((a > n) + (a == n) / 2 for a in anomalous for n in normal)
        assert found == pytest.approx(wins / len(normal) / len(anomalous))


@given(categories(), st.integers(-1, 9))
def test_auroc_f1_and_iou_against_scikit_learn(category: Both, threshold: int) -> None:
    masks, maps = category
    assert auroc(masks, maps) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))
    marked = maps > threshold
    f1, iou = f1_and_iou(masks, maps, threshold)
    assert f1 == pytest.approx(f1_score(masks.ravel(), marked.ravel()))
    assert iou == pytest.approx(jaccard_score(masks.ravel(), marked.ravel()))


def test_f1_and_iou_by_hand() -> None:
    """Over both images: two pixels found, one missed, three wrong; what lies at the threshold is not marked."""
    masks = np.array([[[1, 1, 1, 0]], [[0, 0, 0, 0]]])
    maps = np.array([[[3, 3, 2, 3]], [[3, 3, 2, 0]]])
    assert f1_and_iou(masks, maps, 2) == (4 / 8, 2 / 6)
    assert f1_and_iou(masks * 255, maps, 3) == (0, 0)
    assert f1_and_iou(0 * masks, maps, 2) == (None, None)
    assert f1_and_iou(0 * masks + 1, maps, 0.5) == (14 / 15, 7 / 8)  # no normal pixel is needed


@given(categories(), st.randoms())
def test_what_changes_no_metric(category: Both, random: random.Random) -> None:
    """Strictly rising functions of the scores; the order of the images."""
    masks, maps = category
    order = [0, 1, 2]
    random.shuffle(order)
    found, area = auroc(masks, maps), aupro(masks, maps)
    for m, a in ((masks, np.exp(maps / 4)), (masks, 3 * maps - 100), (masks[order], maps[order])):
        assert auroc(m, a) == found
        assert aupro(m, a) == pytest.approx(area)
    threshold = float(np.median(maps))
    assert f1_and_iou(masks[order], maps[order], threshold) == f1_and_iou(masks, maps, threshold)
    assert pixel_threshold(maps[order], 0.9) == pixel_threshold(maps, 0.9)


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "auroc": auroc,
    "aupro": aupro,
    "f1_and_iou": lambda masks, maps: f1_and_iou(masks, maps, 0),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_bad_scores_and_labels(metric: Callable[[np.ndarray, np.ndarray], object]) -> None:
    masks = np.eye(3)[None]
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="1 of 9 scores are not finite"):
            metric(masks, np.where(np.arange(9).reshape(1, 3, 3) == 4, value, 0))
    for value in (np.nan, -1):
        with pytest.raises(ValueError, match="a label is negative or NaN"):
            metric(masks * value, masks)
    with pytest.raises(ValueError, match=r"one shape.*; found \(1, 3, 3\) and \(1, 3, 4\)"):
        metric(masks, np.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match=r"\(N, H, W\); found \(3, 3\)"):
        aupro(masks[0], masks[0])
    for limit in (0, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"limit is .*, expected above 0, up to 1"):
            aupro(masks, masks, limit=limit)
    with pytest.raises(ValueError, match="threshold is nan, expected a finite number"):
        f1_and_iou(masks, masks, np.nan)
    masks.flags.writeable = False  # inputs stay as they are
    metric(masks, masks)
    pixel_threshold(masks)


def test_pixel_threshold_by_hand() -> None:
    maps = np.arange(12.0).reshape(3, 2, 2)
    assert [pixel_threshold(maps, q) for q in (0, 0.5, 0.99, 1)] == [0, 6, 11, 11]
    assert pixel_threshold(np.arange(6_553_601, dtype=np.float32).reshape(1, 1, -1), 0.99) == 6_488_064  # exact


@given(st.integers(1, 300), st.integers(1, 50), st.floats(0, 1), st.sampled_from([np.float16, np.float32, np.float64]))
def test_pixel_threshold_controls_what_it_says(images: int, levels: int, quantile: float, kind: type) -> None:
    maps: np.ndarray = np.random.default_rng(images).integers(0, levels, (images, 2, 2)).astype(kind)
    assert np.mean(maps <= pixel_threshold(maps, quantile)) >= quantile


def test_pixel_threshold_of_bad_input() -> None:
    maps = np.zeros((2, 3, 3))
    for bad in (maps[0], maps[:0]):
        with pytest.raises(ValueError, match=r"expected maps of normal images, \(N, H, W\)"):
            pixel_threshold(bad)
    with pytest.raises(ValueError, match="18 of 18 scores are not finite"):
        pixel_threshold(maps + np.nan)
    for quantile in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"quantile is .*, expected 0 to 1"):
            pixel_threshold(maps, quantile)


def by_scikit_learn(masks: np.ndarray, maps: np.ndarray, limit: float) -> float:
    """Its ROC curve where each region, however large, weighs one: the overlap of the mean region."""
    weights = np.ones(masks.shape)
    for mask, weight in zip(masks, weights, strict=True):
        regions = label(mask, connectivity=2)
        weight[mask] /= np.bincount(regions.ravel())[regions[mask]]
    rate, overlap, _ = roc_curve(masks.ravel(), maps.ravel(), sample_weight=weights.ravel(), drop_intermediate=False)
    inside, at_limit = rate <= limit, np.interp(limit, rate, overlap)
    return float(auc([*rate[inside], limit], [*overlap[inside], at_limit]) / limit)


def test_aupro_by_hand() -> None:
    """Ten defect-free pixels, regions of 1 and 4 pixels: two corners that touch are one region."""
    mask = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0]], bool)[None]
    maps = np.zeros(mask.shape)
    maps[0, 0, 0] = 3  # first the small region: overlap 1/2
    maps[0, 0, 1:4] = 2  # then 3 of 15 defect-free pixels: false-positive rate 1/5
    maps[0, 1, 3] = 1  # then a quarter of the large one: overlap 5/8; at last all the rest: (1, 1)
    at_limit = 5 / 8 + (1 - 5 / 8) * (0.3 - 0.2) / (1 - 0.2)
    expected = (0.2 * 1 / 2 + 0.1 * (5 / 8 + at_limit) / 2) / 0.3
    assert aupro(mask, maps) == pytest.approx(expected)
    assert by_scikit_learn(mask, maps, 0.3) == pytest.approx(expected)


@given(st.integers(0, 2**32), st.integers(2, 40), st.floats(0.02, 0.5), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_against_by_scikit_learn(seed: int, levels: int, density: float, limit: float) -> None:
    random = np.random.default_rng(seed)
    masks = random.random((2, 6, 7)) < density
    maps = random.integers(0, levels, masks.shape) + masks * random.integers(0, 3)  # many ties
    if not masks.any():
        assert aupro(masks, maps, limit=limit) is None
    else:
        assert aupro(masks, maps, limit=limit) == pytest.approx(by_scikit_learn(masks, maps, limit))


def test_aupro_at_its_ends() -> None:
    """Of constant maps: one step from (0, 0) to (1, 1). Of regions of 4 pixels and of 1, at one place in two images:
    finding the small one is worth a half. Where 3 of 10 defect-free pixels come first: the overlap jumps at 0.3."""
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2, :2] = masks[1, 0, 0] = True
    maps = np.zeros(masks.shape)
    assert aupro(masks, maps) == pytest.approx(0.15)
    maps[1, 0, 0] = 1
    assert aupro(masks, maps) == pytest.approx((1 / 2 + (1 / 2 + 0.3 / 2)) / 2)
    for other in (masks.astype(np.uint8) * 255, masks.astype(np.uint16) * 256, masks * 0.5):
        assert aupro(other, maps) == aupro(masks, maps)
    assert aupro(masks & False, maps) is aupro(masks | True, maps) is None
    assert aupro((np.arange(11) == 3)[None, None], -np.arange(11.0)[None, None]) == 0
