"""Execute one notebook with papermill, in this interpreter, and leave a copy fit for the book."""

from __future__ import annotations

import ast
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
import psutil  # type: ignore[import-untyped]
from filelock import FileLock
from traitlets.config import Config

KERNEL = "kdlib-build"
ALONE = "alone"  # cells with this tag measure time


def install_kernel(work: Path) -> None:
    """Make this interpreter the kernel, whatever kernels the user has, without progress bars, on one thread.

    One thread, unless the user has said otherwise: sums in another order differ in the last digit.
    """
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
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or "1",
    }


def same_environment(variables: dict[str, str]) -> None:
    """For a process that is forked from one that started earlier."""
    os.environ.update(variables)


def parsed(text: str, declared: str = "") -> Any:
    """A value from the command line: a Python literal, else the text itself; to a `str` a number is text too."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return text if declared == "str" and not isinstance(value, str) else value


def typed(value: Any) -> str:
    """A value as `parsed` takes it."""
    return value if isinstance(value, str) and parsed(value) == value else repr(value)


def failure(path: Path, error: Exception) -> str:
    """Which cell of the source failed, and why: read from the copy that papermill left."""
    cells = nbformat.read(path, as_version=4).cells
    cells = [cell for cell in cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    if isinstance(error, papermill.PapermillExecutionError):
        said = f"{error.ename}: {error.evalue}"
    started = [i for i, cell in enumerate(cells, 1) if cell.metadata.get("papermill", {}).get("start_time")]
    if not started:
        return said
    place = started[-1]  # none starts after the one that failed
    first, *_ = cells[place - 1].source.strip().splitlines() or [""]
    return f"cell {place} of {len(cells)} (`{first}`): {said}"


@contextmanager
def alone() -> Iterator[None]:
    """All other notebooks of the build stand still; one that measures time as well waits for its turn."""
    with FileLock(Path(os.environ["JUPYTER_PATH"], "alone.lock")):
        own = psutil.Process()
        others = {*own.parent().children(recursive=True)} - {own, *own.children(recursive=True)}

        def send(sign: int) -> None:
            for each in others:
                with suppress(psutil.NoSuchProcess):  # it ended
                    each.send_signal(sign)

        send(signal.SIGSTOP)
        try:
            yield
        finally:
            send(signal.SIGCONT)


class Run(NamedTuple):
    """What became of a notebook: why it failed ("" if it did not), cost of its kernel."""

    problem: str
    seconds: float
    peak: int  # bytes


def run(notebook: nbformat.NotebookNode, target: Path, timeout: int) -> Run:
    """Run one notebook, in the folder of who calls; its copy is left where it did not fail."""
    begin = time.perf_counter()
    part, failed = (target.with_suffix(end) for end in (".part.ipynb", ".failed.ipynb"))
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, part)
    problem = ""
    try:
        # Sockets in a folder of its own: TCP ports are chosen first, bound later; kernels that start together collide.
        with tempfile.TemporaryDirectory(prefix="kdlib-") as own, ExitStack() as measuring:

            def begin_cell(cell: nbformat.NotebookNode, **_: Any) -> None:
                if ALONE in cell.metadata.get("tags", []):
                    measuring.enter_context(alone())

            papermill.execute_notebook(
                part,
                part,
                progress_bar=False,
                cwd=Path.cwd(),
                kernel_name=KERNEL,
                language="python",
                config=Config(KernelManager={"transport": "ipc", "connection_file": f"{own}/kernel.json"}),
                on_cell_execute=begin_cell,
                on_cell_executed=lambda **_: measuring.close(),
                execution_timeout=timeout,
                start_timeout=600,  # this one may be made to stand still
                iopub_timeout=600,
            )
        part.replace(target)
        failed.unlink(missing_ok=True)
    except Exception as error:  # any notebook's failure is reported at the end, after the others ran
        problem = failure(part, error)
        part.replace(failed)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return Run(problem, time.perf_counter() - begin, peak)
