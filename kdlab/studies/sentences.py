"""Sentences of the paper that set one setting above another, and how our records, or its own tables, judge them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, last_scores
from kdlab.presets import VGG16S
from kdlab.studies import catalogue
from kdlab.studies.one_factor import one_source
from kdlab.studies.statistics import (
    SEEDS,
    PairedDifference,
    difference_on_these,
    error_of_difference,
    paired_difference,
)
from kdlib.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A sentence of the paper as pairs of settings (better, worse), labels of a study.

    ``datasets`` are those that it is about; none: all. ``metric`` is a value of `kdlab.paper.METRIC`.
    """

    quote: str
    place: str
    pairs: tuple[tuple[str, str], ...]
    datasets: tuple[str, ...] = ()
    metric: str = "image_auroc"


def _comparison(*, pairs: list[list[str]], datasets: Iterable[str] = (), **rest: str) -> Comparison:
    return Comparison(pairs=tuple((better, worse) for better, worse in pairs), datasets=tuple(datasets), **rest)


COMPARISONS: Mapping[str, tuple[Comparison, ...]] = {
    name: tuple(_comparison(**each) for each in about["sentences"])
    for name, about in catalogue.read().items()
    if "sentences" in about
}
HOLDS, PART, FAILS, OPEN = "holds", "holds in part", "does not hold", "not decided by our runs"
COLUMNS = ["dataset", "normal", "seed", "profile", "setting", "metric", "auroc"]
TESTS = ["dataset", "better", "worse", *PairedDifference._fields, "finding"]


class Verdict(NamedTuple):
    """What figures say of a comparison: one of four words, and the tests behind it, a row a data set and pair.

    Columns: dataset, better, worse, those of `statistics.PairedDifference` (better - worse, points of AUROC),
    finding: ``"better"``, ``"worse"`` or ``"open"``.
    """

    outcome: str
    tests: pd.DataFrame


def frame(name: str, records: Iterable[Record]) -> pd.DataFrame:
    """What records say in a study, AUROC in %: a row a record, setting and metric; smoke records are left out.

    Columns: dataset, normal, seed, profile, setting, metric (a value of `paper.METRIC`), auroc (that of
    `paper.HEADLINE`), experiment, record, weights: the source's on which the settings are compared, the same in a data
    set and profile (`one_factor.one_source`). A record counts whatever command made it: its recipe decides.
    """
    study = catalogue.study(name)
    known: dict[tuple[str, str, str], dict[Recipe, str]] = {}
    rows = []
    for record in records:
        experiment = Experiment.from_dict(record["experiment"])
        dataset, normal, profile = experiment.dataset, experiment.normal, experiment.profile
        for weights in VGG16S if profile != "smoke" else ():
            if (dataset, profile, weights) not in known:
                known[dataset, profile, weights] = _recipes(study, dataset, profile, weights)
            if (setting := known[dataset, profile, weights].get(experiment.recipe)) is None:
                continue
            for task, metric in paper.METRIC.items():
                for found in paper.by_seed([record], task).values():
                    place = dataset, normal, experiment.seed, profile, setting, metric, found[experiment.seed]
                    rows.append((*place, experiment, record, weights))
    # Settings are compared on one class and seed.
    source = one_source(
        (((row[0], row[3]), row[-1], row[1:3], row[4]) for row in rows), base=next(iter(study.settings))
    )
    table = [row for row in rows if row[-1] == source[row[0], row[3]]]
    return pd.DataFrame(table, columns=[*COLUMNS, "experiment", "record", "weights"])


def _recipes(study: catalogue.Study, dataset: str, profile: str, weights: str) -> dict[Recipe, str]:
    """The settings of a study by recipe, on these weights where a setting has none of its own."""
    found: dict[Recipe, str] = {}
    for setting in [*study.settings][::-1]:  # where two are the same, the first is meant
        own = {"weights": weights} | dict(study.changes(setting, dataset))
        found[Experiment.of(dataset, "", profile=profile, **own).recipe] = setting
    return found


def published_frame(name: str) -> pd.DataFrame:
    """What the paper prints in a study, without means, in the columns of `frame`: seed 0, profile ``"published"``."""
    rows = [
        (entry["dataset"], entry["column"], 0, "published", setting, paper.METRIC[entry["task"]], entry["auroc"])
        for setting, tables in catalogue.study(name).rows.items()
        for table, method in tables.items()
        for entry in paper.published(table=table, method=method).to_dict("records")
        if entry["column"] != "mean"
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(comparison: Comparison, frame: pd.DataFrame) -> Verdict:
    """Whether figures bear out a comparison, by this rule.

    On each data set that the sentence is about, the two settings of each pair are compared by the paired differences of
    their AUROC over classes (or categories), each the mean of its seeds. A pair is decided where the 95 % interval of
    `statistics.paired_difference` leaves out 0, and `SEEDS` seeds of a class or all classes that the paper prints
    stand behind it: three trainings that happen to agree are no finding. The sentence **holds** where every pair that
    was run is decided for it, on every data set that it is about; it **holds in part** where some are; it **does not
    hold** where none is decided for it and one or more against it; else it is **not decided**.

    Args:
        frame: of `frame` or `published_frame`, of one profile.
    """
    frame = frame[frame["metric"] == comparison.metric]
    rows = []
    for dataset in comparison.datasets or list(frame["dataset"].unique()):
        here = frame[frame["dataset"] == dataset]
        found = {
            setting: dict(zip(zip(g["normal"], g["seed"], strict=True), g["auroc"], strict=True))
            for setting, g in here.groupby("setting")
        }
        for better, worse in comparison.pairs:
            if shared := found.get(better, {}).keys() & found.get(worse, {}).keys():
                difference = paired_difference(found[worse], found[better])
                seeds, all_classes = Counter(normal for normal, _ in shared), {*paper.normals(str(dataset))}
                enough = max(seeds.values()) >= SEEDS or (len(all_classes) > 1 and all_classes <= seeds.keys())
                rows.append((dataset, better, worse, *difference, _finding(difference) if enough else "open"))
    tests = pd.DataFrame(rows, columns=TESTS)
    findings = set(tests["finding"])
    if "better" not in findings:
        return Verdict(FAILS if "worse" in findings else OPEN, tests)
    complete = findings == {"better"} and set(comparison.datasets) <= set(tests["dataset"])
    return Verdict(HOLDS if complete else PART, tests)


def on_these(comparison: Comparison, frame: pd.DataFrame, *, results: Path | None = None) -> pd.DataFrame:
    """The pairs of a comparison on the very classes that were run: other trainings, other test images, no other class.

    `verdict` is about all classes of a data set, and of two it can say little. This says less, more surely: intervals
    of `statistics.difference_on_these`, where every class has `SEEDS` seeds or more with scores beside them.

    Args:
        frame: of `frame`, of one profile.

    Returns:
        Columns of `Verdict.tests`, and classes: their names. Image AUROC only: records keep no scores of pixels.
    """
    rows = []
    frame = frame[(frame["metric"] == comparison.metric) & (frame["metric"] == "image_auroc")]
    for dataset, here in frame.groupby("dataset", sort=False):
        settings = {name: group.set_index(["normal", "seed"]) for name, group in here.groupby("setting")}
        for better, worse in comparison.pairs if dataset in (comparison.datasets or [dataset]) else ():
            if not {better, worse} <= settings.keys():
                continue
            gains, errors = {}, {}
            both = settings[better].merge(settings[worse], on=["normal", "seed"], suffixes=("", " of worse"))
            for normal, group in both.groupby("normal"):
                drawn = [_error(*pair, results) for pair in zip(group["record"], group["record of worse"], strict=True)]
                gains[str(normal)] = (group["auroc"] - group["auroc of worse"]).tolist()
                errors[str(normal)] = math.sqrt(np.mean(np.square(drawn))) if len(group) >= SEEDS else math.nan
            if gains and np.isfinite(list(errors.values())).all():
                found = difference_on_these(gains, errors)
                rows.append((dataset, better, worse, *found, _finding(found), tuple(gains)))
    return pd.DataFrame(rows, columns=[*TESTS, "classes"])


def _error(record: Record, other: Record, results: Path | None) -> float:
    """Standard error of two records' difference over their test images, in points, last evaluations; NaN: not known."""
    a, b = last_scores(record, results), last_scores(other, results)
    known = a is not None and b is not None and np.array_equal(a[1], b[1])
    return 100 * error_of_difference(a[1], a[0], b[0]) if known else math.nan  # type: ignore[index]


def _finding(difference: PairedDifference) -> str:
    return "better" if difference.low > 0 else "worse" if difference.high < 0 else "open"
