"""The house has three floors: arrows between files point down, none runs in a circle, and each floor stays thin."""

import ast
import graphlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("kdlib", "kdlab", "book")  # the ground floor first
ABOVE = ("pandas", "matplotlib", "seaborn", "ipywidgets", "itables", "filelock", "distributed", "dask")  # not in kdlib
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for floor in FLOORS
    for path in sorted(ROOT.glob(f"{floor}/**/*.py"))
}
BUILD = {name.rpartition(".")[2]: name for name in MODULES if name.startswith("book.build.")}  # run as programs


def imported(path: Path) -> Iterator[str]:
    """The full names of modules that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (BUILD.get(each.name, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides which floor it is from"
            assert node.module
            module = BUILD.get(node.module, node.module)
            inner = [f"{module}.{each.name}" for each in node.names]
            yield from (name if name in MODULES else module for name in inner)


@pytest.mark.parametrize("floor", FLOORS)
def test_arrows_point_down(floor: str) -> None:
    above = {*FLOORS[FLOORS.index(floor) + 1 :], *(ABOVE if floor == "kdlib" else ())}
    found = [f"{name} imports {to}" for name, path in MODULES.items() for to in imported(path)
             if name.split(".")[0] == floor and to.split(".")[0] in above]  # fmt: skip
    assert not found


def test_no_circle() -> None:
    graph = {name: {to for to in imported(path) if to in MODULES and to != name} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()


def lines(*patterns: str) -> int:
    return sum(len(path.read_text().splitlines()) for pattern in patterns for path in ROOT.glob(pattern))


def of_notebooks() -> int:
    """Lines in the code cells of all notebooks."""
    cells = [cell for path in ROOT.glob("notebooks/**/*.ipynb") for cell in json.loads(path.read_text())["cells"]]
    return sum(len("".join(cell["source"]).splitlines()) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize(
    ("what", "found", "most"),
    [
        ("modules of kdlib beside its data and __init__", len([*ROOT.glob("kdlib/*.py")]) - 1, 16),
        ("lines of kdlib", lines("kdlib/**/*.py"), 2891),
        ("lines of the three floors", lines("kdlib/**/*.py", "kdlab/**/*.py", "book/**/*.py"), 8882),
        ("lines of tests", lines("tests/**/*.py"), 8252),
        ("lines of code in notebooks", of_notebooks(), 6000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_floor_is_thin(what: str, found: int, most: int) -> None:
    assert found <= most, f"{what}: {found}, expected at most {most}"
