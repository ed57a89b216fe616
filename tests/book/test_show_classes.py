"""Figures of one-vs-rest data sets whose classes have names, and which records may stand side by side."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from book.figures import classes as show_classes
from kdlab import paper
from kdlab.experiments.records import SCHEMA, digest
from kdlab.presets import recipe_for

NAMES = {name: name for name in ("cat", "dog", "ship")}


@pytest.fixture(autouse=True)
def plots() -> Iterator[None]:
    backend = plt.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)


def put(results: Path, number: int, normal: str, *, profile: str = "paper", copy: str = "a", **changes: Any) -> None:
    """A record as far as these functions read it."""
    recipe = recipe_for("cifar10", profile=profile).replace(**changes).to_dict()
    record = {
        "schema": SCHEMA,
        "id": f"{number:016x}",
        "experiment": {
            "dataset": "cifar10",
            "normal_class": normal,
            "seed": number,
            "preset": "paper",
            "profile": profile,
            "recipe": recipe,
        },
        "metrics": {"image_auroc": {"last": 0.8, "mean_last_10": 0.8, "best": 0.8}, "evaluations": []},
        "provenance": {"date": "2026-01-01", "data": {"test": {"fingerprint": copy}}},
    }
    folder = results / "cifar10"
    folder.mkdir(exist_ok=True)
    (folder / f"{number:016x}.json").write_text(json.dumps(record | {"sha256": digest(record)}))


def classes_of(profile: str, found: dict[str, list[Any]]) -> list[str]:
    return sorted(record["experiment"]["normal_class"] for record in found[profile])


def test_nothing_is_presentable_without_records(tmp_path: Path) -> None:
    assert show_classes.presentable("cifar10", results=tmp_path) == {"paper": [], "laptop": []}
    assert show_classes.of_one_test_split([]) == []


def test_the_profile_with_most_classes_comes_first(tmp_path: Path) -> None:
    put(tmp_path, 1, "cat")
    put(tmp_path, 2, "cat")  # two seeds are one class
    put(tmp_path, 3, "cat", profile="laptop")
    found = show_classes.presentable("cifar10", results=tmp_path)
    assert list(found) == ["paper", "laptop"]  # a draw
    assert classes_of("paper", found) == ["cat", "cat"]
    put(tmp_path, 4, "dog", profile="laptop")
    found = show_classes.presentable("cifar10", results=tmp_path)
    assert list(found) == ["laptop", "paper"]
    assert classes_of("laptop", found) == ["cat", "dog"]
    for records in found.values():
        paper.compare(records, table=2, dataset="cifar10")  # refuses a mixture


def test_smoke_and_other_recipes_are_not_presentable(tmp_path: Path) -> None:
    put(tmp_path, 1, "cat", profile="smoke")
    put(tmp_path, 2, "dog", size=36, crop=32)
    assert not any(show_classes.presentable("cifar10", results=tmp_path).values())


def test_records_of_another_copy_are_left_out(tmp_path: Path) -> None:
    for number, copy in enumerate("baa"):
        put(tmp_path, number, list(NAMES)[number], copy=copy)
    records = show_classes.presentable("cifar10", results=tmp_path)["paper"]
    same = show_classes.of_one_test_split(records)
    assert sorted(record["experiment"]["normal_class"] for record in same) == ["dog", "ship"]


def test_named_classes_keep_their_places_when_one_is_missing() -> None:
    labels = {"ship": np.array([1, 1, 0, 0]), "cat": np.array([0, 1, 1, 1])}
    classes = show_classes.known_classes(labels, names=NAMES)
    assert classes.tolist() == [0, -1, 2, 2]
    scores = np.array([1.0, 9, 2, 0])
    assert show_classes.against_each("cat", scores, classes, names=NAMES).to_dict() == {"ship": 50}
    matrix = show_classes.pairwise({"cat": [(scores, labels["cat"])]}, classes, names=NAMES)
    assert matrix.stack().dropna().to_dict() == {("cat", "ship"): 50}
    show_classes.pairwise_map(matrix, names=NAMES)


def test_numbers_stay_what_they_are() -> None:
    assert show_classes.numbers(["1", "7"]) == {"1": 1, "7": 7}
    assert show_classes.numbers(NAMES) == {"cat": 0, "dog": 1, "ship": 2}


def test_methods_has_a_row_each_and_ours_in_colour() -> None:
    table = paper.table(2, "cifar10").sort_values("mean", ascending=False)
    (axis,) = show_classes.methods(table, ours=paper.OURS).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(table.index)
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [line.get_color() != "grey" for line in dots] == list(table.index == paper.OURS)
    assert np.allclose(np.asarray(dots[0].get_xdata(), dtype=float), table.iloc[0].drop("mean"))
