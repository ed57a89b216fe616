"""Metrics of detection and localization: exact, over all scores, no thresholds chosen beforehand.

Anomalous is the positive class; a metric that is undefined is ``None``, not a number.
"""

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score


def auroc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve, in [0, 1]; None where only one class is there.

    Args:
        labels: 0 or 1, of any shape.
        scores: higher is more anomalous, of the same shape.

    Raises:
        ValueError: shapes differ, or a score is not finite.
    """
    labels, scores = _flat(labels, scores)
    if labels.min() == labels.max():
        return None
    return float(roc_auc_score(labels, scores))


def aupro(masks: np.ndarray, maps: np.ndarray, *, limit: float = 0.3) -> float | None:
    """Area under the per-region-overlap curve up to a false-positive rate, divided by that rate (MVTec AD, IJCV 2021).

    Regions are the 8-connected components of all masks; the false-positive rate is over all defect-free pixels of the
    data set; the curve is exact, trapezoidal, and interpolated at the limit.

    Args:
        masks: True where defective, (N, H, W).
        maps: localization maps, (N, H, W).
    """
    masks = masks.astype(bool)
    overlap_of_pixel = np.zeros(masks.shape)  # what a pixel adds to the mean overlap of all regions when it is found
    regions = 0
    for number, mask in enumerate(masks):
        components, count = ndimage.label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(components.ravel())
        overlap_of_pixel[number][mask] = 1 / sizes[components[mask]]
        regions += count
    labels, scores = _flat(masks, maps)
    if not regions or labels.all():
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    overlap = np.cumsum(overlap_of_pixel.ravel()[order])[last_of_tie] / regions
    false = np.cumsum(labels[order] == 0)[last_of_tie] / np.count_nonzero(labels == 0)
    false, overlap = np.append(0, false), np.append(0, overlap)
    end = np.searchsorted(false, limit, side="right")
    at_limit = np.interp(limit, false, overlap)
    return float(np.trapezoid(np.append(overlap[:end], at_limit), np.append(false[:end], limit)) / limit)


def _flat(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.shape != scores.shape or not labels.size:
        raise ValueError(f"metrics: expected labels and scores of one shape; found {labels.shape} and {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"metrics: {np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
    return labels.ravel().astype(np.int8), scores.ravel()
