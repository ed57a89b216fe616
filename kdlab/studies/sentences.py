"""Sentences of the paper that set one setting above another, and how our records, or its own tables, judge them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import pandas as pd

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.presets import VGG16S
from kdlab.studies import catalogue, statistics
from kdlab.studies.statistics import OPEN, PairedDifference, finding, holm, paired_difference
from kdlib.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A sentence of the paper as pairs of settings (better, worse), labels of a study.

    ``datasets`` are those that it is about; none: all. ``metric``: a value of `kdlab.paper.METRIC`. ``margin``: points
    that it says. ``severity``: of the erratum that it is where the printed numbers contradict it.
    """

    quote: str
    place: str
    pairs: tuple[tuple[str, str], ...]
    datasets: tuple[str, ...] = ()
    metric: str = "image_auroc"
    margin: float | None = None
    severity: str = ""


COMPARISONS: Mapping[str, tuple[Comparison, ...]] = {
    name: tuple(Comparison(**each) for each in about["sentences"])
    for name, about in catalogue.WRITTEN.items()
    if "sentences" in about
}
CLOSE = 0.5  # points: "∼ x %" is a fair word for a difference that is x to the nearest point
COLUMNS = ["dataset", "normal", "seed", "profile", "setting", "metric", "auroc"]
TESTS = ["dataset", "better", "worse", *PairedDifference._fields, "of", "finding"]


class Verdict(NamedTuple):
    """What numbers say of a comparison: one of `statistics.VERDICTS`, and the tests behind it by data set and pair.

    Columns: dataset, better, worse, those of `PairedDifference` (better - worse, points of AUROC; p after Holm), of
    (how many units the paper prints), finding (``"better"``, ``"worse"`` or ``"open"``).
    """

    outcome: str
    tests: pd.DataFrame

    def __str__(self) -> str:
        """The outcome; what is not decided says on how many units of how many: "not decided (4 of 15)"."""
        counts = dict.fromkeys(f"{r.units} of {r.of}" for r in self.tests.itertuples())
        return self.outcome + (f" ({', '.join(counts)})" if self.outcome == OPEN and counts else "")


def frame(name: str, records: Iterable[Record]) -> pd.DataFrame:
    """What records say in a study, AUROC in %: a row a record, setting and metric; smoke records are left out.

    Columns: dataset, normal, seed, profile, setting, metric (a value of `paper.METRIC`), auroc (that of
    `paper.HEADLINE`), experiment, record, weights: the source's on which the settings are compared, the same in a data
    set and profile (`_of_one_source`). A record counts whatever command made it: its recipe decides.
    """
    rows = []
    for record in records:
        made = Experiment.from_dict(record["experiment"])
        for weights in VGG16S if made.profile != "smoke" else ():
            setting = _recipes(name, made.dataset, made.profile, weights).get(made.recipe)
            for task, metric in paper.METRIC.items() if setting is not None else ():
                for found in paper.by_seed([record], task).values():
                    place = made.dataset, made.normal, made.seed, made.profile, setting, metric, found[made.seed]
                    rows.append((*place, made, record, weights))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "experiment", "record", "weights"])
    return _of_one_source(table, base=next(iter(catalogue.study(name).settings)))


def _of_one_source(table: pd.DataFrame, base: str) -> pd.DataFrame:
    """The rows of one VGG-16 in each data set and profile: never of both, as they give other numbers.

    The paper's own, where a setting can be compared with ``base`` on it, or none can on the release's either.
    """
    where = ["dataset", "profile"]
    settings = table.groupby([*where, "weights", "normal", "seed"])["setting"]  # are compared on one class and seed
    compared = settings.agg(lambda found: found.nunique() * (base in set(found))).astype(int)
    most = compared.groupby([*where, "weights"]).max().unstack().reindex(columns=[*VGG16S])
    own, other = (most[weights] for weights in VGG16S)
    source = own.ge(other.fillna(0).clip(upper=2)).map({True: VGG16S[0], False: VGG16S[1]}).rename("weights")
    return table.merge(source.reset_index(), on=[*where, "weights"])


@cache
def _recipes(name: str, dataset: str, profile: str, weights: str) -> dict[Recipe, str]:
    """The settings of a study by recipe, on these weights where a setting has none of its own."""
    study, found = catalogue.study(name), dict[Recipe, str]()
    for setting in [*study.settings][::-1]:  # where two are the same, the first is meant
        own = {"weights": weights} | dict(study.changes(setting, dataset))
        found[Experiment.of(dataset, "", profile=profile, **own).recipe] = setting
    return found


def published_frame(name: str, printed: pd.DataFrame | None = None) -> pd.DataFrame:
    """What the paper prints in a study, without means, in the columns of `frame`: seed 0, profile ``"published"``.

    Args:
        printed: as of `paper.published`, where it is another than the paper's.
    """
    printed = paper.published() if printed is None else printed
    rows = [(s, *row) for s, tables in catalogue.study(name).rows.items() for row in tables.items()]
    frame = pd.DataFrame(rows, columns=["setting", "table", "method"]).astype({"table": int})
    frame = frame.merge(printed[printed["column"] != "mean"], on=["table", "method"])
    frame = frame.assign(seed=0, profile="published", metric=frame["task"].map(paper.METRIC))
    return frame.rename(columns={"column": "normal"})[COLUMNS]


def verdict(comparison: Comparison, frame: pd.DataFrame) -> Verdict:
    """Whether numbers bear out a comparison, by the rule of `statistics`.

    Its parts: each pair on each data set that the sentence is about, all of them one family, those that were not run
    undecided; and the margin, where the sentence names one, judged where all units that the paper prints are there.

    Args:
        frame: of `frame` or `published_frame`, of one profile.
    """
    frame = frame[frame["metric"] == comparison.metric]
    datasets, rows = comparison.datasets or tuple(frame["dataset"].unique()), []
    for dataset in datasets:
        here = frame[frame["dataset"] == dataset]
        found = {
            setting: dict(zip(zip(g["normal"], g["seed"], strict=True), g["auroc"], strict=True))
            for setting, g in here.groupby("setting")
        }
        for better, worse in comparison.pairs:
            if found.get(better, {}).keys() & found.get(worse, {}).keys():
                difference = paired_difference(found[worse], found[better])
                rows.append((dataset, better, worse, *difference, max(difference.units, len(paper.normals(dataset)))))
    tests = pd.DataFrame(rows, columns=TESTS[:-1])
    tests["p"] = holm(tests["p"].tolist())
    parts = [finding(mean, p) for mean, p in tests[["mean", "p"]].to_numpy()]
    tests["finding"] = [{True: "better", False: "worse", None: "open"}[part] for part in parts]
    if not frame["profile"].eq("published").any():  # what is not printed nobody claims
        parts += [None] * (len(datasets) * len(comparison.pairs) - len(parts))
    if comparison.margin is not None:
        whole = tests["units"] == tests["of"]
        parts += (tests.loc[whole, "mean"].sub(comparison.margin).abs() <= CLOSE).tolist()
    return Verdict(statistics.verdict(parts), tests)
