"""What an executed page was made from, as hashes; where they are others now, it is older than its sources."""

import ast
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import nbformat

Digests = dict[str, str]
# What leads to measurements: records by any way, benchmarks by the one module that reads them.
MEASURED = {"kdlib.records", "kdlib.files.results_folder", "kdlib.cost"}
HARMLESS = {"kdlib.records.Record", "kdlib.records.SCHEMA"}  # a type and a number: no record is read through them
AROUND = re.compile(r"results|benchmarks|-m kdlib|subprocess|importlib|__import__|^\s*[!%]", re.MULTILINE)


class Inputs:
    """Hashes of the sources as they are now, taken once.

    All notebooks depend on the library, the published figures and the locked versions; on records and benchmarks only
    those that may read them.
    """

    def __init__(self, root: Path, results: Path) -> None:
        self.root = root
        measured = [path for kind in ("json", "npz") for path in results.glob(f"**/*.{kind}")]
        self.shared = {
            "kdlib": digest(root.glob("kdlib/**/*.py")),
            "published.csv": digest(root.glob("kdlib/*.csv")),
            "requirements.lock": digest(root.glob("requirements.lock")),
            "records": digest([*measured, *root.glob("benchmarks/*.jsonl")]),
        }
        self.records = sum(path.suffix == ".json" for path in measured)
        self.measuring = measuring(root)

    def of(self, path: Path) -> Digests:
        """What the notebook depends on; its own source first."""
        found = {"notebook": digest([self.root / path])} | self.shared
        if not self.reads_records(path):
            del found["records"]
        return found

    def reads_records(self, path: Path) -> bool:
        """Whether the notebook may read records: no by proof, yes in doubt.

        It reads none when no import leads to them, directly or through other modules, and no line goes around imports.
        """
        cells = nbformat.read(self.root / path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        return bool(AROUND.search(code)) or leads_to(imports(ast.parse(code)), self.measuring)


def digest(files: Iterable[Path]) -> str:
    """Hash of the contents of files and of their names, each with its folder's."""
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(f"{path.parent.name}/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of all that a program imports, at any place; ``from a import b`` is ``a.b``."""
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{'kdlib' if node.level else node.module}.{alias.name}" for alias in node.names}
    return found


def measuring(root: Path) -> set[str]:
    """The modules of kdlib that come to measurements, by themselves or through what they import."""
    trees = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in root.glob("kdlib/**/*.py")
    }
    found = set(MEASURED)
    while more := {name for name, tree in trees.items() if leads_to(imports(tree), found)} - found:
        found |= more
    return found


def leads_to(names: set[str], modules: set[str]) -> bool:
    """Whether an import is of one of the modules, of a part of one, or of a whole whose parts are not known."""
    names = names - HARMLESS
    whole = bool(names & {"kdlib", "kdlib.*", "kdlib.files", "kdlib.files.*"})
    return whole or any(name == module or name.startswith(f"{module}.") for name in names for module in modules)
