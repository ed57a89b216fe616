"""What the paper printed."""

import math
from typing import Any

import pytest

from kdlab.paper import OURS, VARIANTS, by_seed, entries, normals, ours, own_entries, published, table

# Table 2, Fashion-MNIST, the paper's own row, typed from its text.
FASHION = [92.5, 99.21, 92.48, 93.8, 92.95, 98.21, 84.87, 99.02, 94.33, 97.51]


def test_every_entry_is_there_once() -> None:
    frame = published()
    assert list(frame) == ["table", "task", "dataset", "method", "column", "auroc", "plus_minus"]
    assert len(frame) == 912
    assert not frame.duplicated(["table", "dataset", "method", "column"]).any()
    assert set(frame["table"]) == set(range(1, 12))
    assert frame["auroc"].between(0, 100).all()


def test_fashion_mnist_of_table_2() -> None:
    frame = published(table=2, dataset="fashion_mnist", method=OURS).set_index("column")
    assert [frame["auroc"][str(c)] for c in range(10)] == FASHION
    assert frame["auroc"]["mean"] == 94.49
    assert frame["plus_minus"]["0"] == pytest.approx(0.298)
    assert sum(FASHION) / 10 == pytest.approx(94.49, abs=0.005)


def test_filters() -> None:
    assert set(published(table=4)["task"]) == {"localization"}
    assert published(dataset="nowhere").empty
    with pytest.raises(ValueError, match="no column 'method_name'; known are table, task, dataset"):
        published(method_name=OURS)


def test_own_entries_are_387() -> None:
    """What the paper prints of its own method, counted by hand from its tables: rows times classes and a mean."""
    counts = {1: 6, 2: 3 * 11, 3: 16, 4: 16, 5: 1, 6: 3, 7: 3 * 16, 8: 3 * 11, 9: 5 * 16, 10: 5 * 11, 11: 6 * 16}
    assert own_entries()["table"].value_counts(sort=False).to_dict() == counts
    assert len(own_entries()) == sum(counts.values()) == 387
    others = set(published()["method"]) - set(own_entries()["method"])
    assert {"ARAE", "U-Std", "GT", "P-Net"} < others  # and no row of theirs looks like one of ours
    assert not [name for name in others if name.startswith((OURS, "last", "loss", "cloner", "grad", "smooth", "gbp"))]


def test_entries_that_experiments_remake() -> None:
    frame = entries()
    assert set(frame["method"]) == set(VARIANTS)
    assert "mean" not in set(frame["column"])
    single = frame[frame["table"] != 1].merge(own_entries())  # the paper prints each of them
    assert len(single) == (frame["table"] != 1).sum() == 387 - (own_entries()["column"] == "mean").sum()
    same = ["dataset", "method", "column"]
    assert {*entries(table=1)[same].itertuples(index=False)} == {*entries(table=11)[same].itertuples(index=False)}


def test_normals() -> None:
    assert normals("fashion_mnist") == tuple("0123456789")
    assert normals("mvtec_ad", "bottle") == ("bottle",)
    assert normals("head_ct") == ("head_ct",)
    assert [len(normals(d)) for d in ("mvtec_ad", "cifar10", "retinal_oct")] == [15, 10, 1]


def test_table_has_the_shape_of_the_paper() -> None:
    frame = table(2, "fashion_mnist")
    assert list(frame.columns) == [*map(str, range(10)), "mean"]
    assert frame.index[0] == "ARAE"
    assert frame.T[OURS].tolist() == [*FASHION, 94.49]
    with pytest.raises(ValueError, match="table 2 has no data set 'mvtec_ad'"):
        table(2, "mvtec_ad")


def test_our_side_of_an_entry() -> None:
    image, pixel = {"last": 0.8, "mean_last_10": 0.9, "best": 1.0}, {"all": 0.7, "defective": 0.6}
    about = [{"category": "tile", "seed": 2}, {"category": "tile", "seed": 5}, {"category": "wood", "seed": 0}]
    records: list[Any] = [{"experiment": e, "metrics": {"image_auroc": image, "pixel_auroc": pixel}} for e in about]
    records[1]["metrics"] = {"image_auroc": {"last": 0.6, "mean_last_10": 0.8}}  # without maps
    found = by_seed(records, "detection")
    assert found == {"tile": {2: 90, 5: 80}, "wood": {0: 90}}
    assert by_seed(records, "detection", "last")["tile"] == {2: 80, 5: 60}
    assert by_seed(records, "localization") == {"tile": {2: 70}, "wood": {0: 70}}
    assert by_seed(records, "localization", "defective")["wood"] == {0: 60}
    assert tuple(ours(found, ["tile"])) == pytest.approx((85, math.sqrt(50), 2))
    assert ours(found, ["tile", "wood"])[::2] == (87.5, 1)
    assert math.isnan(ours(found, ["tile", "wood"]).spread)
    assert ours(found, ["tile", "zipper"]).seeds == 0
