"""Execute the notebooks with papermill, then build the book from the executed copies.

    python book/build.py --profile smoke --only 'practice/*' -p seed 1

All goes below the work folder: executed copies and their stamps to `book/<profile>/`, pages to `site/<profile>/`.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import execute
import nbformat
import papermill
import yaml
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parent.parent
PROFILES = {"smoke": 600, "laptop": 3600, "paper": 86400}  # how much work: seconds that one cell may take


def listed(root: Path) -> list[Path]:
    """The notebooks that `_toc.yml` lists, in its order, relative to `root`."""
    names = parse_toc_yaml(root / "_toc.yml")
    return [path for name in names if (root / (path := Path(f"{name}.ipynb"))).is_file()]


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
        known = known_parameters(root / path)
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


def library_digest(root: Path, results: Path) -> str:
    """Hash of what every notebook depends on: kdlib, the records, the locked versions."""
    files = [*root.glob("kdlib/**/*.py"), *root.glob("kdlib/*.csv"), *results.glob("**/*.json")]
    digest = hashlib.sha256()
    for path in sorted([*files, *root.glob("requirements.lock")]):
        digest.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def inputs_digest(source: Path, parameters: dict[str, Any], library: str) -> str:
    """Hash of everything an executed copy was made from; another hash means that the copy is stale."""
    described = json.dumps([library, parameters], sort_keys=True, default=str)
    return hashlib.sha256(source.read_bytes() + described.encode()).hexdigest()


def refresh(root: Path, book: Path, chosen: dict[Path, dict[str, Any]], library: str, timeout: int) -> list[str]:
    """Execute the notebooks whose copy is missing or stale; returns one line per failure."""
    failures = []
    for path, parameters in chosen.items():
        stamp, target = (book / path).with_suffix(".json"), book / path
        inputs = inputs_digest(root / path, parameters, library)
        if target.is_file() and stamp.is_file() and json.loads(stamp.read_text())["inputs"] == inputs:
            print(f"{path}: up to date", flush=True)
            continue
        print(f"{path}: executing", flush=True)
        stamp.unlink(missing_ok=True)
        start = time.perf_counter()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:  # its own peak memory
            problem, peak = pool.submit(execute.run, root / path, target, parameters, timeout).result()
        seconds = time.perf_counter() - start
        outcome = "FAILED" if problem else "done"
        print(f"{path}: {outcome} after {seconds:.1f} s, peak {peak / 2**20:.0f} MiB", flush=True)
        if problem:
            failures.append(f"{path}, {problem}")
            continue
        record = {"inputs": inputs, "parameters": parameters, "seconds": round(seconds, 1), "peak_bytes": peak}
        stamp.write_text(json.dumps(record, indent=1, default=str) + "\n")
    return failures


def assemble(root: Path, book: Path) -> None:
    """Lay prose, settings and executed notebooks out as in the repository; a notebook never executed stays bare."""
    shutil.rmtree(book / "book", ignore_errors=True)
    shutil.copytree(root / "book", book / "book", ignore=shutil.ignore_patterns("*.py", "_ext", "__pycache__"))
    shutil.copy(root / "_toc.yml", book)
    config = yaml.safe_load((root / "_config.yml").read_text()) or {}
    config |= {"only_build_toc_files": True, "execute": {**config.get("execute", {}), "execute_notebooks": "off"}}
    config.setdefault("sphinx", {}).setdefault("local_extensions", {})["offline"] = str(ROOT / "book" / "_ext")
    (book / "_config.yml").write_text(yaml.safe_dump(config))
    for path in listed(root):
        if not (book / path).is_file():
            print(f"{path}: not executed, shown without outputs")
            (book / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path, book / path)


def render(book: Path, site: Path) -> int:
    """Build the pages, warnings as errors; the site is replaced only by one that built."""
    output = book / "_build" / "html"
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["build", str(book), "--all", "-W", "--keep-going", "--quiet"]
    code = subprocess.run([*jupyter_book, *options], check=False, stdout=subprocess.DEVNULL).returncode
    if code == 0:
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
    options = parser.parse_args(arguments)

    work = options.work.resolve()
    book = work / "book" / options.profile
    os.environ.setdefault("KDLIB_RESULTS", str(root / "results"))
    os.environ["KDLIB_WORK"] = str(work)
    given = {name: parsed(value) for name, value in options.p}
    known = listed(root)
    globs = (options.only, f"notebooks/{options.only}", f"notebooks/{options.only}.ipynb")
    notebooks = [path for path in known if any(fnmatch(str(path), glob) for glob in globs)]
    if known and not notebooks:
        raise SystemExit(f"--only {options.only}: no such notebook in _toc.yml; it lists {', '.join(map(str, known))}.")
    chosen = check(root, notebooks, given, options.profile)
    execute.install_kernel(work)

    library = library_digest(root, Path(os.environ["KDLIB_RESULTS"]))
    failures = refresh(root, book, chosen, library, PROFILES[options.profile])
    if failures:
        print("The book was not built; these notebooks failed:", *failures, sep="\n  ", file=sys.stderr)
        return 1
    assemble(root, book)
    if code := render(book, work / "site" / options.profile):
        print("The book was not built; see the warnings above.", file=sys.stderr)
        return code
    print(f"The book: {work / 'site' / options.profile / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
