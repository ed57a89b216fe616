"""What the paper printed, and what our records say of the same entry."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from kdlab.experiments.records import Record
from kdlib.networks import CRITICAL_POINTS

OURS = "MKDAD"  # what the paper's own method is called in `published`
METRIC = {"detection": "image_auroc", "localization": "pixel_auroc"}
HEADLINE = {"detection": "mean_last_10", "localization": "all"}  # the value that stands beside a printed one

# The rows of the tables that are the paper's own, as settings of a recipe: what an experiment must be to remake them.
VARIANTS: dict[str, dict[str, Any]] = {
    OURS: {},
    f"{OURS}+aug": {"augment": True},
    **{
        f"last-{n}": {"critical_points": CRITICAL_POINTS[-n:], "score_points": CRITICAL_POINTS[-n:]}
        for n in range(1, 5)
    },
    "cloner=small": {"cloner": "small"},
    "cloner=equal": {"cloner": "equal"},
    "loss=total": {},
    "loss=val": {"lam": 0.0},
    "loss=dir": {"lam": math.inf},
    **{
        name + end: {"attribution": name} | changes
        for name in ("gradients", "smoothgrad", "gbp")
        for end, changes in (("", {"sigma": 0.0}), ("+gaussian", {}))
    },
}


class Ours(NamedTuple):
    """What our records say of an entry, AUROC in %: mean over seeds, standard deviation over them, how many."""

    ours: float = math.nan
    spread: float = math.nan
    seeds: int = 0


@cache
def _printed() -> pd.DataFrame:
    with resources.files("kdlab").joinpath("published.csv").open() as file:
        return pd.read_csv(file, dtype={"column": str})


def published(**wanted: object) -> pd.DataFrame:
    """Every entry of the paper's tables, AUROC in %: table, task, dataset, method, column, auroc, plus_minus.

    Args:
        wanted: values that columns must have, such as ``table=2, dataset="fashion_mnist"``.
    """
    frame = _printed()
    for column, value in wanted.items():
        if column not in frame:
            raise ValueError(f"published: no column {column!r}; known are {', '.join(map(str, frame))}")
        frame = frame[frame[column] == value]
    return frame.reset_index(drop=True)


def own_entries(**wanted: object) -> pd.DataFrame:
    """Every figure that the paper prints of its own method, in any variant, means too: 387 of `published`."""
    frame = published(**wanted)
    return frame[frame["method"].isin(list(VARIANTS))].reset_index(drop=True)


def entries(**wanted: object) -> pd.DataFrame:
    """Those of `own_entries` that one experiment of `VARIANTS` remakes; a mean is all that it is the mean of."""
    frame = own_entries(**wanted)
    if frame.empty:
        asked = ", ".join(f"{column}={value!r}" for column, value in wanted.items())
        tables = ", ".join(map(str, own_entries()["table"].unique()))
        raise ValueError(f"paper: none of its own entries has {asked}; its tables are {tables}")
    frame = frame.sort_values("column", key=lambda column: column == "mean", kind="stable")
    behind = pd.Series(map(normals, frame["dataset"], frame["column"]), frame.index)
    frame = frame.assign(column=behind).explode("column")
    return frame.drop_duplicates(["table", "dataset", "method", "column"], ignore_index=True)


@cache
def normals(dataset: str, column: str = "mean") -> tuple[str, ...]:
    """The classes or categories behind an entry: its column, or for a mean all that the paper has of the data set."""
    columns = published(dataset=dataset)["column"].unique() if column == "mean" else [column]
    return tuple(str(each) for each in columns if each != "mean")


def table(number: int, dataset: str) -> pd.DataFrame:
    """One data set of a printed table in the paper's shape: a row a method, a column a class, then the mean."""
    frame = published(table=number, dataset=dataset)
    if frame.empty:
        raise ValueError(f"published: table {number} has no data set {dataset!r}")
    return frame.pivot(index="method", columns="column", values="auroc").loc[
        frame["method"].unique(), frame["column"].unique()
    ]


def normal_of(experiment: Mapping[str, Any]) -> str:
    """What is normal in the experiment of a record: its class or category."""
    return experiment["normal_class"] if "normal_class" in experiment else experiment["category"]


def by_seed(records: Iterable[Record], task: str, value: str | None = None) -> dict[str, dict[int, float]]:
    """AUROC in % by class or category, then by seed; a metric that is undefined is left out.

    Args:
        records: of one data set, recipe and profile.
        value: of the metric; that of `HEADLINE` where left out.
    """
    found: dict[str, dict[int, float]] = {}
    for record in records:
        experiment = record["experiment"]
        auroc = (record["metrics"].get(METRIC[task]) or {}).get(value or HEADLINE[task])
        if auroc is not None:
            found.setdefault(normal_of(experiment), {})[experiment["seed"]] = 100 * auroc
    return found


def ours(found: Mapping[str, Mapping[int, float]], behind: Sequence[str]) -> Ours:
    """Our side of an entry. A mean needs all that is behind it; its seeds are those of the class that has fewest."""
    seeds = [list(found.get(normal, {}).values()) for normal in behind]
    if not all(seeds):
        return Ours()
    spread = float(np.std(seeds[0], ddof=1)) if len(seeds) == 1 < len(seeds[0]) else math.nan
    return Ours(float(np.mean([np.mean(each) for each in seeds])), spread, min(map(len, seeds)))
