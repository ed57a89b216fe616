"""What a page says of its own making: a stamp at its end; its profile, and whether it is old, at its top."""

import ast
import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import execute
import nbformat
from nbformat.v4 import new_markdown_cell, new_output

Stamp = dict[str, Any]
PLACE = "how-this-page-was-made"  # where the stamp stands in a page
LINK = f'<p class="kd-reproduce"><a href="#{PLACE}">Reproduce</a></p>'
WORK = {  # what a profile's figures are; the full protocol needs no word
    "smoke": "a test that every line runs, on little data; its figures mean nothing",
    "laptop": "fewer epochs or images than the paper's protocol",
}
CURRENT, STALE, BARE = "done", "older than its sources", "not run"


@dataclass(frozen=True)
class Page:
    """A notebook of the book: the parameters it is given, and the stamp of its executed copy where one is shown."""

    path: Path
    profile: str
    given: Mapping[str, Any]
    stamp: Stamp | None = None
    changed: tuple[str, ...] = ()  # inputs that have changed since it ran

    @property
    def state(self) -> str:
        return BARE if self.stamp is None else STALE if self.changed else CURRENT

    @property
    def name(self) -> str:
        """As `--only` knows it."""
        start = "notebooks/" if self.path.is_relative_to("notebooks") else ""
        return self.path.with_suffix("").as_posix().removeprefix(start)


def made(given: Mapping[str, Any], parameters: Mapping[str, str], seconds: float, peak: int) -> Stamp:
    """What is known of a run that just ended. ``peak`` in bytes; ``parameters`` are the defaults, as source text."""
    import torch  # takes seconds: only where something ran

    from kdlab.experiments.records import commit, processor

    return {
        "given": dict(given),
        "parameters": dict(parameters) | {name: execute.literal(value) for name, value in given.items()},
        "seconds": round(seconds, 1),
        "peak_bytes": peak,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "versions": {"Python": sys.version.split()[0], "PyTorch": torch.__version__},
    }


def commit(stamp: Stamp) -> str:
    """The commit for a reader's eye."""
    if not stamp["commit"]:
        return "not in git"
    return f"`{stamp['commit'].rstrip('+')}`" + (" + changes" if stamp["commit"].endswith("+") else "")


def build_command(page: Page) -> str:
    """The command that makes the page again, from the repository's root."""
    words = ["python", "book/build/build.py", "--profile", page.profile, "--only", page.name]
    for parameter, value in page.given.items():
        if parameter != "profile":
            words += ["-p", parameter, typed(value)]
    return shlex.join(words)


def typed(value: Any) -> str:
    """A value as `-p` of the build takes it: a text as it stands, unless it would be taken for another value."""
    if isinstance(value, str):
        try:
            ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return repr(value)


def papermill_command(page: Page) -> str:
    """The command that runs the notebook alone; `-r` is for texts, `-y` for what is no single value."""
    words = ["papermill", page.path.as_posix(), "out.ipynb"]
    for name, value in page.given.items():
        if name == "profile" or isinstance(value, bool | int | float):
            words += ["-p", name, str(value)]
        elif isinstance(value, str):
            words += ["-r", name, value]
        else:
            words += ["-y", json.dumps({name: value})]  # JSON is YAML
    return shlex.join(words)


def facts(page: Page) -> dict[str, str]:
    """The stamp's rows."""
    stamp = page.stamp
    assert stamp is not None
    machine = f"{stamp['processor']}, {stamp['cores']} cores" + (f"; {stamp['device']}" if stamp["device"] else "")
    parameters = ", ".join(f"`{name} = {value}`" for name, value in stamp["parameters"].items())
    return {
        "made": f"{stamp['date']}, in {duration(stamp['seconds'])}, peak memory {memory(stamp['peak_bytes'])}",
        "parameters": parameters.replace("|", r"\|"),
        "commit": commit(stamp),
        "machine": machine,
        "versions": ", ".join(f"{name} {version}" for name, version in stamp["versions"].items()),
        "digests": ", ".join(f"{name} `{value}`" for name, value in stamp["inputs"].items()),
    }


def footer(page: Page) -> str:
    """The stamp itself: closed until a reader opens it."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts(page).items())
    return f"""````{{dropdown}} How this page was made
:class-container: kd-stamp

<span id="{PLACE}"></span>

| | |
|---|---|
{rows}

Make the page again:

```bash
{build_command(page)}
```

Or run its notebook alone:

```bash
{papermill_command(page)}
```
````"""


def header(page: Page) -> str:
    """What a reader must know before the first figure: nothing of a current page in profile paper."""
    command = f"\n\n```bash\n{build_command(page)}\n```\n"
    if page.state == BARE:
        return f"````{{warning}}\nThis page was not run: it shows no figures. Run it:{command}````"
    profile = page.given.get("profile")
    said = []
    if profile in WORK:
        said.append(
            f"```{{container}} kd-profile\nThis page ran in profile `{profile}`: {WORK[profile]}. "
            "Figures that are read from records name their own profile.\n```"
        )
    if page.state == STALE:
        changed = ", ".join(page.changed)
        said.append(f"````{{warning}}\nThis page is older than its sources. Changed since: {changed}.{command}````")
    return "\n\n".join(said)


def mark(copy: Path, page: Page) -> None:
    """Write header and footer into a copy that is about to become a page, and below what code shows where to look."""
    notebook = nbformat.read(copy, as_version=4)
    if text := header(page):
        first = notebook.cells[0] if notebook.cells else None
        if first and first.cell_type == "markdown" and first.source.startswith("# "):
            title, _, rest = first.source.partition("\n")
            first.source = f"{title}\n\n{text}\n{rest}"
        else:
            notebook.cells.insert(0, new_markdown_cell(text, id="stamp-header"))
    if page.stamp:
        for cell in notebook.cells:
            if cell.cell_type == "code" and any(shows(output.get("data", {})) for output in cell.outputs):
                cell.outputs.append(new_output("display_data", {"text/html": LINK}))
        notebook.cells.append(new_markdown_cell(footer(page), id="stamp-footer"))
    nbformat.write(notebook, copy)


def shows(output: Mapping[str, Any]) -> bool:
    """Whether an output is a picture, a control, or a table whose rows do not say themselves how they were made."""
    text = "".join(output.get("text/html", ""))
    widget, picture = "application/vnd.jupyter.widget-view+json" in output, "image/png" in output
    return widget or picture or "<figure" in text or ("<table" in text and "kd-command" not in text)


def duration(seconds: float) -> str:
    """Seconds for a reader's eye."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def memory(size: int) -> str:
    """Bytes for a reader's eye."""
    return f"{size / 2**20:.0f} MiB"
