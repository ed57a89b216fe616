"""What an executed page was made from, as hashes; where they are others now, it is older than its sources.

The library, the published figures and the locked versions are behind every page. What else is behind it is noted while
it runs, by the library itself (`kdlib.files.note_read`): the data sets whose records it asks for and whose images it
looks for, whether they are there or not.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from launch import own_cells

Digests = dict[str, str]
RECORDS, DATA, BENCHMARKS = (
    "records",
    "data",
    "benchmarks",
)  # what is noted; the first two of a data set, or of all: "*"
AROUND = re.compile(
    "results|benchmarks", re.IGNORECASE
)  # a notebook that names the folders may read them without the library
ABSENT = "not here"


class Inputs:
    """Hashes of the sources as they are now; those of records are taken at once, before any page reads them."""

    def __init__(self, root: Path, results: Path) -> None:
        self.root = root
        self.shared = {
            "kdlib": digest(
                p
                for part in ("kdlib", "kdlab", "book/figures")
                for p in root.glob(f"{part}/**/*.*")
                if p.suffix in (".py", ".html")
            ),
            "published.csv": digest(root.glob("kdlab/*.csv")),
            "requirements.lock": digest(root.glob("requirements.lock")),
        }
        folders = [folder for folder in sorted(results.glob("*")) if folder.is_dir()]
        self.records = {folder.name: digest([*folder.glob("*.json"), *folder.glob("*.npz")]) for folder in folders}
        self.benchmarks = digest(root.glob("benchmarks/*.jsonl"))

    def of(self, path: Path, reads: Iterable[str]) -> Digests:
        """What the notebook depends on, its own source first.

        Args:
            reads: what was noted while it ran, such as ``"records mnist"``, ``"records *"``, ``"data mnist"``.
        """
        cells = own_cells(self.root / path)
        found = {"notebook": short(json.dumps(cells, sort_keys=True).encode())} | self.shared
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        reads = {*reads, *([f"{RECORDS} *", BENCHMARKS] if AROUND.search(code) else [])}
        for kind, _, dataset in (each.partition(" ") for each in sorted(reads)):
            if kind == BENCHMARKS:
                found[BENCHMARKS] = self.benchmarks
            elif kind == DATA:
                found[f"data of {dataset}"] = data(dataset)
            elif dataset == "*":
                found["all records"] = short(repr(self.records).encode())
            elif f"{RECORDS} *" not in reads:
                found[f"records of {dataset}"] = self.records.get(dataset, ABSENT)
        return found


def digest(files: Iterable[Path]) -> str:
    """Hash of the contents of files and of their names, each with its folder's."""
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(f"{path.parent.name}/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
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
