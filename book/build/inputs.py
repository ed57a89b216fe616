"""What an executed page was made from, as hashes; where they are others now, it is older than its sources.

The code, the published numbers and the locked versions are behind every page. What else is behind it is noted while it
runs, by the library itself (`kdlib.files.note_read`): the data sets whose records it asks for and whose images it looks
for, whether they are there or not.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import nbformat
from templates import source

CODE = ("kdlib", "kdlab", "book/figures")
ABSENT = "not here"


class Inputs:
    """Hashes of the sources as they are now; those of records are taken at once, before any page reads them."""

    def __init__(self, root: Path, results: Path) -> None:
        self.root = root
        self.shared = {
            "code": digest(root, *(f"{part}/**/*.{kind}" for part in CODE for kind in ("py", "html", "toml"))),
            "published.csv": digest(root, "kdlab/*.csv"),
            "requirements.lock": digest(root, "requirements.lock"),
        }
        folders = [folder for folder in sorted(results.glob("*")) if folder.is_dir()]
        self.records = {folder.name: digest(folder, "*.json", "*.npz") for folder in folders}
        self.benchmarks = digest(root, "benchmarks/*.jsonl")

    def of(self, path: Path, reads: Iterable[str]) -> dict[str, str]:
        """What the notebook depends on, its own source first.

        Args:
            reads: what was noted while it ran: ``"records mnist"``, ``"records *"``, ``"data mnist"``, `"benchmarks"`.
        """
        cells = json.dumps(nbformat.read(source(self.root, path), as_version=4).cells, sort_keys=True)
        found = {"notebook": short(cells.encode())} | self.shared
        for kind, _, dataset in (each.partition(" ") for each in sorted(set(reads))):
            if kind == "benchmarks":
                found["benchmarks"] = self.benchmarks
            elif kind == "data":
                found[f"data of {dataset}"] = data(dataset)
            elif dataset == "*":  # before all names
                found["all records"] = short(repr(self.records).encode())
            elif "all records" not in found:
                found[f"records of {dataset}"] = self.records.get(dataset, ABSENT)
        return found


def digest(folder: Path, *patterns: str) -> str:
    """Hash of the contents of files and of their names below a folder, wherever that lies."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        found.update(f"{path.relative_to(folder).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def data(dataset: str) -> str:
    """Whether a data set is where the library looks for it: its files by name, size and date, as images are many."""
    from kdlib.data import find  # takes seconds: only where a page needs it

    folder = find(dataset)
    if folder is None:
        return ABSENT
    files = ((path.relative_to(folder).as_posix(), path.stat()) for path in folder.rglob("*") if path.is_file())
    return short(repr(sorted((name, about.st_size, about.st_mtime_ns) for name, about in files)).encode())


def short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
