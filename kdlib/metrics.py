"""Metrics of detection and localization: exact, over all scores of a data set at once, nothing binned.

Anomalous is the positive class: a label or mask that is not zero. A metric that is undefined is ``None``; input that is
no good is a ValueError. What lies above a threshold is marked, not what lies at it, as in `Detector.threshold`.
"""

import numpy as np
from scipy import ndimage

NEIGHBOURS = np.array([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])  # 8 in the image, none in other images


def auroc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, in [0, 1] (Hanley & McNeil, 1982); None where only one class is there.

    Labels, anomalous where not zero, and scores, higher is more anomalous, have one shape, whichever it is.
    """
    if (curve := _curve(*checked(labels, scores))) is None:
        return None
    false, true = curve  # in whole numbers: exact
    return float(np.diff(false) @ (true[1:] + true[:-1]) / (2 * false[-1] * true[-1]))


def aupro(masks: np.ndarray, maps: np.ndarray, *, limit: float = 0.3) -> float | None:
    """Area under the per-region-overlap curve up to a false-positive rate, divided by that rate (MVTec AD, IJCV 2021).

    Regions are the 8-connected components of all masks; the false-positive rate is over all defect-free pixels of the
    data set; the curve is exact, trapezoidal, interpolated at the limit. None without a region or a defect-free pixel.
    Masks, defective where not zero, and localization maps: both (N, H, W).
    """
    if not 0 < limit <= 1:
        raise ValueError(f"aupro: limit is {limit}, expected above 0, up to 1")
    masks, maps = checked(masks, maps, dimensions=3)
    regions = ndimage.label(masks, NEIGHBOURS)[0][masks]
    if (curve := _curve(masks, maps, 1 / np.bincount(regions)[regions])) is None:  # each region weighs 1 in all
        return None
    rate, overlap = (each / each[-1] for each in curve)
    inside, at_limit = rate <= limit, np.interp(limit, rate, overlap)
    return float(np.trapezoid(np.append(overlap[inside], at_limit), np.append(rate[inside], limit)) / limit)


def _curve(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, ...] | None:
    """False positives, and the weight of what is found, from none to all, at the corners of the curve between the two.

    It is flat between scores of anomalous entries and straight across a tie. None where only one class is there. Only
    the anomalous, the few, are sorted with their positions: many times faster than scikit-learn's curves, which sort
    all, and an explorer asks at each move of a slider. ``weights`` are those of the anomalous entries, in their order.
    """
    anomalous, normal = scores[labels], scores[~labels]
    if not anomalous.size or not normal.size:
        return None
    normal.sort()
    order = np.argsort(anomalous)[::-1]
    anomalous, weights = anomalous[order], np.ones(order.size) if weights is None else weights[order]
    last = np.flatnonzero(np.append(anomalous[1:] != anomalous[:-1], True))  # of each tie
    above, false = (normal.size - np.searchsorted(normal, anomalous[last], side=side) for side in ("right", "left"))
    corners = np.column_stack([above, false]).ravel()
    return np.concatenate([[0], corners, [normal.size]]), np.repeat(np.append(0, np.cumsum(weights)[last]), 2)


def checked(labels: np.ndarray, scores: np.ndarray, *, dimensions: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels as booleans, and the scores, not copied."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.dtype.kind not in "biuf":
        raise ValueError(f"metrics: labels are {labels.dtype}; expected 0 where normal, above 0 where anomalous")
    if labels.shape != scores.shape or (dimensions and labels.ndim != dimensions):
        expected = "masks and maps of one shape (N, H, W)" if dimensions else "labels and scores of one shape"
        raise ValueError(f"metrics: expected {expected}; found {labels.shape} and {scores.shape}")
    if not (labels >= 0).all():
        raise ValueError("metrics: a label is negative or NaN; expected 0 where normal, above 0 where anomalous")
    check_finite(scores)
    return labels != 0, scores


def check_finite(scores: np.ndarray) -> None:
    if not np.isfinite(scores).all():
        raise ValueError(f"metrics: {np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
