"""What a page says of its own making: a stamp at its end; its profile, or that it was not run, at its top."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import execute
import templates
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

Stamp = dict[str, Any]
FINDING = "finding"  # cells with this tag stand at the top of their page
PLACE = "how-this-page-was-made"  # where the stamp stands in a page
LINK = f'<p class="kd-reproduce"><a href="#{PLACE}">Reproduce</a></p>'
WORK = {  # what a profile's numbers are; the full protocol needs no word
    "smoke": "a test that every line runs, on little data; its numbers mean nothing",
    "laptop": "fewer epochs or images than the paper's protocol",
}


@dataclass(frozen=True)
class Page:
    """A notebook of the book: the parameters it is given, and the stamp of its executed copy where one is shown."""

    path: Path
    profile: str
    given: Mapping[str, Any]
    stamp: Stamp | None = None
    current: bool = False  # nothing that it was made from has changed since

    @property
    def name(self) -> str:
        """As `--only` knows it."""
        return self.path.with_suffix("").as_posix().removeprefix("notebooks/")


def made(given: Mapping[str, Any], parameters: Mapping[str, Any], seconds: float, peak: int) -> Stamp:
    """What is known of a run that just ended. ``peak`` in bytes; ``parameters``: of its copy, as papermill tells."""
    import torch  # takes seconds: only where something ran

    from kdlab.experiments.records import commit, processor

    spent = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    gpu = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    facts = {
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, in {spent}, peak memory {peak / 2**20:.0f} MiB",
        "parameters": ", ".join(f"`{name} = {found['default']}`" for name, found in parameters.items()),
        "commit": commit().replace("+", " + changes") or "not in git",
        "machine": f"{processor()}, {os.cpu_count()} cores{gpu}",
        "versions": f"Python {sys.version.split()[0]}, PyTorch {torch.__version__}",
    }
    return {"given": dict(given), "seconds": round(seconds, 1), "facts": facts}


def build_command(page: Page) -> str:
    """The command that makes the page again, from the repository's root."""
    words = ["python", "book/build/build.py", "--profile", page.profile, "--only", page.name]
    for name, value in page.given.items():
        words += ["-p", name, execute.typed(value)] if name != "profile" else []
    return shlex.join(words)


def footer(page: Page) -> str:
    """The stamp itself: closed until a reader opens it."""
    assert page.stamp is not None
    digests = ", ".join(f"{name} `{value}`" for name, value in page.stamp["inputs"].items())
    facts = (page.stamp["facts"] | {"digests": digests}).items()
    table = "\n".join(f"| {name} | {said.replace('|', chr(92) + '|')} |" for name, said in facts)
    return f"""````{{dropdown}} How this page was made
:class-container: kd-stamp

<span id="{PLACE}"></span>

| | |
|---|---|
{table}

Make the page again:

```bash
{build_command(page)}
```
````"""


def header(page: Page) -> str:
    """What a reader must know before the first number: nothing of a page in profile paper."""
    profile = page.given.get("profile")
    if page.stamp is None:
        command = f"```bash\n{build_command(page)}\n```"
        return f"````{{warning}}\nThis page was not run: it shows no results. Run it:\n\n{command}\n````"
    if profile not in WORK:
        return ""
    said = f"This page ran in profile `{profile}`: {WORK[profile]}. Results from records name their own profile. "
    said += "{ref}`One box <first-words>` says what words such as profile, preset and record mean."
    return f"```{{container}} kd-profile\n{said}\n```"


def marked(notebook: NotebookNode, page: Page) -> NotebookNode:
    """A notebook as a page: header and finding below its title, footer, and links to it from what code shows."""
    notebook.cells = templates.without_holes(notebook.cells) if page.stamp else notebook.cells
    title, _, text = notebook.cells[0].source.partition("\n")
    found, rest = [new_markdown_cell(f"{title}\n\n{header(page)}", id="stamp-title")], notebook.cells[1:]
    found += [cell for cell in rest if FINDING in cell.metadata.get("tags", [])]
    found += [new_markdown_cell(text, id="stamp-opening")] if text.strip() else []
    notebook.cells = found + [cell for cell in rest if FINDING not in cell.metadata.get("tags", [])]
    if page.stamp:
        for cell in notebook.cells:
            if cell.cell_type == "code" and any(shows(output.get("data", {})) for output in cell.outputs):
                cell.outputs.append(new_output("display_data", {"text/html": LINK}))
        notebook.cells.append(new_markdown_cell(footer(page), id="stamp-footer"))
    return notebook


def shows(output: Mapping[str, Any]) -> bool:
    """Whether an output is a picture, a control, or a table whose rows do not say themselves how they were made."""
    text = "".join(output.get("text/html", ""))
    widget, picture = "application/vnd.jupyter.widget-view+json" in output, "image/png" in output
    return widget or picture or "<figure" in text or ("<table" in text and "kd-command" not in text)
