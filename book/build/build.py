"""Execute the notebooks with papermill, then build the book from the executed copies.

    python book/build/build.py --profile smoke --only 'practice/*' -p seed 1

All goes below the work folder: executed copies and their stamps to `executed/<profile>/`, what the pages are made of to
`book/<profile>/`, pages to `site/<profile>/`. A page older than its sources is never shown as if it were not: without
`--only` the build refuses; with it, what was not asked for and is not up to date is shown without outputs, and says so.
"""

from __future__ import annotations

import argparse
import ast
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import execute
import nbformat
import pages
import papermill
import pdf
import stamp
import templates
from inputs import Inputs
from sphinx_external_toc.parsing import parse_toc_yaml
from stamp import Page

ROOT = Path(__file__).resolve().parents[2]
PROFILES = {"smoke": 600, "laptop": 3600, "paper": 86400}  # how much work: seconds that one cell may take


def listed(root: Path) -> list[Path]:
    """The notebooks that `_toc.yml` lists, in its order, relative to `root`."""
    names = parse_toc_yaml(root / "_toc.yml")
    return [path for name in names if templates.exists(root, path := Path(f"{name}.ipynb"))]


def known_parameters(path: Path) -> dict[str, dict[str, str]]:
    """Name -> type, default and help of each parameter that the notebook declares."""
    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(path, as_version=4).cells]
    if not any("parameters" in each for each in tags):
        raise SystemExit(f"{path}: no cell tagged `parameters`. Tag the first code cell; it holds every setting.")
    return dict(papermill.inspect_notebook(path))


def check(root: Path, notebooks: list[Path], given: dict[str, Any], profile: str) -> dict[Path, dict[str, Any]]:
    """The parameters to pass to each notebook; an unknown one is refused before anything runs."""
    chosen = {}
    for path in notebooks:
        known = known_parameters(templates.source(root, path))
        if "dataset" in given and templates.template(root, path):
            raise SystemExit(f"{path}: its data set is its name; leave out -p dataset, or execute the template.")
        if unknown := sorted(set(given) - set(known)):
            raise SystemExit(f"{path}: unknown parameter {', '.join(unknown)}; it knows {', '.join(known)}.")
        chosen[path] = ({"profile": profile} if "profile" in known else {}) | given
    return chosen


def parsed(text: str) -> Any:
    """A value from the command line: a Python literal, else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def stamped(executed: Path, path: Path) -> stamp.Stamp | None:
    """The stamp of an executed copy, if there are both."""
    file = (executed / path).with_suffix(".json")
    return json.loads(file.read_text()) if file.is_file() and (executed / path).is_file() else None


def page(executed: Path, path: Path, profile: str, sources: Inputs, given: dict[str, Any] | None = None) -> Page:
    """A notebook and its executed copy, compared with the sources and, where they are asked for, the parameters."""
    found = stamped(executed, path)
    if found is None:
        return Page(path, profile, given or {})
    now, then = sources.of(path, found.get("reads", ())), found["inputs"]
    changed = [name for name in {**now, **then} if now.get(name) != then.get(name)]
    if given is not None and json.dumps(given, sort_keys=True) != json.dumps(found["given"], sort_keys=True):
        changed.append("parameters")
    return Page(path, profile, found["given"], found, tuple(changed))


def refresh(root: Path, executed: Path, chosen: dict[Path, dict[str, Any]], sources: Inputs, profile: str) -> list[str]:
    """Execute the notebooks whose copy is missing or older than its sources; returns one line per failure."""
    stale = {}
    for path, given in chosen.items():
        if page(executed, path, profile, sources, given).state == stamp.CURRENT:
            print(f"{path}: up to date", flush=True)
        else:
            (executed / path).with_suffix(".json").unlink(missing_ok=True)
            stale[path] = given
    # Pages of the other profiles show how long things take: these run alone.
    processors = os.cpu_count() or 1
    jobs = min(processors, 4) if profile == "smoke" else 1
    before = {path: sources.of(path, ()) for path in stale}  # what changes while they run makes them old
    failures = []
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=execute.share_processors,
        initargs=(processors // jobs,),
        max_tasks_per_child=1,  # each with its own peak memory
    ) as pool:
        limit = PROFILES[profile]
        runs = {
            pool.submit(execute.run, templates.source(root, p), executed / p, given, limit): p
            for p, given in stale.items()
        }
        for done in as_completed(runs):
            path, run = runs[done], done.result()
            outcome = "FAILED" if run.problem else "done"
            print(f"{path}: {outcome} after {run.seconds:.1f} s, peak {run.peak / 2**20:.0f} MiB", flush=True)
            if run.problem:
                failures.append(f"{path}, {run.problem}")
                continue
            defaults = {
                name: known["default"] for name, known in known_parameters(templates.source(root, path)).items()
            }
            record = {"inputs": sources.of(path, run.reads) | before[path], "reads": run.reads}
            record |= stamp.made(stale[path], defaults, run.seconds, run.peak)
            (executed / path).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return failures


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Execute the notebooks, build the book.")
    parser.add_argument("--profile", choices=PROFILES, default="laptop", help="how much work (default: laptop)")
    parser.add_argument("--work", type=Path, default=root / "work", help="work folder (default: work)")
    parser.add_argument("--only", metavar="GLOB", default="*", help="execute only these, such as 'practice/*'")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    parser.add_argument("--no-execute", action="store_true", help="build from executed copies, refuse where one is old")
    parser.add_argument("--allow-stale", action="store_true", help="show pages older than their sources, marked")
    parser.add_argument("--pdf", action="store_true", help="make a PDF of the whole book as well; needs Chromium")
    options = parser.parse_args(arguments)
    if options.pdf and not pdf.chromium():
        raise SystemExit(f"--pdf: {pdf.MISSING}.")

    work = options.work.resolve()
    executed, book, site = (work / part / options.profile for part in ("executed", "book", "site"))
    for name, folder in (("KDLIB_RESULTS", "results"), ("KDLIB_DATA", "data")):  # a notebook runs in another folder
        os.environ[name] = str(Path(os.environ.get(name) or root / folder).resolve())
    os.environ["KDLIB_WORK"] = str(work)
    known = listed(root)
    globs = (options.only, f"notebooks/{options.only}", f"notebooks/{options.only}.ipynb")
    notebooks = [path for path in known if any(fnmatch(str(path), glob) for glob in globs)]
    if known and not notebooks:
        raise SystemExit(f"--only {options.only}: no such notebook in _toc.yml; it lists {', '.join(map(str, known))}.")
    chosen = check(root, notebooks, {name: parsed(value) for name, value in options.p}, options.profile)

    sources = Inputs(root, Path(os.environ["KDLIB_RESULTS"]))
    if not options.no_execute:
        execute.install_kernel(work)
        if failures := refresh(root, executed, chosen, sources, options.profile):
            print("The book was not built; these notebooks failed:", *failures, sep="\n  ", file=sys.stderr)
            return 1
    shown = [page(executed, path, options.profile, sources, chosen.get(path)) for path in known]
    old = [each for each in shown if each.state != stamp.CURRENT]
    if not options.allow_stale:
        if refused := [each for each in old if each.path in chosen]:
            print("The book was not built; these pages are not up to date:", file=sys.stderr)
            for each in refused:
                why = f"changed since it ran: {', '.join(each.changed)}" if each.changed else "never run"
                print(f"  {each.path}: {why}\n    {stamp.build_command(each)}", file=sys.stderr)
            again = "without --no-execute" if options.no_execute else "again: they changed while it worked"
            print(f"All at once: the same command {again}.", file=sys.stderr)
            return 1
        shown = [replace(each, stamp=None) if each in old else each for each in shown]
    for each in old:
        print(
            f"{each.path}: {each.state}, "
            + ("marked" if options.allow_stale and each.stamp else "shown without outputs")
        )
    pages.assemble(root, executed, book, shown)
    if code := pages.render(root, book, site):
        print("The book was not built; see the warnings above.", file=sys.stderr)
        return code
    print(f"The book: {site / 'index.html'}")
    if options.pdf:
        print(f"As a PDF: {pdf.make(book, site, work / 'pdf' / f'{options.profile}.pdf', options.profile)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
