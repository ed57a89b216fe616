"""What records and pages say of localization: the metrics of records, and what a threshold of pixels gives."""

import math

import numpy as np

from kdlib.metrics import aupro, auroc, check_finite, checked


def f1_and_iou(masks: np.ndarray, maps: np.ndarray, threshold: float) -> tuple[float, float] | tuple[None, None]:
    """F1 (Dice, 1945) and intersection over union (Jaccard, 1912) of the pixels above a threshold, both in [0, 1].

    2 TP / (2 TP + FP + FN) and TP / (TP + FP + FN), counted over the pixels of all images together; None where no pixel
    is defective. IoU is F1 / (2 - F1): what is best for one is best for the other.

    Args:
        masks, maps: (N, H, W), as for `aupro`.
        threshold: finite, in the unit of the maps; for a headline from `pixel_threshold`.
    """
    masks, maps = checked(masks, maps)
    if not np.isfinite(threshold):
        raise ValueError(f"metrics: threshold is {threshold}, expected a finite number")
    marked = maps > threshold
    true, all_marked, defective = (int(np.count_nonzero(a)) for a in (marked & masks, marked, masks))
    if not defective:
        return None, None
    return 2 * true / (all_marked + defective), true / (all_marked + defective - true)


def pixel_threshold(normal_maps: np.ndarray, quantile: float = 0.99) -> float:
    """The value that a fraction ``quantile`` of normal images' pixels stays at or below.

    It controls the area marked: about 1 - quantile of all good pixels to come. That says where a defect is once
    `Detector.threshold` says that there is one.

    Args:
        normal_maps: localization maps of normal images that were not trained on, (N, H, W), N > 0.
    """
    maps = np.asarray(normal_maps)
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"pixel_threshold: expected maps of normal images, (N, H, W); found {maps.shape}")
    check_finite(maps)
    if not 0 <= quantile <= 1:
        raise ValueError(f"pixel_threshold: quantile is {quantile}, expected 0 to 1")
    index = math.ceil(quantile * (maps.size - 1))  # NumPy's quantile counts in the precision of the maps
    return float(np.partition(maps.ravel(), index)[index])


def localization_metrics(masks: np.ndarray, maps: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Pixel AUROC and AUPRO over ``"all"`` test images and over the ``"defective"`` ones.

    Args:
        masks, maps: (N, H, W), as for `aupro`.
        labels: of the images, (N,); a normal one has an empty mask.

    Returns:
        For each set ``pixel_auroc`` and ``aupro``; None where they are undefined.
    """
    masks, maps = checked(masks, maps, dimensions=3)
    defective = np.asarray(labels) != 0
    if defective.shape != masks.shape[:1]:
        raise ValueError(f"metrics: expected {len(masks)} labels, one per image; found {defective.shape}")
    if (wrong := np.flatnonzero(masks.any((1, 2)) & ~defective)).size:
        raise ValueError(f"metrics: {wrong.size} normal images have defective pixels, the first is image {wrong[0]}")
    parts = {"all": (masks, maps), "defective": (masks[defective], maps[defective])}
    return {part: {"pixel_auroc": auroc(m, a), "aupro": aupro(m, a)} for part, (m, a) in parts.items()}
