"""What an executed page was made from, as hashes; where they are others now, it is older than its sources.

Code, published numbers, locked versions, records, benchmarks and data: any of them may be behind a number, so every
page depends on all of them, and on its own notebook.
"""

import hashlib
import json
import os
from pathlib import Path

from templates import notebook

CODE = ("kdlib", "kdlab", "book/figures")
Inputs = dict[str, str]  # name -> hash


def shared(root: Path) -> Inputs:
    """What is behind every page, as it is now; records and data lie in ``$KDLIB_RESULTS`` and ``$KDLIB_DATA``."""
    data = Path(os.environ["KDLIB_DATA"])
    files = ((path.relative_to(data).as_posix(), path.stat()) for path in data.glob("*/**/*") if path.is_file())
    dated = sorted((name, about.st_size, about.st_mtime_ns) for name, about in files)  # images are too many to read
    return {
        "code": digest(root, *(f"{part}/**/*.{kind}" for part in CODE for kind in ("py", "html", "toml"))),
        "published.csv": digest(root, "kdlab/*.csv"),
        "requirements.lock": digest(root, "requirements.lock"),
        "records": digest(Path(os.environ["KDLIB_RESULTS"]), "*/*.json", "*/*.npz"),
        "benchmarks": digest(root, "benchmarks/*.jsonl"),
        "data": short(repr(dated)),
    }


def of(root: Path, path: Path, behind_all: Inputs) -> Inputs:
    """What a page depends on, its own notebook first."""
    cells = notebook(root, path).cells
    return {"notebook": short(json.dumps(cells, sort_keys=True))} | behind_all


def digest(folder: Path, *patterns: str) -> str:
    """Hash of the contents of files and of their names below a folder, wherever that lies."""
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    found = [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    return short(repr(found))


def short(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
