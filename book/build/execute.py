"""Execute one notebook with papermill, in this interpreter, and leave a copy fit for the book."""

from __future__ import annotations

import ast
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
import slim
from traitlets.config import Config

KERNEL = "kdlib-build"


def install_kernel(work: Path) -> None:
    """Make this interpreter the kernel, whatever kernels the user has, and silence progress bars."""
    folder = work / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
    command += ["--log-level=ERROR", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    os.environ |= {
        "JUPYTER_PATH": str(work / "jupyter"),
        "IPYTHONDIR": str(work / "ipython"),
        "KDLIB_PROGRESS": "0",
        "TQDM_DISABLE": "1",
    }


def share_processors(threads: int) -> None:
    """How many threads the notebooks that this process runs may use, unless the user has said so."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def with_values(source: str, given: dict[str, Any]) -> str:
    """The parameters cell with the values of this run; its comments stay."""
    lines = source.encode().splitlines()  # bytes, as ast counts columns
    for node in reversed(ast.parse(source).body):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or (old := node.value) is None or old.end_lineno is None:
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and target.id in given:
            new = literal(given[target.id])
            head, tail = lines[old.lineno - 1][: old.col_offset], lines[old.end_lineno - 1][old.end_col_offset :]
            lines[old.lineno - 1 : old.end_lineno] = [head + new.encode() + tail]
    return b"\n".join(lines).decode()


def literal(value: Any) -> str:
    """A value as it would be typed, with the quotes that the repository uses."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def tidy(path: Path, given: dict[str, Any]) -> None:
    """Show one parameters cell, commented and with the values of this run; drop papermill's bookkeeping."""
    notebook = nbformat.read(path, as_version=4)
    cells = {tag: cell for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    if "injected-parameters" in cells:
        cells["injected-parameters"].source = with_values(cells["parameters"].source, given)
        cells["parameters"].metadata["tags"] = [*cells["parameters"].metadata["tags"], "remove-cell"]
    for each in [notebook, *notebook.cells]:
        each.metadata.pop("papermill", None)
    nbformat.write(notebook, path)


def failure(path: Path, error: BaseException) -> str:
    """Which cell of the source failed, and why: read from the copy that papermill left."""
    added = {"papermill-error-cell-tag", "injected-parameters"}
    cells = nbformat.read(path, as_version=4).cells if path.is_file() else []
    cells = [cell for cell in cells if added.isdisjoint(cell.metadata.get("tags", []))]
    started = [i for i, cell in enumerate(cells) if cell.metadata.get("papermill", {}).get("start_time")]
    if isinstance(error, papermill.PapermillExecutionError):
        said = f"{error.ename}: {error.evalue}"
    else:
        said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    if not started:
        return said
    place = started[-1]  # none starts after the one that failed
    first = next(iter(cells[place].source.strip().splitlines()), "")
    return f"cell {place + 1} of {len(cells)} (`{first}`): {said}"


class Run(NamedTuple):
    """What became of a notebook: why it failed ("" if it did not), what it read (`inputs`), cost of its kernel."""

    problem: str
    reads: list[str]
    seconds: float
    peak: int  # bytes


def run(source: Path, target: Path, parameters: dict[str, Any], timeout: int) -> Run:
    """Run one notebook; its copy is left where it did not fail."""
    begin = time.perf_counter()
    part = target.with_suffix(".part.ipynb")
    failed = target.with_suffix(".failed.ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    noted = target.with_suffix(".reads")
    noted.unlink(missing_ok=True)
    os.environ["KDLIB_READS"] = str(noted.resolve())
    try:
        options: dict[str, Any] = {"progress_bar": False, "execution_timeout": timeout, "cwd": target.parent}
        # Sockets in a folder of its own: TCP ports are chosen first, bound later; kernels that start together collide.
        with tempfile.TemporaryDirectory(prefix="kdlib-") as own:
            manager = {"transport": "ipc", "connection_file": f"{own}/kernel.json"}
            options |= {"kernel_name": KERNEL, "language": "python", "config": Config(KernelManager=manager)}
            papermill.execute_notebook(source, part, parameters, **options)
        tidy(part, parameters)
        slim.pictures(part)
        part.replace(target)
        failed.unlink(missing_ok=True)
    except Exception as error:  # any notebook's failure is reported at the end, after the others ran
        problem = failure(part, error)
        if part.is_file():
            part.replace(failed)
    finally:
        del os.environ["KDLIB_READS"]
    reads = sorted(set(noted.read_text().splitlines())) if noted.is_file() else []
    noted.unlink(missing_ok=True)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return Run(problem, reads, time.perf_counter() - begin, peak)
