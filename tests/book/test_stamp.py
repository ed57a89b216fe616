"""What pages say of their making, what they are made from, and the bytes that are saved on the way."""

import base64
import os
import re
import shlex
import shutil
from collections.abc import Callable
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
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from stamp import Page

from kdlab import cost, coverage
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import last_scores, records
from kdlib.data import find, load
from kdlib.files import results_folder

RUN: stamp.Stamp = {
    "inputs": {"notebook": "0" * 16, "kdlib": "1" * 16, "records of mnist": "2" * 16},
    "reads": ["records mnist"],
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
    for part in (
        "A processor, 2 cores",
        "Python 3.11.2, PyTorch 2.0",
        "kdlib `1111",
        "records of mnist `2222",
        r"8\|9",
    ):
        assert part in said
    assert "python book/build/build.py --profile laptop --only datasets/mnist -p seed 3\n" in said
    assert (
        "papermill notebooks/datasets/one_vs_rest.ipynb out.ipynb -r dataset mnist -p profile laptop -p seed 3\n"
        in said
    )


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
    assert seen["parameters"] == {"dataset": "mnist", "profile": "laptop", "it": value}


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


def test_a_picture_leads_to_the_stamp_a_table_with_commands_needs_not(tmp_path: Path) -> None:
    """So does a table whose rows name no command, a control; text does not, nor a page without a stamp."""
    path = tmp_path / "page.ipynb"
    shown = {
        "figure": ({"text/html": "<figure><img></figure>"}, True),
        "figure of records": ({"text/html": '<figure><details class="kd-command"></details></figure>'}, True),
        "table": ({"text/html": ["<div>", "<table></table></div>"]}, True),
        "table with commands": ({"text/html": '<table><details class="kd-command"></details></table>'}, False),
        "picture": ({"image/png": "AA=="}, True),
        "control": ({"application/vnd.jupyter.widget-view+json": {}}, True),
        "text": ({"text/plain": "<table>"}, False),
    }
    cells = [new_code_cell("1", outputs=[new_output("display_data", data)]) for data, _ in shown.values()]
    nbformat.write(new_notebook(cells=cells), path)
    stamp.mark(path, page(None))
    assert "kd-reproduce" not in path.read_text()
    nbformat.write(new_notebook(cells=cells), path)
    stamp.mark(path, page())
    _, *code, last = nbformat.read(path, as_version=4).cells
    assert [len(cell.outputs) == 2 for cell in code] == [linked for _, linked in shown.values()]
    target = re.search('href="#(.*?)"', code[0].outputs[1]["data"]["text/html"])
    assert target
    assert f'id="{target[1]}"' in last.source


def notebook(root: Path, *sources: str) -> Path:
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), root / "page.ipynb")
    return Path("page.ipynb")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where records, benchmarks and data lie."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))
    (tmp_path / "benchmarks").mkdir()
    for dataset in ("mnist", "mvtec_ad"):
        (tmp_path / "results" / dataset).mkdir(parents=True)
        (tmp_path / "results" / dataset / "a.json").write_text("{}")
    return tmp_path


def changed(root: Path, path: Path, reads: list[str], change: Callable[[], object]) -> set[str]:
    """The inputs that a change of the world changes."""
    before = Inputs(root, root / "results").of(path, reads)
    change()
    after = Inputs(root, root / "results").of(path, reads)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


NEW = {
    "mnist": lambda root: (root / "results" / "mnist" / "b.json").write_text("{}"),
    "scores of mnist": lambda root: (root / "results" / "mnist" / "a.npz").write_text(""),
    "edited mnist": lambda root: (root / "results" / "mnist" / "a.json").write_text("[]"),
    "without mnist": lambda root: (root / "results" / "mnist" / "a.json").unlink(),
    "head_ct": lambda root: (
        (root / "results" / "head_ct").mkdir(),
        (root / "results" / "head_ct" / "a.json").write_text("{}"),
    ),
    "benchmark": lambda root: (root / "benchmarks" / "measured.jsonl").write_text("{}"),
}


@pytest.mark.parametrize(
    ("reads", "old_by"),
    [
        ([], []),
        (["records mvtec_ad"], []),
        (["records mnist", "records mvtec_ad"], ["mnist", "scores of mnist", "edited mnist", "without mnist"]),
        (["records head_ct"], ["head_ct"]),
        (["records *"], ["mnist", "scores of mnist", "edited mnist", "without mnist", "head_ct"]),
        (["records *", "records mvtec_ad"], ["mnist", "scores of mnist", "edited mnist", "without mnist", "head_ct"]),
        (["benchmarks"], ["benchmark"]),
    ],
)
@pytest.mark.parametrize("new", NEW)
def test_a_page_is_old_where_what_it_read_has_changed(
    root: Path, reads: list[str], old_by: list[str], new: str
) -> None:
    path = notebook(root, "x = 1")
    found = changed(root, path, reads, lambda: NEW[new](root))
    assert bool(found) == (new in old_by)


@pytest.mark.parametrize("source", ["open('../results/a')", "os.environ['KDLIB_RESULTS']", "Path('benchmarks')"])
def test_a_notebook_that_names_the_folders_depends_on_all(root: Path, source: str) -> None:
    path = notebook(root, source)
    for new in ("head_ct", "benchmark"):
        assert changed(root, path, [], lambda new=new: NEW[new](root))  # type: ignore[misc]


def test_data_that_comes_goes_or_changes_makes_a_page_old(root: Path) -> None:
    path, reads = notebook(root, "x = 1"), ["data brain_mri"]
    image = root / "data" / "brain_mri" / "yes" / "a.png"
    other = root / "data" / "head_ct" / "labels.csv"

    def put(file: Path, content: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    (image.parent.parent / "no").mkdir(parents=True)
    assert changed(root, path, reads, lambda: put(image, "")) == {"data of brain_mri"}
    assert changed(root, path, reads, lambda: put(image, "another size")) == {"data of brain_mri"}
    assert changed(root, path, reads, lambda: os.utime(image, (1, 1))) == {"data of brain_mri"}
    assert changed(root, path, reads, lambda: put(other, "")) == set()
    assert changed(root, path, reads, lambda: shutil.rmtree(root / "data")) == {"data of brain_mri"}
    assert Inputs(root, root / "results").of(path, reads)["data of brain_mri"] == "not here"


def test_the_library_notes_what_it_reads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is not there; whoever does not say which data set reads them all."""
    monkeypatch.setenv("KDLIB_RESULTS", str(root / "none"))
    monkeypatch.setenv("KDLIB_READS", str(root / "reads"))
    experiment = Experiment.of("mnist", "3")
    ways: list[tuple[Callable[[], object], str]] = [
        (lambda: records(dataset="mnist", profile="paper"), "records mnist"),
        (lambda: records(preset="paper"), "records *"),
        (lambda: last_scores({"id": "0", "experiment": experiment.to_dict()}), "records mnist"),
        (results_folder, "records *"),
        (coverage.scoreboard, "records *"),
        (lambda: find("brain_mri"), "data brain_mri"),
        (cost.benchmarks, "benchmarks"),
    ]
    for read, noted in ways:
        read()
        assert set((root / "reads").read_text().splitlines()) == {noted}
        (root / "reads").unlink()
    with pytest.raises(FileNotFoundError):
        load("brain_mri", "brain_mri")
    assert "data brain_mri" in (root / "reads").read_text().splitlines()


def test_nothing_in_the_library_goes_around_the_note() -> None:
    """The folders have one door each."""
    sources = {path.relative_to(build.ROOT).as_posix(): path.read_text() for path in build.ROOT.glob("kdlib/**/*.py")}
    for text, doors in {
        'environ.get("KDLIB_RESULTS"': {"kdlib/files.py"},
        'environ.get("KDLIB_DATA"': {"kdlib/files.py"},
        "results_folder(": {"kdlib/files.py", "kdlib/records.py", "kdlib/grid.py"},
        "data_folder(": {"kdlib/files.py", "kdlib/data/about.py", "kdlib/data/classes.py"},
        ".jsonl": {"kdlib/cost.py"},
    }.items():
        assert {name for name, source in sources.items() if text in source} == doors, text


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


def test_the_site_keeps_what_pages_load(tmp_path: Path) -> None:
    site = tmp_path / "site"
    kept = ["index.html", "_static/a.js", "_static/vendor/font.woff2", "_static/offline/x.js"]
    cut = ["_static/a.js.map", "_static/vendor/webfonts/font.ttf", "_static/locales/de/sphinx.po", "_sources/a.ipynb"]
    for name in (*kept, *cut):
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text("as built")
    slim.site(site)
    assert all((site / name).is_file() for name in kept)
    assert not any((site / name).exists() for name in cut)
