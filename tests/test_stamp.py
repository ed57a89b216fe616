"""What pages say of their making, what they are made from, and the bytes that are saved on the way."""

import base64
import re
import shlex
from io import BytesIO
from pathlib import Path
from typing import Any

import build
import nbformat
import numpy as np
import papermill.cli
import pytest
import slim
import stamp
from inputs import Inputs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from stamp import Page

RUN: stamp.Stamp = {
    "inputs": {"notebook": "0" * 16, "kdlib": "1" * 16, "records": "2" * 16},
    "records": 48,
    "given": {"profile": "laptop", "seed": 3},
    "parameters": {"profile": "'laptop'", "seed": "3", "normal": "'8|9'"},
    "seconds": 131.4,
    "peak_bytes": 812 * 2**20,
    "date": "2025-01-02 03:04 UTC",
    "commit": "0123456789ab+",
    "processor": "A processor",
    "cores": 2,
    "device": "",
    "versions": {"Python": "3.11.2", "PyTorch": "2.0"},
}


def page(run: stamp.Stamp | None = RUN, *, changed: tuple[str, ...] = (), **given: Any) -> Page:
    run = run and run | {"given": given or run["given"]}
    return Page(Path("notebooks/datasets/mnist.ipynb"), "laptop", run["given"] if run else given, run, changed)


def test_the_stamp_names_all_that_a_figure_depends_on() -> None:
    said = stamp.footer(page())
    for part in ("2025-01-02 03:04 UTC, in 2 min, peak memory 812 MiB", "`0123456789ab` + changes", "`seed = 3`"):
        assert part in said
    for part in ("A processor, 2 cores", "Python 3.11.2, PyTorch 2.0", "kdlib `1111", "48 records `2222", r"8\|9"):
        assert part in said
    assert "python book/build.py --profile laptop --only datasets/mnist -p seed 3\n" in said
    assert "papermill notebooks/datasets/mnist.ipynb out.ipynb -p profile laptop -p seed 3\n" in said


VALUES = [3, -1, 0.001, True, None, "8", "photos/my parts", "None", "'quoted'", "1e-3", ["pool4", "pool5"]]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_commands_give_back_the_value(value: object) -> None:
    *_, name, text = shlex.split(stamp.build_command(page(profile="laptop", it=value)))
    assert (name, build.parsed(text)) == ("it", value)
    seen: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papermill.cli, "execute_notebook", lambda **options: seen.update(options))
        words = shlex.split(stamp.papermill_command(page(profile="laptop", it=value)))[1:]
        papermill.cli.papermill.main(words, standalone_mode=False)
    assert seen["parameters"] == {"profile": "laptop", "it": value}


def test_the_top_of_a_page_says_what_a_reader_must_know() -> None:
    assert "profile `laptop`: fewer epochs" in stamp.header(page())
    assert stamp.header(page(profile="paper")) == ""
    assert stamp.header(page(seed=3)) == "", "a notebook without profiles has none to name"
    old = stamp.header(page(changed=("kdlib", "records")))
    assert "older than its sources. Changed since: kdlib, records" in old
    assert "--only datasets/mnist" in old
    assert "was not run" in stamp.header(page(None))


def test_marks_go_below_the_title_and_behind_the_last_cell(tmp_path: Path) -> None:
    path = tmp_path / "page.ipynb"
    cells = [new_markdown_cell("# Title\n\nText.", id="a"), new_code_cell("1", id="b")]
    nbformat.write(new_notebook(cells=cells), path)
    stamp.mark(path, page())
    first, code, last = nbformat.read(path, as_version=4).cells
    assert re.fullmatch(r"# Title\n\n```\{container\} kd-profile\n.*\n```\n\nText\.", first.source, re.DOTALL)
    assert code.source == "1"
    assert last.source == stamp.footer(page())


def notebook(root: Path, *sources: str) -> Path:
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), root / "page.ipynb")
    return Path("page.ipynb")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library in small: `far` reads records through `near`, `plain` only speaks of them."""
    files = {
        "__init__": "from kdlib.plain import Detector",
        "files": "def results_folder(): ...",
        "records": "from kdlib.files import results_folder",
        "near": "from kdlib import records",
        "far": "def later():\n    from kdlib.near import read",
        "plain": "from kdlib.files import ensure_folder\nfrom kdlib.records import Record",
    }
    (tmp_path / "kdlib").mkdir()
    for name, source in files.items():
        (tmp_path / "kdlib" / f"{name}.py").write_text(source)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("from kdlib import Detector", False),
        ("from kdlib import plain\nfrom kdlib.records import Record", False),
        ("from kdlib.files import work_folder", False),
        ("from kdlib.records import Record, records", True),
        ("from kdlib.files import results_folder", True),
        ("from kdlib import far", True),
        ("def f():\n    import kdlib.far as g", True),
        ("from kdlib import *", True),
        ("import kdlib", True),
        ("from kdlib import files", True),
        ("import kdlib.near", True),
        ("!python -m kdlib status", True),
        ("__import__('kdlib.' + 'records')", True),
        ("open('../results/mnist/a.json')", True),
    ],
)
def test_a_notebook_reads_no_record_only_where_that_is_certain(library: Path, source: str, reads: bool) -> None:
    path = notebook(library, "x = 1", source)
    sources = Inputs(library, library / "results")
    assert sources.reads_records(path) == reads
    assert ("records" in sources.of(path)) == reads


def test_records_with_their_scores_are_inputs(library: Path) -> None:
    path = notebook(library, "from kdlib.records import records")
    results, seen = library / "results" / "mnist", []
    results.mkdir(parents=True)
    for name, content in (("a.json", "{}"), ("a.json", "[]"), ("a.npz", ""), ("b.json", "{}")):
        (results / name).write_text(content)
        seen.append(Inputs(library, results.parent).of(path)["records"])
    assert len(set(seen)) == 4


def address(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG")
    return b"data:image/png;base64," + base64.b64encode(out.getvalue())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_pictures_lose_bytes_and_no_pixel(tmp_path: Path, mode: str) -> None:
    gradient = np.add.outer(np.arange(256), np.arange(200)).astype(np.uint8)
    alpha = np.where(gradient > 100, gradient, 0)  # colours below a transparent pixel stay too
    picture = Image.fromarray(np.stack([gradient, gradient.T[:200, :].repeat(2, 0)[:256, :200], gradient, alpha], -1))
    picture = picture.convert("RGB").convert(mode) if mode != "RGBA" else picture
    before = b'{"a": "<img src=\\"' + address(picture) + b'\\">"}'
    (path := tmp_path / "page.ipynb").write_bytes(before)
    slim.pictures(path)
    after = path.read_bytes()
    found = re.search(rb"data:image/(\w+);base64,([^\\]+)", after)
    assert found
    assert found[1] == (b"webp" if mode in ("RGB", "RGBA") else b"png")
    assert np.array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(found[2])))), np.asarray(picture))
    assert len(after) < len(before) or after == before


def test_the_site_keeps_what_pages_load_and_offers_bare_notebooks(tmp_path: Path) -> None:
    root, site = tmp_path / "root", tmp_path / "site"
    kept = ["index.html", "_static/a.js", "_static/vendor/font.woff2", "_static/offline/x.js"]
    cut = ["_static/a.js.map", "_static/vendor/webfonts/font.ttf", "_static/locales/de/sphinx.po"]
    for name in (*kept, *cut, "_sources/notebooks/a.ipynb"):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("as built")
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "a.ipynb").write_text("as in git")
    slim.site(site, root)
    assert all((site / name).is_file() for name in kept)
    assert not any((site / name).exists() for name in cut)
    assert (site / "_sources" / "notebooks" / "a.ipynb").read_text() == "as in git"
