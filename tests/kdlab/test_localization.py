"""Every metric of localization at once, and the best F1 that maps could give."""

import numpy as np
import pytest
from conftest import Both, categories, known
from hypothesis import given

from kdlab.localization import best_f1_on_test, f1_and_iou, localization_metrics
from kdlib.metrics import aupro, auroc


@given(categories())
def test_best_f1_is_that_of_the_best_threshold(category: Both) -> None:
    masks, maps = category
    best = best_f1_on_test(masks, maps)
    every = [known(f1_and_iou(masks, maps, float(level) - 1 / 16)[0]) for level in np.unique(maps)]  # in eighths
    assert best == pytest.approx(max(every))
    for m, a in ((masks, np.exp(maps / 4)), (masks, 3 * maps - 100), (masks[::-1], maps[::-1])):
        assert best_f1_on_test(m, a) == best
    assert best_f1_on_test(masks, masks.astype(np.float32)) == 1


def test_best_f1_by_hand() -> None:
    masks, maps = np.array([[[1, 0, 1, 0]]]), np.array([[[4, 3, 2, 1]]])
    assert best_f1_on_test(masks, maps) == pytest.approx(0.8)  # all from 2 on: 2 * 2 / (2 * 2 + 1)
    assert best_f1_on_test(np.array([[[1, 0, 0, 1]]]), maps) == pytest.approx(2 / 3)  # at 4 and at 1
    assert best_f1_on_test(0 * masks, maps) is None


@given(categories())
def test_localization_metrics_are_the_single_ones(category: Both) -> None:
    masks, maps = category
    masks, maps = np.concatenate([masks, 0 * masks[:2]]), np.concatenate([maps, maps[:2]])
    labels = np.array([1, 1, 1, 0, 0])
    found = localization_metrics(masks, maps, labels, threshold=2)
    names = "pixel_auroc", "aupro", "f1", "iou", "best_f1_on_test"
    for part, chosen in {"all": labels >= 0, "defective": labels == 1}.items():
        both = masks[chosen], maps[chosen]
        expected = auroc(*both), aupro(*both), *f1_and_iou(*both, 2), best_f1_on_test(*both)
        assert found[part] == dict(zip(names, expected, strict=True))


def test_localization_metrics_leave_out_what_is_undefined() -> None:
    maps = np.arange(18.0).reshape(2, 3, 3)
    good = localization_metrics(np.zeros(maps.shape), maps, np.zeros(2), threshold=3)
    assert {value for part in good.values() for value in part.values()} == {None}
    empty = localization_metrics(np.zeros(maps.shape), maps, np.ones(2), threshold=3)
    assert empty == good
    masks = np.zeros(maps.shape)
    masks[1, 2] = 1
    only_defective = localization_metrics(masks[1:], maps[1:], np.ones(1))
    assert only_defective["all"] == only_defective["defective"]
    assert only_defective["all"]["pixel_auroc"] == 1
    assert only_defective["all"]["f1"] is None  # no threshold
    whole = localization_metrics(np.ones(maps.shape), maps, np.ones(2), threshold=3)["all"]
    assert (whole["pixel_auroc"], whole["aupro"]) == (None, None)
    assert whole["f1"] == pytest.approx(28 / 32)
    assert whole["best_f1_on_test"] == 1


def test_bad_input() -> None:
    masks = np.eye(3)[None]
    for metric in (best_f1_on_test, lambda m, a: localization_metrics(m, a, np.ones(1))):
        for maps, message in ((masks * np.nan, "9 of 9 scores are not finite"), (masks[..., :2], "one shape")):
            with pytest.raises(ValueError, match=message):
                metric(masks, maps)
    with pytest.raises(ValueError, match=r"expected 1 labels, one per image; found \(2,\)"):
        localization_metrics(masks, masks, np.ones(2))
    with pytest.raises(ValueError, match="1 normal images have defective pixels, the first is image 1"):
        localization_metrics(masks.repeat(2, 0), masks.repeat(2, 0), np.array([1, 0]))
