"""What the paper printed, and ours beside it."""

import math
from typing import Any

import pytest

from kdlab.experiments.experiment import Experiment
from kdlab.paper import OURS, VARIANTS, compare, entries, normals, own_entries, published, table

# Table 2, Fashion-MNIST, the paper's own row, typed from its text.
FASHION = [92.5, 99.21, 92.48, 93.8, 92.95, 98.21, 84.87, 99.02, 94.33, 97.51]


def record(normal: str, auroc: float, *, dataset: str = "fashion_mnist", seed: int = 0, profile: str = "paper") -> Any:
    metrics = {"image_auroc": {"last": auroc - 0.01, "mean_last_10": auroc, "best": auroc + 0.01}}
    pixel = {"pixel_auroc": {"all": auroc, "defective": auroc - 0.02}}
    experiment = Experiment.of(dataset, normal, seed=seed, profile=profile)
    return {"experiment": experiment.to_dict(), "metrics": metrics | pixel}


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
    with pytest.raises(ValueError, match=r"none of its own entries has table=12; its tables are 1, 2, 3"):
        entries(table=12)


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


def test_some_classes_have_no_mean() -> None:
    rows = compare([], table=2, dataset="fashion_mnist")
    assert list(rows.index) == [*map(str, range(10)), "mean"]
    assert rows["published"].tolist() == [*FASHION, 94.49]
    assert rows[["ours", "difference"]].isna().all(axis=None)
    assert set(rows["profile"]) == {"not run"}
    rows = compare([record("0", 0.93), record("0", 0.95, seed=1)], table=2, dataset="fashion_mnist")
    assert rows.loc["0", "ours"] == pytest.approx(94)
    assert rows.loc["0", "spread"] == pytest.approx(math.sqrt(2))
    assert rows.loc["0", "difference"] == pytest.approx(1.5)
    assert (rows.loc["0", "seeds"], rows.loc["0", "profile"]) == (2, "paper")
    for missing in ("1", "mean"):
        assert rows["ours"].isna()[missing]
        assert rows.loc[missing, "profile"] == "not run"


def test_all_classes_have_a_mean() -> None:
    found = [record(str(c), 0.9 + c / 100) for c in range(10)]
    rows = compare([*found, record("0", 0, dataset="mnist")], table=2, dataset="fashion_mnist")
    assert rows.loc["mean", "ours"] == pytest.approx(94.5)
    assert rows.loc["mean", "difference"] == pytest.approx(94.5 - 94.49)
    assert (rows.loc["mean", "seeds"], rows.loc["mean", "profile"]) == (1, "paper")
    assert rows["spread"].isna().all()
    last = compare(found, table=2, dataset="fashion_mnist", value="last")
    assert last.loc["mean", "ours"] == pytest.approx(93.5)


def test_localization_is_compared_with_pixels() -> None:
    found = [record("bottle", 0.95, dataset="mvtec_ad")]
    for value, ours in (("defective", 93), (None, 95)):  # of all images, where no other value is asked for
        row = compare(found, table=4, dataset="mvtec_ad", value=value).loc["bottle"]
        assert (row["ours"], row["published"]) == (pytest.approx(ours), 96.32)


def test_an_undefined_metric_is_no_figure() -> None:
    found = [record("0", 0.9), record("1", 0.9)]
    found[0]["metrics"]["image_auroc"] = None
    rows = compare(found, table=2, dataset="fashion_mnist")
    assert rows["profile"].tolist() == ["not run", "paper", *["not run"] * 9]
    assert rows["seeds"].tolist() == [0, 1, *[0] * 9]


@pytest.mark.parametrize("profiles", [("smoke",), ("paper", "laptop"), ("paper", "smoke")])
def test_smoke_and_mixtures_are_refused(profiles: tuple[str, ...]) -> None:
    found = [record(str(c), 0.9, profile=p) for c, p in enumerate(profiles)]
    with pytest.raises(ValueError, match="expected records of one profile that is not smoke"):
        compare(found, table=2, dataset="fashion_mnist")
    with pytest.raises(ValueError, match="table 2 has no MKDAD entries for 'digits'"):
        compare([], table=2, dataset="digits")
