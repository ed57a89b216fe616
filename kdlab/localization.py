"""What records and pages say of localization: every metric at once, of all test images and of the defective ones."""

import numpy as np
from sklearn.metrics import precision_recall_curve

from kdlib.metrics import aupro, auroc, checked, f1_and_iou


def best_f1_on_test(masks: np.ndarray, maps: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """The highest F1 of any threshold, and the highest such threshold; None where no pixel is defective.

    Chosen by the labels that it is measured with: what the maps could give, not what a user gets. Never a headline.
    """
    masks, maps = checked(masks, maps)
    if not (defective := int(np.count_nonzero(masks))):
        return None, None
    precision, recall, scores = precision_recall_curve(masks.ravel(), maps.ravel(), drop_intermediate=True)
    true = np.rint(recall[:-1] * defective)  # whole numbers again, so that what is equal stays equal
    marked = np.rint(true / np.maximum(precision[:-1], 1 / masks.size))
    found = 2 * true / (marked + defective)
    best = np.flatnonzero(found == found.max())[-1]
    return float(found[best]), float(np.nextafter(scores[best], -np.inf))  # below the score: it is marked too


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
    masks, maps = checked(masks, maps, dimensions=3)
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
