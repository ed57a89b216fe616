"""Execute the notebooks with papermill, then build the book from the executed copies.

    python book/build/build.py --profile smoke --only 'practice/*' -p seed 1

All goes below the work folder: executed copies and their stamps to `executed/<profile>/`, what the pages are made of to
`book/<profile>/`, pages to `site/<profile>/`. A page older than its sources is never shown as if it were not: what
`--only` leaves out and is not up to date is shown without outputs, and says so.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import execute
import inputs
import nbformat
import papermill
import pdf
import stamp
import templates
import yaml
from inputs import Inputs
from sphinx_external_toc.parsing import parse_toc_yaml
from stamp import Page

from kdlab import short_temporary_folder

ROOT = Path(__file__).resolve().parents[2]
# What no page loads: maps for debuggers, fonts that browsers take only where they do not know woff2, sources of the
# theme's translations.
UNUSED = "**/*.map", "_static/vendor/**/*.ttf", "_static/locales", "**/*webpack-macros.html"
LONG = ("deployment", "your_own_images", "00_sixty_lines", "explorer", "fast")  # begin first where none has run yet
PROFILES = {"smoke": 600, "laptop": 3600, "paper": 86400}  # how much work: seconds that one cell may take


def listed(root: Path) -> list[Path]:
    """The notebooks that `_toc.yml` lists, in its order, relative to `root`."""
    names = parse_toc_yaml(root / "_toc.yml")
    return [path for name in names if templates.exists(root, path := Path(f"{name}.ipynb"))]


def check(root: Path, notebooks: list[Path], given: dict[str, str], profile: str) -> dict[Path, dict[str, Any]]:
    """The parameters to pass to each notebook, of the types that it declares; an unknown one is refused."""
    chosen = {}
    for path in notebooks:
        notebook = templates.notebook(root, path)
        if not any("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells):
            raise SystemExit(f"{path}: no cell tagged `parameters`. Tag the one that holds every setting.")
        known = papermill.inspect_notebook(notebook)  # name -> type, default, help
        if "dataset" in given and templates.template(root, path):
            raise SystemExit(f"{path}: its data set is its name; leave out -p dataset, or execute the template.")
        if unknown := sorted(set(given) - set(known)):
            raise SystemExit(f"{path}: unknown parameter {', '.join(unknown)}; it knows {', '.join(known)}.")
        typed = {name: execute.parsed(text, known[name]["inferred_type_name"]) for name, text in given.items()}
        chosen[path] = ({"profile": profile} if "profile" in known else {}) | typed
    return chosen


def page(executed: Path, path: Path, profile: str, now: Inputs, given: dict[str, Any] | None = None) -> Page:
    """A notebook and its executed copy, compared with its inputs and, where they are asked for, the parameters."""
    file = (executed / path).with_suffix(".json")
    if not (file.is_file() and (executed / path).is_file()):
        return Page(path, profile, given or {})
    found = json.loads(file.read_text())
    as_asked = given is None or json.dumps(given, sort_keys=True) == json.dumps(found["given"], sort_keys=True)
    return Page(path, profile, found["given"], found, current=as_asked and found["inputs"] == now)


def refresh(
    root: Path, executed: Path, chosen: dict[Path, dict[str, Any]], now: dict[Path, Inputs], profile: str
) -> list[str]:
    """Execute the notebooks whose copy is missing or older than its inputs; returns one line per failure.

    As many at once as there are processors, those first that took longest when they last ran.
    """
    pages = [page(executed, path, profile, now[path], given) for path, given in chosen.items()]
    for each in pages:
        if each.current:
            print(f"{each.path}: up to date", flush=True)
    stale = [each for each in pages if not each.current]
    seconds = {each.path: each.stamp["seconds"] if each.stamp else math.inf for each in stale}
    stale.sort(key=lambda each: (seconds[each.path], each.path.stem in LONG), reverse=True)
    failures = []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["papermill"])  # more than a second, once
    with ProcessPoolExecutor(
        os.cpu_count(),
        mp_context=context,
        initializer=execute.same_environment,
        initargs=(dict(os.environ),),
        max_tasks_per_child=1,  # each with its own peak memory
    ) as pool:
        runs = {}
        for path in [each.path for each in stale]:
            (executed / path).with_suffix(".json").unlink(missing_ok=True)
            notebook = templates.with_values(templates.notebook(root, path), chosen[path])
            runs[pool.submit(execute.run, notebook, executed / path, PROFILES[profile])] = path
        for done in as_completed(runs):
            path, run = runs[done], done.result()
            outcome = "FAILED" if run.problem else "done"
            print(f"{path}: {outcome} after {run.seconds:.1f} s, peak {run.peak / 2**20:.0f} MiB", flush=True)
            if run.problem:
                failures.append(f"{path}, {run.problem}")
                continue
            parameters = papermill.inspect_notebook(executed / path)
            record = {"inputs": now[path]} | stamp.made(chosen[path], parameters, run.seconds, run.peak)
            (executed / path).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    return failures


def assemble(root: Path, executed: Path, book: Path, shown: list[Page]) -> None:
    """Lay prose, settings and marked copies of the executed notebooks out as in the repository."""
    shutil.rmtree(book, ignore_errors=True)
    for part in ("chapters", "theme"):
        shutil.copytree(root / "book" / part, book / "book" / part)
    shutil.copy(root / "_toc.yml", book)
    config = yaml.safe_load((root / "_config.yml").read_text())
    if not all(each.stamp for each in shown):  # the first page glues what a notebook makes that did not run
        settings = config.setdefault("sphinx", {}).setdefault("config", {})
        settings["suppress_warnings"] = ["mystnb.glue_ref"]
    (book / "_config.yml").write_text(yaml.safe_dump(config))
    for each in shown:
        (book / each.path).parent.mkdir(parents=True, exist_ok=True)
        found = nbformat.read(executed / each.path, 4) if each.stamp else templates.notebook(root, each.path)
        nbformat.write(stamp.marked(found, each), book / each.path)


def offer(site: Path, root: Path) -> None:
    """Let each page's download be its notebook without outputs, and its buttons lead to what the repository has."""
    for copy in site.glob("_sources/**/*.ipynb"):
        path = copy.relative_to(site / "_sources")
        nbformat.write(templates.notebook(root, path), copy)
        if template := templates.template(root, path):
            page = (site / path).with_suffix(".html")
            page.write_text(page.read_text().replace(f"tree/{path}", f"tree/{template}"))


def render(root: Path, book: Path, site: Path) -> int:
    """Build the pages, warnings as errors; the site is replaced only by one that built."""
    output = book / "_build" / "html"
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["build", str(book), "--all", "-W", "--keep-going", "--quiet"]
    code = subprocess.run([*jupyter_book, *options], check=False, stdout=subprocess.DEVNULL).returncode
    if code == 0:
        offer(output, root)
        for path in [path for pattern in UNUSED for path in output.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if (output / "book" / "chapters" / "live.html").is_file():
            import live  # torch, which nothing else here needs

            live.add(output, book.parents[1])
        shutil.rmtree(site, ignore_errors=True)
        site.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(output, site)
    return code


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description="Execute the notebooks, build the book.")
    parser.add_argument("--profile", choices=PROFILES, default="laptop", help="how much work (default: laptop)")
    parser.add_argument("--work", type=Path, default=root / "work", help="work folder (default: work)")
    parser.add_argument("--only", metavar="GLOB", default="*", help="execute only these, such as 'practice/*'")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    parser.add_argument("--pdf", action="store_true", help="make a PDF of the whole book as well; needs Chromium")
    options = parser.parse_args(arguments)
    if options.pdf and not pdf.chromium():
        raise SystemExit(f"--pdf: {pdf.MISSING}.")

    short_temporary_folder()
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
    chosen = check(root, notebooks, dict(options.p), options.profile)

    behind_all = inputs.shared(root)
    now = {path: inputs.of(root, path, behind_all) for path in known}  # what changes while they run makes them old
    execute.install_kernel(work)
    if failures := refresh(root, executed, chosen, now, options.profile):
        print("The book was not built; these notebooks failed:", *failures, sep="\n  ", file=sys.stderr)
        return 1
    shown = [page(executed, path, options.profile, now[path], chosen.get(path)) for path in known]
    old = [each for each in shown if not each.current]
    for each in old:
        print(f"{each.path}: {'older than its sources' if each.stamp else 'not run'}, shown without outputs")
    shown = [replace(each, stamp=None) if each in old else each for each in shown]
    assemble(root, executed, book, shown)
    if code := render(root, book, site):
        print("The book was not built; see the warnings above.", file=sys.stderr)
        return code
    print(f"The book: {site / 'index.html'}")
    if options.pdf:
        print(f"As a PDF: {pdf.make(book, site, work / 'pdf' / f'{options.profile}.pdf')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
