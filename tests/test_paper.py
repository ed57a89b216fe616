"""What the paper printed, and ours beside it."""

import math
from typing import Any

import pytest

from kdlib.paper import OURS, compare, published, table

# Table 2, Fashion-MNIST, the paper's own row, typed from its text.
FASHION = [92.5, 99.21, 92.48, 93.8, 92.95, 98.21, 84.87, 99.02, 94.33, 97.51]


def record(normal: str, auroc: float, *, dataset: str = "fashion_mnist", seed: int = 0, profile: str = "paper") -> Any:
    kind = "category" if dataset == "mvtec_ad" else "normal_class"
    metrics = {"image_auroc": {"last": auroc - 0.01, "mean_last_10": auroc, "best": auroc + 0.01}}
    pixel = {"pixel_auroc": {"all": auroc, "defective": auroc - 0.02}}
    experiment = {"dataset": dataset, kind: normal, "seed": seed, "profile": profile}
    return {"experiment": experiment, "metrics": metrics | pixel}


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


def test_table_has_the_shape_of_the_paper() -> None:
    frame = table(2, "fashion_mnist")
    assert list(frame.columns) == [*map(str, range(10)), "mean"]
    assert frame.index[0] == "ARAE"
    assert frame.T[OURS].tolist() == [*FASHION, 94.49]
    with pytest.raises(ValueError, match="table 2 has no data set 'mvtec_ad'"):
        table(2, "mvtec_ad")


def test_nothing_was_run() -> None:
    rows = compare([], table=2, dataset="fashion_mnist")
    assert list(rows.index) == [*map(str, range(10)), "mean"]
    assert rows["published"].tolist() == [*FASHION, 94.49]
    assert rows["ours"].isna().all()
    assert rows["difference"].isna().all()
    assert set(rows["profile"]) == {"not run"}


def test_some_classes_have_no_mean() -> None:
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
    rows = compare([record("bottle", 0.95, dataset="mvtec_ad")], table=4, dataset="mvtec_ad", value="defective")
    assert rows.loc["bottle", "ours"] == pytest.approx(93)
    assert rows.loc["bottle", "published"] == 96.32


@pytest.mark.parametrize("profiles", [("smoke",), ("paper", "laptop"), ("paper", "smoke")])
def test_smoke_and_mixtures_are_refused(profiles: tuple[str, ...]) -> None:
    found = [record(str(c), 0.9, profile=p) for c, p in enumerate(profiles)]
    with pytest.raises(ValueError, match="expected records of one profile that is not smoke"):
        compare(found, table=2, dataset="fashion_mnist")


def test_nothing_to_compare_with() -> None:
    with pytest.raises(ValueError, match="table 2 has no MKDAD entries for 'digits'"):
        compare([], table=2, dataset="digits")
