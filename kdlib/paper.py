"""What the paper printed, and how our records compare with it."""

import math
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from kdlib.networks import CRITICAL_POINTS
from kdlib.runs import Record

OURS = "MKDAD"  # what the paper's own method is called in `published`
METRIC = {"detection": "image_auroc", "localization": "pixel_auroc"}
HEADLINE = {
    "detection": "mean_last_10",
    "localization": "all",
}  # the value of a metric that stands beside a printed one

# The rows of the tables that are the paper's own, as settings of a recipe.
VARIANTS: Mapping[str, dict[str, Any]] = {
    OURS: {},
    **{
        f"last-{n}": {"critical_points": CRITICAL_POINTS[-n:], "score_points": CRITICAL_POINTS[-n:]}
        for n in range(1, 5)
    },
    "cloner=small": {"cloner": "small"},
    "cloner=equal": {"cloner": "equal"},
    "loss=total": {},
    "loss=val": {"lam": 0.0},
    "loss=dir": {"lam": math.inf},
}


def published(**wanted: object) -> pd.DataFrame:
    """Every entry of the paper's tables, AUROC in %: table, task, dataset, method, column, auroc, plus_minus.

    Args:
        wanted: values that columns must have, such as ``table=2, dataset="fashion_mnist"``.
    """
    with resources.files("kdlib").joinpath("published.csv").open() as file:
        frame = pd.read_csv(file, dtype={"column": str})
    for column, value in wanted.items():
        if column not in frame:
            raise ValueError(f"published: no column {column!r}; known are {', '.join(map(str, frame))}")
        frame = frame[frame[column] == value]
    return frame.reset_index(drop=True)


def entries(**wanted: object) -> pd.DataFrame:
    """The entries of `published` that an experiment of `VARIANTS` remakes, without the means."""
    frame = published(**wanted)
    frame = frame[frame["method"].isin(list(VARIANTS)) & (frame["column"] != "mean")].reset_index(drop=True)
    if frame.empty:
        known = ", ".join(map(str, sorted(entries()["table"].unique()))) if wanted else "none"
        raise ValueError(f"paper: no entries of {wanted}; tables with some are {known}")
    return frame


def table(number: int, dataset: str) -> pd.DataFrame:
    """One data set of a printed table in the paper's shape: a row a method, a column a class, then the mean."""
    frame = published(table=number, dataset=dataset)
    if frame.empty:
        raise ValueError(f"published: table {number} has no data set {dataset!r}")
    methods, columns = frame["method"].drop_duplicates(), frame["column"].drop_duplicates()
    return frame.pivot(index="method", columns="column", values="auroc").reindex(
        index=list(methods), columns=list(columns)
    )


def compare(records: Iterable[Record], *, table: int, dataset: str, value: str = "mean_last_10") -> pd.DataFrame:
    """The paper's own entries beside ours, AUROC in %: a row a class or category, the mean last.

    Columns: published, plus_minus (as printed), ours (mean over seeds), spread (standard deviation over seeds),
    difference (ours - published), seeds, profile. An entry without a record has NaN; the mean needs all of them. Smoke
    records are refused: their figures say nothing.

    Args:
        records: of one recipe in one profile; all seeds count.
        value: ``"mean_last_10"``, ``"last"`` or ``"best"`` of the image AUROC; for localization ``"all"`` or
            ``"defective"``.
    """
    frame = published(table=table, dataset=dataset, method=OURS)
    if frame.empty:
        raise ValueError(f"published: table {table} has no {OURS} entries for {dataset!r}")
    metric = METRIC[frame["task"].iloc[0]]
    found: dict[str, list[float]] = {}
    profiles = set()
    for record in records:
        experiment = record["experiment"]
        if experiment["dataset"] != dataset:
            continue
        profiles.add(experiment["profile"])
        normal = experiment.get("normal_class", experiment.get("category"))
        found.setdefault(normal, []).append(100 * record["metrics"][metric][value])
    if "smoke" in profiles or len(profiles) > 1:
        raise ValueError(f"comparison: expected records of one profile that is not smoke; found {sorted(profiles)}")
    rows = frame.set_index("column")[["auroc", "plus_minus"]].rename(columns={"auroc": "published"})
    rows["ours"] = [np.mean(found[c]) if c in found else np.nan for c in rows.index]
    rows["spread"] = [np.std(found[c], ddof=1) if len(found.get(c, ())) > 1 else np.nan for c in rows.index]
    rows["seeds"] = [len(found.get(c, ())) for c in rows.index]
    if "mean" in rows.index:
        entries = rows.drop("mean")
        rows.loc["mean", "ours"] = entries["ours"].mean(skipna=False)
        rows.loc["mean", "seeds"] = entries["seeds"].min()
    rows["difference"] = rows["ours"] - rows["published"]
    rows["profile"] = [next(iter(profiles), "") if s else "not run" for s in rows["seeds"]]
    rows.index.name = "normal"
    return rows[["published", "plus_minus", "ours", "spread", "difference", "seeds", "profile"]]
