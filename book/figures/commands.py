"""What leads a reader from a table or a figure to the command that makes it again: folded, without any script."""

import html
import re
from collections.abc import Collection, Sequence
from itertools import chain

from IPython.display import HTML

from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment

_ROW = "command that makes this row again"
ROW_SUMMARY = f'<summary title="{_ROW}" aria-label="{_ROW}"></summary>'


def folded(command: str, summary: str) -> str:
    """A command that a reader can unfold, with the keyboard too; ``summary`` is HTML."""
    return f'<details class="kd-command">{summary}<pre>{html.escape(command)}</pre></details>'


def reproducible(table: str, rows: Sequence[str | Collection[Experiment]]) -> HTML:
    """A table with the command of each row folded before it; in print one of the whole table stands below.

    Args:
        table: HTML with a head and a body, such as of pandas.
        rows: of the body: the experiments behind each, or its command.

    Raises:
        ValueError: as many rows as commands are expected.
    """
    commands = [row if isinstance(row, str) else run_command(row) for row in rows]
    experiments = chain(*(row for row in rows if not isinstance(row, str)))
    whole = run_command(experiments) or "\n".join(dict.fromkeys(commands))
    head, start, body = table.partition("<tbody>")
    above, *lines = re.split("(?=<tr)", body)
    if len(lines) != len(rows):
        raise ValueError(f"reproducible: the table has {len(lines)} rows, there are commands for {len(rows)}")
    for number, command in enumerate(commands):
        cell = f'<td class="kd-how">{folded(command, ROW_SUMMARY)}</td>'
        lines[number] = lines[number].replace(">", f">{cell}", 1)
    corner = f'<th class="kd-how" rowspan="{head.count("<tr")}"><span class="sr-only">command</span></th>'
    head = re.sub("<tr.*?>", lambda found: found[0] + corner, head, count=1, flags=re.DOTALL)
    return HTML(f'{head}{start}{above}{"".join(lines)}<pre class="kd-print">{html.escape(whole)}</pre>')
