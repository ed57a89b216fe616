"""Figures of data sets that are folders of images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from book.figures import images as show_images
from kdlib.data import Images, Split, load
from kdlib.metrics import auroc

LABELS = np.array([0] * 10 + [1] * 4)
SCORES = np.array([*range(10), 3, 9, 20, 30], dtype=float)
pytestmark = pytest.mark.usefixtures("plots")


def test_about_says_licence_and_the_top_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "**CC BY-NC-SA 4.0: no commercial use**" in show_images.about("mvtec_ad").data
    assert "licence unclear" in show_images.about("brain_mri").data
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    monkeypatch.setenv("KDLIB_CACHE", str(tmp_path))
    missing = show_images.absent("mvtec_ad")
    assert missing is not None
    assert "`mvtec_ad` below the folder that `KDLIB_DATA` names" in missing.data
    (tmp_path / "mvtec_ad").mkdir()
    assert show_images.absent("mvtec_ad") is None
    assert show_images.absent("digits") is None, "it comes with scikit-learn"


def test_the_auroc_is_the_mean_of_shares() -> None:
    found = show_images.shares(LABELS, SCORES)
    assert len(found) == 10
    assert found[[0, 3, 4, 9]].tolist() == [100, 87.5, 75, 62.5]  # ties count half
    assert found.mean() == pytest.approx(100 * (auroc(LABELS, SCORES) or 0))


def test_over_seeds_has_a_row_each_even_without_values() -> None:
    printed = pd.DataFrame({"printed": [78.0], "plus_minus": [np.nan]}, index=["MKDAD"])
    (axis,) = show_images.over_seeds({"MKDAD": [], "size": [50.0, 60]}, printed=printed).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["MKDAD", "size"]
    assert [*axis.containers[0][0].get_xdata()] == [78]
    assert [np.size(line.get_xdata()) for line in axis.lines if line.get_marker() == "o"] == [0, 2]


def test_worst_images_and_examples_with_contours(tmp_path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    paths = tuple(tmp_path / kind / f"{n}.png" for n, kind in enumerate(["good"] * 2 + ["hole", "hole", "dent"]))
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    names = tuple(f"{p.parent.name}/{p.name}" for p in paths)
    test = Images(paths, names, np.array([0, 0, 1, 1, 1]), (None, None, *[tmp_path / "mask.png"] * 3))
    axes = show_images.worst(test, np.array([1.0, 5, 2, 0.5, 9])).axes
    assert [axis.get_title() for axis in axes] == ["good/1.png\n5", "good/0.png\n1", "hole/3.png\n0.5", "hole/2.png\n2"]
    assert [len(axis.collections) for axis in axes] == [0, 0, 1, 1]
    axes = show_images.examples(Split("mvtec_ad", "c", test[:2], test, True)).axes
    assert [axis.get_title() for axis in axes] == ["normal", "normal", "dent", "hole"]


def test_pairs_of_classes_from_the_labels_alone() -> None:
    splits = {c: load("digits", c) for c in "013"}
    labels = {c: np.asarray(split.test.labels) for c, split in splits.items()}
    classes = show_images.known_classes(labels)
    assert (classes == "3").sum() == (labels["3"] == 0).sum()
    assert (classes == "").sum() == sum(known.sum() for known in labels.values()) - 2 * len(classes)
    scores = np.where(classes == "1", 2.0, 1.0)  # 0 and 3 tie, 1 is far
    assert show_images.against_each("0", scores, classes).to_dict() == {"1": 100, "3": 50}
    names = {"0": "zero", "1": "one", "3": "three"}
    kept = [({"experiment": {"normal_class": "0"}}, scores, labels["0"])]
    matrix = show_images.pairwise(kept, classes, names=names)
    assert matrix.loc["0"].dropna().to_dict() == {"1": 100, "3": 50}
    assert matrix.drop("0").isna().all(axis=None)
    nothing = show_images.pairwise([], show_images.known_classes({}), names="01")
    assert nothing.shape == (2, 2)
    assert nothing.isna().all(axis=None)
