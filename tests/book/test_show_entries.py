"""Printed numbers beside ours on the pages of data sets: with no record, with some, of which source."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import Write, keep_record, record_of
from PIL import Image

from book.figures import entries as show_entries
from book.figures import images as show_images
from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlib import load

LABELS = np.array([0] * 10 + [1] * 4)
SCORES = np.array([*range(10), 3, 9, 20, 30], dtype=float)

pytestmark = pytest.mark.usefixtures("plots")


@pytest.fixture
def record(results: Path) -> Write:
    """Write a record as far as these functions read it, with scores beside it."""

    def record(
        normal: str = "brain_mri", *, dataset: str = "brain_mri", value: float = 0.9, test: str = "a", **settings: Any
    ) -> None:
        made = record_of(Experiment.of(dataset, normal, **settings), value)
        made["provenance"]["data"] = {"test": {"fingerprint": test}}
        path = keep_record(made | {"id": f"{len(list(results.glob('*/*.json'))):016}"}, results)
        np.savez(path.with_suffix(".npz"), scores=SCORES, labels=LABELS)

    return record


def test_without_a_record_both_presets_are_not_run(record: Write) -> None:
    rows = show_entries.entries("mnist", 2)
    assert list(rows["who"].unique()) == ["text", "code"]
    assert len(rows) == 2 * 11
    html = show_entries.table(rows).data
    assert html.count(">not run</td>") == 22
    assert "--preset reference" in html
    assert "Not run yet: as the text says, with the paper's own source" in show_entries.finding(rows)
    show_entries.dots(rows)
    assert show_entries.best_supported(rows) == ("", [])
    assert "10 as the text, 10 as the code" in show_entries.missing(rows).data


def test_sources_and_presets_are_columns_of_their_own(record: Write) -> None:
    """A record of an earlier source answers no printed number, and stands in no column of the paper's own."""
    record("3", dataset="mnist", value=0.9, weights="vgg-release")
    record("3", dataset="mnist", value=0.8, preset="reference")
    record("3", dataset="mnist", value=0.1, size=64)  # of another recipe
    record("4", dataset="mnist", value=0.1, profile="smoke")
    rows = show_entries.entries("mnist", 2)
    assert list(rows["who"].unique()) == ["text", "code", "text, the release"]
    ours = rows[rows["entry"] != "mean"].set_index(["entry", "who"])["ours"].dropna().to_dict()
    assert ours == {("3", "code"): pytest.approx(80), ("3", "text, the release"): pytest.approx(90)}
    assert show_entries.best_supported(rows)[0] == "code"
    found = str(show_entries.finding(rows))
    printed = float(str(paper.table(2, "mnist").loc[paper.OURS, "3"]))
    assert f"as the code says, with the paper's own source (1 of 10): **80.00** for 3, printed {printed:.2f}" in found
    assert "10 as the text, 9 as the code" in show_entries.missing(rows).data
    dots = {c.get_label(): c[0].get_xdata() for c in show_entries.dots(rows).axes[0].containers}
    assert {"printed", "code", "text, the release"} == dots.keys()
    assert np.nansum(dots["code"]) == pytest.approx(80)


def test_an_entry_has_mean_and_spread_over_seeds_and_controls_beside_it(record: Write, results: Path) -> None:
    for seed, value in ((2, 0.92), (0, 0.9)):
        record(seed=seed, value=value)
    rows = show_entries.entries("brain_mri", 6)
    own = rows[rows["who"] == "text"].iloc[0]
    printed = paper.published(table=6, dataset="brain_mri", method=paper.OURS).iloc[0]
    assert (own["printed"], own["plus_minus"], own["seeds"]) == (printed["auroc"], printed["plus_minus"], 2)
    assert (own["ours"], own["spread"]) == (pytest.approx(91), pytest.approx(np.sqrt(2)))
    assert [each["experiment"]["seed"] for each in show_entries.behind(rows)] == [0, 2]
    controls = pd.DataFrame({"mean image": [61.24]}, index=[own["entry"]])
    html = show_entries.table(rows, controls=controls).data
    assert "91.00 ± 1.41" in html
    assert ">61.2</td>" in html
    assert "--seed 0 1 2 3 4 5 6 7 8 9" in html, "what is missing of a drawn split is ten of them"
    min(results.glob("*/*.npz")).unlink()
    ((_, scores, labels),) = show_images.scored(show_entries.behind(rows))  # a record without them is left out
    assert (scores.tolist(), labels.tolist()) == (SCORES.tolist(), LABELS.tolist())


def test_augmentation_is_an_entry_of_its_own_and_reduced_records_are_none(record: Write) -> None:
    record("head_ct", dataset="head_ct", value=0.7, augment=True)
    rows = show_entries.entries("head_ct", 6).set_index(["entry", "who"])["ours"]
    assert rows.dropna().to_dict() == {(f"{paper.OURS}+aug", "text"): pytest.approx(70)}
    assert show_entries.reduced("cifar10").empty
    record("cat", dataset="cifar10", profile="laptop", value=0.6)
    record("cat", dataset="cifar10", profile="laptop", value=0.5, weights="random")
    found = show_entries.reduced("cifar10")
    assert found.loc["cat"].to_dict() == {"text": pytest.approx(60), "text, random source": pytest.approx(50)}
    assert show_entries.behind(show_entries.entries("cifar10", 2)) == []


def test_gains_compare_with_the_same_class_seed_and_source(record: Write) -> None:
    assert show_entries.gains("brain_mri").empty
    record(seed=0, value=0.9, weights="vgg-release")
    record(seed=0, value=0.93, lam=1.0, weights="vgg-release")
    record(seed=0, value=0.1, sigma=1.0, weights="vgg-release")  # of the map alone
    record(seed=1, value=0.5, lam=1.0, weights="vgg-release")
    record(seed=1, value=0.4)
    assert show_entries.gains("brain_mri").empty
    found = show_entries.gains("brain_mri", "text, the release")
    assert found.stack().dropna().to_dict() == {("brain_mri", 0, "lam=1.0"): pytest.approx(3)}
    (axis,) = show_entries.gain_dots(found).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["lam=1.0"]
    link = show_entries.download(found, "moves").data
    content = base64.b64decode(link.split("base64,")[1].split('"')[0]).decode()
    assert content.splitlines()[:2] == ["normal,seed,lam=1.0", "brain_mri,0,3.000"]


def test_tested_are_the_images_of_the_scores_or_none(
    record: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    random = np.random.default_rng(0)
    for folder, count in (("no", 14), ("yes", 4)):
        (tmp_path / "brain_mri" / folder).mkdir(parents=True)
        for n in range(count):
            noise = Image.fromarray(random.integers(0, 256, (40, 40), dtype=np.uint8))
            noise.save(tmp_path / "brain_mri" / folder / f"{n}.png")
    test = load("brain_mri", "brain_mri", seed=3).test
    record(seed=3, test=test.fingerprint)
    (found,) = show_entries.own("text", "brain_mri")
    images = show_entries.tested(found)
    assert images is not None
    assert images.names == test.names
    found["provenance"]["data"]["test"]["fingerprint"] = "another"
    assert show_entries.tested(found) is None
    monkeypatch.setenv("KDLIB_DATA", "nowhere")
    assert show_entries.tested(found) is None


def test_what_a_data_set_comes_to() -> None:
    """A sentence by how many classes were run, and by what the rule says of the difference."""

    def said(units: int, mean: float, low: float, high: float, p: float, of: int = 10, dataset: str = "mnist") -> str:
        text: dict[str, Any] = {"ours": 97.0, "mean": mean, "low": low, "high": high, "units": units, "p": p}
        nothing = dict.fromkeys(text, np.nan) | {"units": 0}
        row: dict[str, Any] = {f"paper_{k}": v for k, v in text.items()} | {
            f"reference_{k}": v for k, v in nothing.items()
        }
        row |= {"of": of, "dataset": dataset, "printed": 98.0, "control": np.nan, "control_profile": ""}
        html = show_entries.data_sets(pd.DataFrame([row])).data
        *_, cell, _, _, words = (td.get_text() for td in BeautifulSoup(html, "html.parser").select("td"))
        return f"{cell} | {words}"

    assert said(0, np.nan, np.nan, np.nan, np.nan) == "not run | Not run with the paper's source."
    assert (
        said(4, -2.0, -3.0, -1.0, np.nan)
        == "-2.00 (-3.00 to -1.00); 4 of 10 classes | As the text, 4 of 10 classes decide nothing."
    )
    few = said(1, -2.0, -3.0, -1.0, np.nan, of=15, dataset="mvtec_ad")
    assert few.endswith("| As the text, 1 of 15 categories decide nothing.")
    assert "| As the text, no difference is found, and one above 0.7 points" in said(8, -0.2, -0.7, 0.3, 0.6)
    assert said(10, -2.0, -3.0, -1.0, 0.002).startswith("97.00, -2.00 (-3.00 to -1.00) | As the text, 2.0 points below")
    assert said(1, 3.0, -1.0, 7.0, np.nan, of=1).endswith("above the printed number, which seeds could explain.")
    assert said(1, 3.0, 1.0, 5.0, np.nan, of=1).endswith("As the text, 3.0 points above the printed number.")
