"""Figures of one-vs-rest data sets whose classes have names."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest

from book.figures import classes as show_classes

NAMES = {name: name for name in ("cat", "dog", "ship")}


@pytest.fixture(autouse=True)
def plots() -> Iterator[None]:
    backend = plt.get_backend()
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)


def test_records_of_another_copy_are_left_out() -> None:
    records = [{"id": n, "provenance": {"data": {"test": {"fingerprint": copy}}}} for n, copy in enumerate("baa")]
    assert [record["id"] for record in show_classes.of_one_test_split(records)] == [1, 2]
    assert show_classes.of_one_test_split([]) == []


def test_classes_are_known_by_name_where_one_is_missing() -> None:
    labels = {"ship": np.array([1, 1, 0, 0]), "cat": np.array([0, 1, 1, 1])}
    classes = show_classes.known_classes(labels)
    assert classes.tolist() == ["cat", "", "ship", "ship"]
    scores = np.array([1.0, 9, 2, 0])
    assert show_classes.against_each("cat", scores, classes).to_dict() == {"ship": 50}
    matrix = show_classes.pairwise({"cat": [(scores, labels["cat"])]}, classes, names=NAMES)
    assert matrix.stack().dropna().to_dict() == {("cat", "ship"): 50}
