"""Metrics of localization over all images and over defective ones."""

import numpy as np
import pytest
from conftest import Both, categories
from hypothesis import given

from kdlab.localization import localization_metrics
from kdlib.metrics import aupro, auroc


@given(categories())
def test_localization_metrics_are_the_single_ones(category: Both) -> None:
    masks, maps = category
    masks, maps = np.concatenate([masks, 0 * masks[:2]]), np.concatenate([maps, maps[:2]])
    labels = np.array([1, 1, 1, 0, 0])
    found = localization_metrics(masks, maps, labels)
    for part, chosen in {"all": labels >= 0, "defective": labels == 1}.items():
        both = masks[chosen], maps[chosen]
        assert found[part] == {"pixel_auroc": auroc(*both), "aupro": aupro(*both)}


def test_localization_metrics_leave_out_what_is_undefined() -> None:
    maps = np.arange(18.0).reshape(2, 3, 3)
    none, one = {"pixel_auroc": None, "aupro": None}, np.zeros(maps.shape)
    for masks, labels in ((0 * maps, [0, 0]), (0 * maps, [1, 1]), (1 + 0 * maps, [1, 1])):
        assert localization_metrics(masks, maps, np.array(labels)) == {"all": none, "defective": none}
    one[1, 2] = 1
    only_defective = localization_metrics(one[1:], maps[1:], np.ones(1))
    assert only_defective["all"] == only_defective["defective"]
    assert only_defective["all"]["pixel_auroc"] == 1


def test_bad_input() -> None:
    masks = np.eye(3)[None]
    for maps, message in ((masks * np.nan, "9 of 9 scores are not finite"), (masks[..., :2], "one shape")):
        with pytest.raises(ValueError, match=message):
            localization_metrics(masks, maps, np.ones(1))
    with pytest.raises(ValueError, match=r"expected 1 labels, one per image; found \(2,\)"):
        localization_metrics(masks, masks, np.ones(2))
    with pytest.raises(ValueError, match="1 normal images have defective pixels, the first is image 1"):
        localization_metrics(masks.repeat(2, 0), masks.repeat(2, 0), np.array([1, 0]))
