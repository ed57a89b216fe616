"""Pictures of `coverage.scoreboard`: how much of the paper has records, how far they are from it, and all of it."""

import json
from typing import Any

import itables
import pandas as pd
from IPython.display import HTML

from book.figures.tables import ROW_SUMMARY, folded, sortable
from kdlab import paper

SHOWN = ("command", "table", "data set", "row", "normal", "profile", "published", "ours", "difference", "seeds", "note")


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
