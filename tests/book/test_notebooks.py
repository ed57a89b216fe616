"""What every notebook in the repository keeps to: bare, documented, listed in the book."""

import ast
from pathlib import Path

import build
import nbformat
import numpy as np
import papermill
import pytest
import templates

from kdlib import Images

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(p for p in ROOT.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in p.parts)
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())


def test_the_book_lists_every_notebook_and_no_other() -> None:
    assert NOTEBOOKS, "no notebook below notebooks/"
    behind = {ROOT / (templates.template(ROOT, path) or path) for path in build.listed(ROOT)}
    assert sorted(behind) == NOTEBOOKS


@each
def test_valid_and_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for number, cell in enumerate(notebook.cells, 1):
        assert not cell.get("outputs"), f"cell {number} has outputs: clear them before committing"
        assert cell.get("execution_count") is None, f"cell {number} has an execution count: clear it before committing"


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@each
def test_first_code_cell_says_what_to_do_without_kdlib(path: Path) -> None:
    first = code_cells(path)[0]
    assert first.source == code_cells(NOTEBOOKS[0])[0].source, "the first cell of every notebook"
    assert "find_spec" in first.source
    assert "remove-cell" in first.metadata.tags


@each
def test_next_code_cell_holds_typed_commented_literal_parameters(path: Path) -> None:
    code = code_cells(path)[1:]
    assert "parameters" in code[0].metadata.get("tags", []), "the second code cell is not tagged `parameters`"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1

    documented = papermill.inspect_notebook(path)
    declared = []
    for node in ast.parse(code[0].source).body:
        line = ast.unparse(node)
        assert isinstance(node, ast.AnnAssign), f"`{line}` is not of the form `name: type = value  # what it is`"
        assert node.value is not None, f"`{line}` has no value"
        assert isinstance(node.target, ast.Name)
        ast.literal_eval(node.value)  # ValueError: a derived value; compute it in a later cell
        declared.append(node.target.id)
    assert list(documented) == declared, "papermill does not see every parameter: one a line, a plain type"
    for name, parameter in documented.items():
        assert parameter["inferred_type_name"] not in ("", "None"), f"{name} has no type"
        assert parameter["help"], f"{name} has no comment behind it"


def test_your_own_images_writes_to_a_folder_that_it_made_and_marked(tmp_path: Path) -> None:
    """The cell that makes it, alone: what a user has there stays, runs of other images or settings never meet."""
    code = [cell.source for cell in code_cells(ROOT / "notebooks/practice/your_own_images.ipynb")]
    (cell,) = [source for source in code if "made_by.json" in source]
    imports = "import hashlib, json, tempfile\nfrom pathlib import Path\nfrom kdlib.files import ensure_folder\n"
    (tmp_path / "inbox").mkdir()
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "00.png").write_bytes(b"mine")

    def begin(brightness: int, quantile: float = 0.95) -> Path:
        images = Images(np.full((2, 8, 8), brightness, np.uint8), ("a", "b"))
        given = {"good": "photos/good", "output": str(tmp_path), "profile": "smoke", "method": "cloner", "size": 64}
        known = given | {"epochs": 2, "maps": 3, "quantile": quantile, "learn": images, "aside": None, "check": images}
        exec(imports + cell, known)
        return Path(str(known["folder"]))

    first = begin(1)
    assert begin(1) == first
    assert len({first, begin(2), begin(1, quantile=0.5)}) == 3
    (first / "made_by.json").write_text("somebody else's")
    with pytest.raises(FileExistsError, match="not of this page"):
        begin(1)
    assert (tmp_path / "maps" / "00.png").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("good-")) == ["inbox", "maps"]
