"""Pictures of `coverage.scoreboard`: how much of the paper has records, how far they are from it, and all of it."""

import json
from typing import Any

import itables
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, NORMAL
from book.figures.tables import ROW_SUMMARY, folded, sortable
from kdlab import coverage, paper

STATES = {"paper": NORMAL, "laptop": ANOMALOUS, coverage.NOT_RUN: "0.8"}  # darker: more is known
SHOWN = ("command", "table", "data set", "row", "normal", "profile", "published", "ours", "difference", "seeds", "note")


def bars(board: pd.DataFrame) -> Figure:
    """How many of each table's entries have a record: a bar per table, its parts the profiles."""
    counts = pd.crosstab(board["table"], board["profile"]).reindex(columns=list(STATES), fill_value=0)
    fig, axis = plt.subplots(figsize=(7, 3.6), layout="tight")
    counts.plot.barh(stacked=True, ax=axis, color=list(STATES.values()), edgecolor="0.4", width=0.8)
    for place, (_, row) in enumerate(counts.iterrows()):
        have = row["paper"] + row["laptop"]
        axis.text(row.sum() + 1, place, f"{have} of {row.sum()}", va="center", fontsize=8)
    axis.set(xlabel="entries of the paper's own method", ylabel="", xlim=(0, counts.sum(axis=1).max() * 1.15))
    axis.set_yticklabels([f"Table {number}" for number in counts.index])
    axis.invert_yaxis()
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8)
    return fig


def differences(board: pd.DataFrame) -> Figure:
    """Ours against published, with the diagonal of perfect agreement; and how the differences are distributed."""
    have = board.dropna(subset="ours")
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="tight")
    for number, (dataset, rows) in enumerate(have.groupby("dataset", sort=False)):
        left.plot(rows["published"], rows["ours"], "os^DvP*"[number % 7], markersize=5, alpha=0.7, label=dataset)
    low = float(have[["published", "ours"]].to_numpy().min()) - 1 if len(have) else 50.0
    left.plot([low, 100.5], [low, 100.5], color="black", linestyle=":")
    left.set(xlabel="published AUROC, %", ylabel="ours, %", xlim=(low, 100.5), ylim=(low, 100.5), aspect="equal")
    if len(have):
        left.legend(fontsize=8)
    far = max(1.0, have["difference"].abs().max()) if len(have) else 1.0
    right.hist(have["difference"], bins=np.linspace(-far, far, 22).tolist(), color=NORMAL, edgecolor="white")
    right.axvline(0, color="black", linestyle=":")
    right.set(xlabel="ours − published, points", ylabel="entries")
    return fig


def interactive(board: pd.DataFrame) -> HTML:
    """All entries as a `sortable` table, with the command behind each."""
    shown = board.rename(columns={"dataset": "data set", "method": "row", "column": "normal"})[list(SHOWN)]
    command = f"{json.dumps(folded('COMMAND', ROW_SUMMARY))}.replace('COMMAND', () => x)"
    columns: list[dict[str, Any]] = [
        {
            "targets": _places("command"),
            "className": "kd-how",
            "title": '<span class="sr-only">command</span>',
            "columnControl": [],
            "orderable": False,
            "render": itables.JavascriptFunction(f"function(x, type) {{ return type === 'display' ? {command} : x; }}"),
        },
        {"targets": _places("published", "ours"), "render": _render("x.toFixed(2)")},
        {"targets": _places("difference"), "render": _render("(x > 0 ? '+' : '') + x.toFixed(2)")},
        {"targets": _places("published", "ours", "difference", "seeds"), "className": "kd-number"},
        {"targets": _places("note"), "className": "kd-long"},
        {"targets": _places(*SHOWN[1:6]), "columnControl": ["order", ["searchList"]]},
    ]
    paged = {"paging": True, "pageLength": 20, "lengthMenu": [10, 20, 50, len(shown)]}
    table = sortable(shown, name="all-entries-table", columnDefs=columns, **paged).data
    whole = "\n".join(f"python -m kdlab run --table {number}" for number in paper.entries()["table"].unique())
    return HTML(f'{table}<pre class="kd-print">{whole}</pre>')


def _places(*names: str) -> list[int]:
    return [SHOWN.index(name) for name in names]


def _render(shown: str) -> itables.JavascriptFunction:
    """How a number is written; it sorts as the number that it is, nothing before all others."""
    return itables.JavascriptFunction(
        "function(x, type) { const known = typeof x === 'number' && isFinite(x);"
        f" return type === 'sort' || type === 'type' ? (known ? x : -1000) : known ? {shown} : ''; }}"
    )
