"""The command behind each row: what it lists is what the row was made from, and nothing else."""

from collections.abc import Callable, Iterable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from conftest import record_of

from book import figures as show
from book.figures import entries, studies, tables
from kdlab.experiments.experiment import Experiment
from kdlab.studies import sentences, uncertainty
from kdlab.studies.catalogue import STUDIES

DryRun = Callable[[str], list[Experiment]]


def folded(html: str) -> list[str]:
    """The command of each row."""
    return [pre.get_text() for pre in BeautifulSoup(html, "html.parser").select("tbody tr td.kd-how details pre")]


def printed(html: str) -> str:
    """The command of the whole table."""
    return BeautifulSoup(html, "html.parser").select_one("pre.kd-print").get_text()  # type: ignore[union-attr]


def check(html: str, rows: Iterable[Iterable[Experiment]], dry_run: DryRun) -> None:
    """Each row's command lists its experiments, that for print those of all."""
    wanted = [set(row) for row in rows]
    assert [set(dry_run(command)) for command in folded(html)] == wanted
    assert set(dry_run(printed(html))) == set().union(*wanted)
    assert all(wanted)


def test_rows_beside_the_paper(dry_run: DryRun) -> None:
    zero = [Experiment.of("mnist", "0", seed=seed, profile="laptop", lam=2.0) for seed in (0, 2)]
    others = [Experiment.of("mnist", str(n), profile="laptop", lam=2.0) for n in range(1, 10)]
    behind = [zero, *([other] for other in others), [*zero, *others]]
    check(tables.numbers(pd.DataFrame({"ours": range(11)}), behind).data, behind, dry_run)
    many = tables.LONG + 1
    long = tables.numbers(pd.DataFrame({"ours": range(many)}), [[Experiment.of("mvtec_ad", "bottle")]] * many).data
    assert long.startswith(f'<details class="kd-rows"><summary>All {tables.LONG + 1} rows<')
    one = [Experiment.of("retinal_oct", "RESC", preset=preset) for preset in ("paper", "reference")]
    check(entries.table(entries.entries("retinal_oct", 5)).data, [one], dry_run)
    runs: list[dict[str, Any]] = [
        {"seed": seed, "preset": preset} for preset in ("paper", "reference") for seed in range(10)
    ]
    both = [[Experiment.of("head_ct", "head_ct", augment=augment, **run) for run in runs] for augment in (False, True)]
    check(entries.table(entries.entries("head_ct", 6)).data, both, dry_run)


@pytest.mark.parametrize("name", STUDIES)
def test_rows_of_a_study(name: str, dry_run: DryRun) -> None:
    study = STUDIES[name]
    made: dict[tuple[str, str], list[Experiment]] = {}
    for cell in study.cells:
        for normal in cell.normals:
            at = made.setdefault((f"{studies.title(cell.dataset)}, {studies.PROFILES[cell.profile]}", normal), [])
            at += [
                study.experiment(label, cell.dataset, normal, seed=seed, profile=cell.profile)
                for label in study.labels(cell.dataset)
                for seed in cell.seeds
            ]
    everything = [record_of(experiment) for its in made.values() for experiment in its]
    frame = sentences.frame(name, everything)
    html = studies.table(frame[frame["metric"] == "image_auroc"], list(study.settings)).data
    shown = [
        tuple(cell.get_text() for cell in row.select("td")[1:3])
        for row in BeautifulSoup(html, "html.parser").select("tbody tr")
    ]
    assert set(shown) == set(made)
    check(html, [made[row] for row in shown], dry_run)  # type: ignore[index]


def test_rows_of_statistics(dry_run: DryRun) -> None:
    bottle = [Experiment.of("mvtec_ad", "bottle", seed=seed) for seed in (0, 1)]
    zero = [Experiment.of("mnist", "0", profile="laptop")]
    found = [record_of(each) for each in (*bottle, *zero)]
    for each in found:
        each["metrics"]["evaluations"] = [{"epoch": 1, "image_auroc": 0.9}]
        each["provenance"]["data"] = {"test": {"fingerprint": "a"}}
    entries = uncertainty.by_entry(found)
    check(tables.numbers(entries[["mean"]], entries["experiments"].tolist()).data, [zero, bottle], dry_run)


def test_a_row_without_a_command_is_refused() -> None:
    with pytest.raises(ValueError, match="2 rows, there are commands for 1"):
        tables.numbers(pd.DataFrame({"a": [1, 2]}), ["python -m kdlab run --table 1"])


def test_a_figure_carries_the_command_of_its_records(plots: None, dry_run: DryRun) -> None:
    experiments = [Experiment.of("mnist", "3", seed=seed) for seed in (0, 1)]
    html = show.figure(plt.figure(), alt="Nothing.", caption="A & b.", records=list(map(record_of, experiments))).data
    caption = BeautifulSoup(html, "html.parser").select_one("figure figcaption")
    assert caption
    assert caption.find(string=True, recursive=False) == "A & b."
    assert dry_run(caption.select_one("details pre").get_text()) == experiments  # type: ignore[union-attr]
    assert "figcaption" not in show.figure(plt.figure(), alt="Nothing.").data
