"""Figures and tables of data sets that are folders of images: with no record, with some, without images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from book import figures as show
from book.figures import images as show_images
from kdlab import paper
from kdlab.experiments.records import SCHEMA, digest
from kdlab.presets import recipe_for
from kdlib import load
from kdlib.data import Images, Split
from kdlib.metrics import auroc

LABELS = np.array([0] * 10 + [1] * 4)
SCORES = np.array([*range(10), 3, 9, 20, 30], dtype=float)

pytestmark = pytest.mark.usefixtures("plots")


@pytest.fixture
def brain_mri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """BrainMRI's layout with images of noise, and an empty results folder."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("KDLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    rng = np.random.default_rng(0)
    for folder, count in (("no", 14), ("yes", 4)):
        (tmp_path / "data" / "brain_mri" / folder).mkdir(parents=True)
        for n in range(count):
            noise = rng.integers(0, 256, (40, 40), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "data" / "brain_mri" / folder / f"{n}.png")
    return tmp_path / "results" / "brain_mri"


def write_record(folder: Path, *, seed: int, value: float = 0.9, **changes: Any) -> None:
    test = load("brain_mri", "brain_mri", seed=seed).test
    record: dict[str, Any] = {"schema": SCHEMA, "id": f"{seed}-{len(changes)}"}
    record["experiment"] = {
        "dataset": "brain_mri",
        "category": "brain_mri",
        "seed": seed,
        "preset": "paper",
        "profile": "paper",
        "recipe": recipe_for("brain_mri").replace(**changes).to_dict(),
    }
    record["metrics"] = {"image_auroc": {"last": value, "mean_last_10": value, "best": value}, "evaluations": []}
    record["provenance"] = {"data": {"test": {"images": len(test), "fingerprint": test.fingerprint}}}
    record["sha256"] = digest(record)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{record['id']}.json").write_text(json.dumps(record))
    np.savez(folder / f"{record['id']}.npz", scores=SCORES, labels=LABELS)


def test_about_says_licence_and_what_is_missing(brain_mri: Path) -> None:
    assert "**CC BY-NC-SA 4.0: no commercial use**" in show_images.about("mvtec_ad").data
    assert "`KDLIB_DATA`" in show_images.about("mvtec_ad").data
    found = show_images.about("brain_mri").data
    assert "licence unclear" in found
    assert "**Here**: yes." in found
    assert "HeadCT" in show_images.skipped("head_ct").data


def test_command_names_all_it_makes() -> None:
    line = show_images.command("head_ct", ["head_ct"], seeds=range(3), augment=True).data
    expected = "python -m kdlab run --dataset head_ct --category head_ct --set augment=True --seed 0 1 2"
    assert line.splitlines() == ["```bash", expected, "```"]


def test_only_records_of_the_recipe_count(brain_mri: Path) -> None:
    recipe = recipe_for("brain_mri")
    assert show_images.ours("brain_mri", recipe) == []
    for seed in (2, 0):
        write_record(brain_mri, seed=seed)
    write_record(brain_mri, seed=1, augment=True)
    found = show_images.ours("brain_mri", recipe)
    assert [r["experiment"]["seed"] for r in found] == [0, 2]
    assert [r["experiment"]["seed"] for r in show_images.ours("brain_mri", recipe.replace(augment=True))] == [1]
    (brain_mri / f"{found[0]['id']}.npz").unlink()
    ((record, scores, labels),) = show_images.scored(found)
    assert record["experiment"]["seed"] == 2
    assert (scores.tolist(), labels.tolist()) == (SCORES.tolist(), LABELS.tolist())


def test_tested_are_the_images_of_the_scores_or_none(brain_mri: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(brain_mri, seed=3)
    (record,) = show_images.ours("brain_mri", recipe_for("brain_mri"))
    images = show_images.tested(record)
    assert images is not None
    assert images.names == load("brain_mri", "brain_mri", seed=3).test.names
    record["provenance"]["data"]["test"]["fingerprint"] = "another"
    assert show_images.tested(record) is None
    monkeypatch.setenv("KDLIB_DATA", "nowhere")
    assert show_images.tested(record) is None


def test_by_method_with_no_one_and_two_records(brain_mri: Path) -> None:
    def rows() -> pd.DataFrame:
        found = {paper.OURS: show_images.ours("brain_mri", recipe_for("brain_mri"))}
        return show_images.by_method(found, table=6, dataset="brain_mri")

    printed = paper.published(table=6, dataset="brain_mri", method=paper.OURS).iloc[0]
    none = rows().loc[paper.OURS]
    assert (none["published"], none["plus_minus"]) == (printed["auroc"], printed["plus_minus"])
    assert (none["seeds"], none["profile"]) == (0, "not run")
    assert np.isnan(none["ours"])
    assert "not run" in show.comparison(rows()).data
    write_record(brain_mri, seed=0, value=0.9)
    one = rows().loc[paper.OURS]
    assert (one["ours"], one["seeds"]) == (90, 1)
    assert np.isnan(one["spread"])
    write_record(brain_mri, seed=1, value=0.92)
    two = rows().loc[paper.OURS]
    assert two["ours"] == pytest.approx(91)
    assert two["spread"] == pytest.approx(np.sqrt(2))
    assert two["difference"] == pytest.approx(91 - printed["auroc"])


def test_the_auroc_is_the_mean_of_shares() -> None:
    found = show_images.shares(LABELS, SCORES)
    assert len(found) == 10
    assert found[[0, 3, 4, 9]].tolist() == [100, 87.5, 75, 62.5]  # ties count half
    assert found.mean() == pytest.approx(100 * (auroc(LABELS, SCORES) or 0))


def test_published_dots_mark_the_paper_s_own() -> None:
    frame = paper.published(table=6, dataset="head_ct")
    (axis,) = show_images.published_dots(frame).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == [*frame.sort_values("auroc")["method"]]
    own, others = (container[0] for container in axis.containers)
    assert sorted(own.get_xdata()) == sorted(frame[frame["method"].str.startswith(paper.OURS)]["auroc"])
    assert len(others.get_xdata()) == len(frame) - 2


def test_over_seeds_has_a_row_each_even_without_values() -> None:
    printed = pd.DataFrame({"published": [78.0], "plus_minus": [np.nan]}, index=["MKDAD"])
    (axis,) = show_images.over_seeds({"MKDAD": [], "size": [50.0, 60]}, printed=printed).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["MKDAD", "size"]
    assert [*axis.containers[0][0].get_xdata()] == [78]
    assert [np.size(line.get_xdata()) for line in axis.lines if line.get_marker() == "o"] == [0, 2]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_histograms_and_roc_curves_have_one_a_record(count: int) -> None:
    kept = [({"experiment": {"category": "c", "seed": n}}, SCORES, LABELS) for n in range(count)]
    axes = show_images.score_histograms(kept).axes
    assert [axis.get_title() for axis in axes if axis.axison] == [f"c, seed {n}: 82.5" for n in range(count)]
    (axis,) = show_images.roc_curves([("c", LABELS, SCORES)] * count).axes
    assert len(axis.lines) == count + 1
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["c"]  # type: ignore[union-attr]


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
    axes = show_images.worst(test, np.array([1.0, 5, 2, 0.5, 9]), size=32).axes
    assert [axis.get_title() for axis in axes] == ["good/1.png\n5", "good/0.png\n1", "hole/3.png\n0.5", "hole/2.png\n2"]
    assert [len(axis.collections) for axis in axes] == [0, 0, 1, 1]
    axes = show_images.examples(Split("mvtec_ad", "c", test[:2], test, True), size=32).axes
    assert [axis.get_title() for axis in axes] == ["normal", "normal", "dent", "hole"]
