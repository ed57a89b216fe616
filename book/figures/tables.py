"""Tables of a page: the recipe, where records come from, numbers; each row leads to the command that makes it again."""

import html
import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import itables
import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from kdlab import paper
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlib.recipe import Recipe

BOARD = ("command", "table", "data set", "row", "normal", "profile", "published", "ours", "difference", "seeds", "note")
LONG = 12  # rows that a reader takes in
HOW = '<span class="kd-how sr-only">command</span>'  # head of the column of commands
_ROW = "command that makes this row again"
ROW_SUMMARY = f'<summary title="{_ROW}" aria-label="{_ROW}"></summary>'
_MARK = "font-weight: bold; color: var(--pst-color-danger, #D55E00)"  # of the book's theme, for both modes


def folded(command: str, summary: str) -> str:
    """A command that a reader can unfold, with the keyboard too; ``summary`` is HTML."""
    return f'<details class="kd-command">{summary}<pre>{html.escape(command)}</pre></details>'


def few(table: HTML, rows: int, limit: int = LONG) -> HTML:
    """A table; one of more rows than ``limit`` is folded."""
    if rows <= limit:
        return table
    return HTML(f'<details class="kd-rows"><summary>All {rows} rows</summary>{table.data}</details>')


def plain(frame: pd.DataFrame, form: str = "{:.2f}", *, index: bool = False, **more: Any) -> HTML:
    """A small table, of which no row needs a command."""
    return HTML(frame.to_html(classes="kd-table", border=0, index=index, na_rep="–", float_format=form.format, **more))


def linked(frame: pd.DataFrame) -> HTML:
    """A table whose cells are HTML, to be glued into a page of prose: it scrolls in the theme's own container."""
    table = frame.to_html(classes="kd-table", border=0, index=False, escape=False, na_rep="–", justify="left")
    return HTML(f'<div class="pst-scrollable-table-container">{table}</div>')


def numbers(
    frame: pd.DataFrame,
    behind: Sequence[str | Collection[Experiment]],
    *,
    whole: Sequence[str] = (),
    signed: Sequence[str] = (),
    index: bool = True,
    limit: int = LONG,
) -> HTML:
    """A table with the command of each row folded before it; in print one of the whole table stands below.

    A column ``difference`` is ours minus published: more than 2 points are marked.

    Args:
        behind: each row: its experiments, or its command.
        whole, signed: columns of numbers without digits behind the point, and with a sign.
        limit: a table of more rows is folded.

    Raises:
        ValueError: as many rows as commands are expected.
    """
    if len(behind) != len(frame):
        raise ValueError(f"numbers: the table has {len(frame)} rows, there are commands for {len(behind)}")
    commands = [row if isinstance(row, str) else run_command(row) for row in behind]
    experiments = chain(*(row for row in behind if not isinstance(row, str)))
    all_rows = run_command(experiments) or "\n".join(dict.fromkeys(commands))
    shown = frame.rename_axis("").reset_index() if index else frame.reset_index(drop=True)
    shown.insert(0, HOW, [folded(command, ROW_SUMMARY) for command in commands])
    style = Styler(shown, cell_ids=False).hide().format(precision=2, na_rep="–", escape="html")
    for columns, form in (([HOW], "{}"), (whole, "{:.0f}"), (signed, "{:+.2f}")):
        style.format(form, subset=list(columns), na_rep="–")
    if "difference" in frame:
        style.map(lambda difference: _MARK if abs(difference) > 2 else "", subset=["difference"])
    style.set_td_classes(pd.DataFrame("kd-how", shown.index, [HOW])).set_table_attributes('class="kd-table"')
    table = f'{style.to_html()}<pre class="kd-print">{html.escape(all_rows)}</pre>'
    return few(HTML(table), len(frame), limit)


def sortable(frame: pd.DataFrame, *, name: str, **more: Any) -> HTML:
    """A table that sorts and filters in the page, without kernel and without network.

    Displays the scripts that it needs, 1 MB, beside what it returns the first time in a page.

    Args:
        name: id of the table; no heading of the page may have the same.
        more: options of DataTables.
    """
    _scripts()
    options: dict[str, Any] = {"paging": False, "order": [], "columnControl": ["order", "searchDropdown"]}
    options["columnDefs"] = [{"targets": "_all", "className": "kd-long"}]
    options |= {"ordering": {"indicators": False, "handler": True}, "text_in_header_can_be_selected": False}
    options |= {"connected": False, "showIndex": False, "maxBytes": 0, "display_logo_when_loading": False}
    options |= {"table_id": name, "autoWidth": False} | more
    return HTML(itables.to_html_datatable(frame, **options))


@cache
def _scripts() -> None:
    itables.init_notebook_mode(all_interactive=False, connected=False)


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


def interactive(board: pd.DataFrame) -> HTML:
    """All entries as a `sortable` table, with the command behind each."""
    shown = board.rename(columns={"dataset": "data set", "method": "row", "column": "normal"})[list(BOARD)]
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
        {"targets": _places(*BOARD[1:6]), "columnControl": ["order", ["searchList"]]},
    ]
    paged = {"paging": True, "pageLength": 20, "lengthMenu": [10, 20, 50, len(shown)]}
    table = sortable(shown, name="all-entries-table", columnDefs=columns, **paged).data
    whole = "\n".join(f"python -m kdlab run --table {number}" for number in paper.entries()["table"].unique())
    return HTML(f'{table}<pre class="kd-print">{whole}</pre>')


def _places(*names: str) -> list[int]:
    return [BOARD.index(name) for name in names]


def _render(shown: str) -> itables.JavascriptFunction:
    """How a number is written; it sorts as the number that it is, nothing before all others."""
    return itables.JavascriptFunction(
        "function(x, type) { const known = typeof x === 'number' && isFinite(x);"
        f" return type === 'sort' || type === 'type' ? (known ? x : -1000) : known ? {shown} : ''; }}"
    )
