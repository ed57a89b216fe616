"""Pictures of `coverage.scoreboard`: how much of the paper has records, how far they are from it, and all of it."""

import json
from typing import Any

import itables
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, NORMAL
from book.figures.commands import ROW_SUMMARY, folded
from kdlab import coverage, paper

# Darker: more is known.
STATES = {"paper": NORMAL, "laptop": ANOMALOUS, coverage.NOT_RUN: "0.8"}
SHOWN = {
    "command": "command",
    "table": "table",
    "dataset": "data set",
    "method": "row",
    "column": "normal",
    "profile": "profile",
    "published": "published",
    "ours": "ours",
    "difference": "difference",
    "seeds": "seeds",
    "note": "note",
}
# The theme makes every table a block that scrolls; DataTables lays its own out. Colours are the theme's.
CSS = """
.bd-article .dt-container { font-size: 0.78em; color: var(--pst-color-text-base); }
.bd-article .dt-container .dt-layout-table { overflow-x: auto; }
.bd-article .dt-container table.dataTable { display: table; max-width: none; overflow-x: visible; margin: 0; }
.bd-article .dt-container table.dataTable :is(th, td) { padding: 0.15rem 0.3rem; text-align: left; }
.bd-article .dt-container table.dataTable .kd-number { text-align: right; font-variant-numeric: tabular-nums; }
.bd-article .dt-container table.dataTable td.kd-long { white-space: normal; min-width: 15em; }
.bd-article .dt-container :is(input, select) {
  color: inherit; background-color: var(--pst-color-background); border: 1px solid var(--pst-color-border);
}
"""


def bars(board: pd.DataFrame) -> Figure:
    """How many of each table's entries have a record: a bar a table, its parts the profiles."""
    counts = pd.crosstab(board["table"], board["profile"]).reindex(columns=list(STATES), fill_value=0)
    fig, axis = plt.subplots(figsize=(7, 3.6))
    start = np.zeros(len(counts))
    for state, colour in STATES.items():
        axis.barh(
            [f"Table {n}" for n in counts.index],
            counts[state],
            left=start,
            color=colour,
            edgecolor="0.4",
            linewidth=0.5,
            label=state,
        )
        start += counts[state].to_numpy()
    for place, (_, row) in enumerate(counts.iterrows()):
        have = row["paper"] + row["laptop"]
        axis.text(row.sum() + 1, place, f"{have} of {row.sum()}", va="center", fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="entries of the paper's own method", xlim=(0, start.max() * 1.15))
    axis.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8)
    sns.despine(fig)
    fig.tight_layout()
    return fig


def differences(board: pd.DataFrame) -> Figure:
    """Ours against published, with the diagonal of perfect agreement; and how the differences are distributed."""
    have = board.dropna(subset="ours")
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    kinds = have["dataset"].unique()
    for number, dataset in enumerate(kinds):
        rows = have[have["dataset"] == dataset]
        left.plot(rows["published"], rows["ours"], "os^DvP*"[number % 7], markersize=5, alpha=0.7, label=dataset)
    ends = have[["published", "ours"]].to_numpy()
    low, high = (ends.min() - 1, 100.5) if len(have) else (50, 100.5)
    left.plot([low, high], [low, high], color="black", linestyle=":")
    left.set(xlabel="published AUROC, %", ylabel="ours, %", xlim=(low, high), ylim=(low, high), aspect="equal")
    if len(kinds):
        left.legend(frameon=False, fontsize=8)
    far = max(1.0, have["difference"].abs().max()) if len(have) else 1.0
    right.hist(have["difference"], bins=np.linspace(-far, far, 22).tolist(), color=NORMAL, edgecolor="white")
    right.axvline(0, color="black", linestyle=":")
    right.set(xlabel="ours − published, points", ylabel="entries")
    sns.despine(fig)
    fig.tight_layout()
    return fig


def interactive(board: pd.DataFrame) -> HTML:
    """All entries as a table that sorts and filters in the page, without kernel and without network.

    Displays the scripts that it needs, 1 MB, beside what it returns: once a page is enough.
    """
    itables.init_notebook_mode(all_interactive=False, connected=False)
    shown = board[list(SHOWN)].rename(columns=SHOWN)
    columns: list[dict[str, Any]] = [
        {
            "targets": _places("command"),
            "className": "kd-how",
            "title": '<span class="sr-only">command</span>',
            "columnControl": [],
            "orderable": False,
            "render": itables.JavascriptFunction(
                "function(x, type) { return type === 'display' ? "
                f"{json.dumps(folded('COMMAND', ROW_SUMMARY))}.replace('COMMAND', () => x) : x; }}"
            ),
        },
        {"targets": _places("published", "ours"), "render": _render("x.toFixed(2)")},
        {"targets": _places("difference"), "render": _render("(x > 0 ? '+' : '') + x.toFixed(2)")},
        {"targets": _places("published", "ours", "difference", "seeds"), "className": "kd-number"},
        {"targets": _places("note"), "className": "kd-long"},
        {
            "targets": _places("table", "dataset", "method", "column", "profile"),
            "columnControl": ["order", ["searchList"]],
        },
    ]
    table = itables.to_html_datatable(
        shown,
        connected=False,
        table_id="all-entries-table",
        showIndex=False,
        maxBytes=0,  # all rows, however many
        columnControl=["order", "searchDropdown"],
        ordering={"indicators": False, "handler": True},
        text_in_header_can_be_selected=False,  # else a click on a name does not sort
        columnDefs=columns,
        pageLength=20,
        lengthMenu=[10, 20, 50, len(shown)],
        autoWidth=False,
        css=CSS,
        display_logo_when_loading=False,
    )
    whole = "\n".join(f"python -m kdlab run --table {number}" for number in paper.entries()["table"].unique())
    return HTML(f'{table}<pre class="kd-print">{whole}</pre>')


def _places(*names: str) -> list[int]:
    return [list(SHOWN).index(name) for name in names]


def _render(shown: str) -> itables.JavascriptFunction:
    """How a number is written; it sorts as the number that it is, nothing before all others."""
    return itables.JavascriptFunction(
        "function(x, type) { const known = typeof x === 'number' && isFinite(x);"
        f" return type === 'sort' || type === 'type' ? (known ? x : -1000) : known ? {shown} : ''; }}"
    )
