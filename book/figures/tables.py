"""What a page says of its experiments as tables: the recipe, where records come from, figures with their commands."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML

from book.figures.commands import reproducible
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, made_on
from kdlib.recipe import Recipe

LONG = 24  # rows that a reader takes in


def facts(rows: Mapping[str, object]) -> HTML:
    """Names and values as a table without a header."""
    return HTML(pd.Series(dict(rows), dtype=object).to_frame().to_html(classes="kd-table", border=0, header=False))


def recipe_facts(recipe: Recipe) -> dict[str, object]:
    """The settings of a recipe that a reader of results asks for first, in words."""
    return {
        "side, pixels": recipe.size,
        "normalised like ImageNet": recipe.normalize,
        "epochs": recipe.epochs,
        "batch": recipe.batch_size,
        "learning rate": recipe.learning_rate,
        "critical points that train": ", ".join(recipe.critical_points),
        "critical points that score": ", ".join(recipe.score_points),
        "lambda": "both terms of one size on the untrained cloner" if recipe.lam is None else recipe.lam,
        "source weights": recipe.weights,
    }


def provenance_facts(records: Sequence[Record]) -> dict[str, str]:
    """Weights, machine, versions, commits and seeds of records, every value once; "not run" without records."""

    def seen(*path: str) -> str:
        return ", ".join(sorted({str(_at(record, path)) for record in records})) or "not run"

    return {
        "source weights": seen("provenance", "weights", "name"),
        "their SHA-256 begins with": seen("provenance", "weights", "checksum")[:12],
        "precision": seen("provenance", "precision"),
        "computed on": ", ".join(sorted({made_on(record) for record in records})) or "not run",
        "torch": seen("provenance", "versions", "torch"),
        "commit": seen("provenance", "commit"),
        "seeds": seen("experiment", "seed"),
        "hours, in sum": f"{sum(r['cost']['seconds'] for r in records) / 3600:.1f}" if records else "not run",
    }


def _at(record: Record, path: Sequence[str]) -> Any:
    value: Any = record
    for key in path:
        value = value[key]
    return value


def comparison(rows: pd.DataFrame) -> HTML:
    """A comparison of `paper.compare` as a table; a difference of more than 2 points is marked."""
    names = {"plus_minus": "±", "spread": "± seeds"}
    experiments = rows["experiments"]
    rows = rows.drop(columns="experiments")
    if "spread" in rows and rows["spread"].isna().all():  # one seed has no spread
        rows = rows.drop(columns="spread")
    mark = "font-weight: bold; color: var(--pst-color-danger, #D55E00)"  # of the book's theme, for both modes
    far = [mark if abs(d) > 2 else "" for d in rows["difference"]]
    shown = rows.style.format(precision=2, na_rep="–").format("{:+.2f}", subset=["difference"], na_rep="–")
    shown = shown.apply(lambda _: far, subset=["difference"], axis=0).format_index(
        lambda name: names.get(str(name), str(name)), axis=1
    )
    table = shown.hide(names=True).set_table_attributes('class="kd-table"').to_html()
    return reproducible(table, experiments.tolist())


def numbers(
    frame: pd.DataFrame,
    behind: Sequence[Collection[Experiment]],
    *,
    whole: Sequence[str],
    signed: Sequence[str] = (),
    index: bool = True,
) -> HTML:
    """A table of figures, with the experiments behind each row; some columns are whole numbers, some have a sign."""
    shown = frame.style.format(precision=2, na_rep="–").format("{:.0f}", subset=list(whole), na_rep="–")
    shown = shown.format("{:+.2f}", subset=list(signed), na_rep="–") if signed else shown
    shown = shown if index else shown.hide(axis="index")
    return reproducible(shown.set_table_attributes('class="kd-table"').to_html(), behind)
