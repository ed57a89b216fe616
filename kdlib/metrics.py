"""Metrics of detection and localization: exact, over all scores of a data set at once, nothing binned.

Anomalous is the positive class: a label or mask that is not zero. A metric that is undefined is ``None``; input that is
no good is a ValueError. What lies above a threshold is marked, not what lies at it, as in `Detector.threshold`.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage

NEIGHBOURS = np.array([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])  # 8 in the image, none in other images


def auroc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, in [0, 1] (Hanley & McNeil, 1982); None where only one class is there.

    Args:
        labels: anomalous where not zero, of any shape.
        scores: higher is more anomalous, of the same shape.
    """
    curve = _curve(*_checked(labels, scores))
    if not curve.normal or not curve.true.size:
        return None
    false, true = _corners(curve, curve.true)
    twice = int(np.diff(false) @ (true[1:] + true[:-1]))  # in whole numbers: exact
    return twice / (2 * curve.normal * int(true[-1]))


def aupro(masks: np.ndarray, maps: np.ndarray, *, limit: float = 0.3) -> float | None:
    """Area under the per-region-overlap curve up to a false-positive rate, divided by that rate (MVTec AD, IJCV 2021).

    Regions are the 8-connected components of all masks; the false-positive rate is over all defect-free pixels of the
    data set; the curve is exact, trapezoidal, interpolated at the limit. None without a region or a defect-free pixel.

    Args:
        masks: defective where not zero, (N, H, W).
        maps: localization maps, (N, H, W).
    """
    if not 0 < limit <= 1:
        raise ValueError(f"aupro: limit is {limit}, expected above 0, up to 1")
    masks, maps = _checked(masks, maps, dimensions=3)
    regions = ndimage.label(masks, NEIGHBOURS)[0][masks]
    curve = _curve(masks, maps, 1 / np.bincount(regions)[regions])  # each region weighs 1 in all
    if not curve.normal or not curve.true.size:
        return None
    false, overlap = _corners(curve, curve.weight / curve.weight[-1])  # the last is the number of regions
    rate = false / curve.normal
    inside, at_limit = rate <= limit, np.interp(limit, rate, overlap)
    return float(np.trapezoid(np.append(overlap[inside], at_limit), np.append(rate[inside], limit)) / limit)


def f1_and_iou(masks: np.ndarray, maps: np.ndarray, threshold: float) -> tuple[float, float] | tuple[None, None]:
    """F1 (Dice, 1945) and intersection over union (Jaccard, 1912) of the pixels above a threshold, both in [0, 1].

    2 TP / (2 TP + FP + FN) and TP / (TP + FP + FN), counted over the pixels of all images together: no mean over images
    or defects. None where no pixel is defective. IoU is F1 / (2 - F1): what is best for one is best for the other.

    Args:
        masks, maps: (N, H, W), as for `aupro`.
        threshold: finite, in the unit of the maps; for a headline from `pixel_threshold`.
    """
    masks, maps = _checked(masks, maps)
    if not np.isfinite(threshold):
        raise ValueError(f"metrics: threshold is {threshold}, expected a finite number")
    marked = maps > threshold
    true, all_marked, defective = (int(np.count_nonzero(a)) for a in (marked & masks, marked, masks))
    if not defective:
        return None, None
    return 2 * true / (all_marked + defective), true / (all_marked + defective - true)


def best_f1_on_test(masks: np.ndarray, maps: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """The highest F1 of any threshold, and the highest such threshold; None where no pixel is defective.

    Chosen by the labels that it is measured with: what the maps could give, not what a user gets. Never a headline.
    """
    curve = _curve(*_checked(masks, maps))
    if not curve.true.size:
        return None, None
    found = 2 * curve.true / (curve.true + curve.false + curve.true[-1])
    best = int(found.argmax())
    return float(found[best]), float(np.nextafter(curve.scores[best], -np.inf))  # below the score: it is marked too


def pixel_threshold(
    normal_maps: np.ndarray, quantile: float = 0.99, *, of: Literal["pixels", "images"] = "pixels"
) -> float:
    """The value that a fraction ``quantile`` of normal images' pixels, or of the images' maxima, stays at or below.

    Of pixels, it controls the area marked: about 1 - quantile of all good pixels to come. That says where a defect is
    once `Detector.threshold` says that there is one. Of images, it controls how many good images get any mark: about
    1 - quantile, but N maps cannot promise less than 1 in N + 1; and it misses much of a defect that is found.

    Args:
        normal_maps: localization maps of normal images that were not trained on, (N, H, W), N > 0.
    """
    maps = np.asarray(normal_maps)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"pixel_threshold: expected maps of normal images, (N, H, W); found {maps.shape}")
    _check_finite(maps)
    if not 0 <= quantile <= 1:
        raise ValueError(f"pixel_threshold: quantile is {quantile}, expected 0 to 1")
    if of not in ("pixels", "images"):
        raise ValueError(f"pixel_threshold: of is {of!r}, expected 'pixels' or 'images'")
    values = maps.ravel() if of == "pixels" else maps.max((1, 2))
    index = math.ceil(quantile * (values.size - 1))  # NumPy's quantile counts in the precision of the maps
    return float(np.partition(values, index)[index])


def localization_metrics(
    masks: np.ndarray, maps: np.ndarray, labels: np.ndarray, *, threshold: float | None = None
) -> dict[str, dict[str, float | None]]:
    """Every metric of localization, over ``"all"`` test images and over the ``"defective"`` ones.

    Args:
        masks, maps: (N, H, W), as for `aupro`.
        labels: of the images, (N,); a normal one has an empty mask.
        threshold: for F1 and IoU, which are None without; see `pixel_threshold`.

    Returns:
        For each set ``pixel_auroc``, ``aupro``, ``f1``, ``iou``, ``best_f1_on_test``, ``best_threshold_on_test``.
    """
    masks, maps = _checked(masks, maps, dimensions=3)
    defective = np.asarray(labels) != 0
    if defective.shape != masks.shape[:1]:
        raise ValueError(f"metrics: expected {len(masks)} labels, one per image; found {defective.shape}")
    if (wrong := np.flatnonzero(masks.any((1, 2)) & ~defective)).size:
        raise ValueError(f"metrics: {wrong.size} normal images have defective pixels, the first is image {wrong[0]}")
    found = {}
    for part, chosen in {"all": slice(None), "defective": defective}.items():
        m, a = masks[chosen], maps[chosen]
        f1, iou = (None, None) if threshold is None else f1_and_iou(m, a, threshold)
        best, best_at = best_f1_on_test(m, a)
        found[part] = {"pixel_auroc": auroc(m, a), "aupro": aupro(m, a), "f1": f1, "iou": iou}
        found[part] |= {"best_f1_on_test": best, "best_threshold_on_test": best_at}
    return found


class _Curve(NamedTuple):
    """What is found at each score of an anomalous entry; between two of them only normal ones follow."""

    scores: np.ndarray  # (K,), distinct, descending
    true: np.ndarray  # (K,), anomalous entries at or above each
    weight: np.ndarray  # (K,), the sum of their weights
    above: np.ndarray  # (K,), normal entries above each
    false: np.ndarray  # (K,), normal entries at or above each
    normal: int  # normal entries altogether


def _curve(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> _Curve:
    """``weights`` are those of the anomalous entries, in their order: (labels.sum(),).

    Only anomalous entries, the few, are sorted with their positions: many times faster than scikit-learn's curves,
    which sort the positions of all, and an explorer asks at each move of a slider.
    """
    anomalous, normal = scores[labels], scores[~labels]
    normal.sort()
    order = np.argsort(anomalous)[::-1]
    anomalous, weights = anomalous[order], np.ones(order.size) if weights is None else weights[order]
    last = np.flatnonzero(np.append(anomalous[1:] != anomalous[:-1], True)[: order.size])  # of each tie
    distinct = anomalous[last]
    above, false = (normal.size - np.searchsorted(normal, distinct, side=side) for side in ("right", "left"))
    return _Curve(distinct, last + 1, np.cumsum(weights)[last], above, false, normal.size)


def _corners(curve: _Curve, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positives and what is found: flat between the scores of anomalous entries, straight across a tie."""
    false = np.append(0, np.column_stack([curve.above, curve.false]))
    return np.append(false, curve.normal), np.repeat(np.append(0, found), 2)


def _checked(labels: np.ndarray, scores: np.ndarray, *, dimensions: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels as booleans, and the scores, not copied."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"metrics: labels are {labels.dtype}; expected 0 where normal, above 0 where anomalous")
    if labels.shape != scores.shape or (dimensions and labels.ndim != dimensions):
        expected = "masks and maps of one shape (N, H, W)" if dimensions else "labels and scores of one shape"
        raise ValueError(f"metrics: expected {expected}; found {labels.shape} and {scores.shape}")
    if not (labels >= 0).all():
        raise ValueError("metrics: a label is negative or NaN; expected 0 where normal, above 0 where anomalous")
    _check_finite(scores)
    return labels != 0, scores


def _check_finite(scores: np.ndarray) -> None:
    if not np.isfinite(scores).all():
        raise ValueError(f"metrics: {np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
