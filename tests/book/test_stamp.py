"""What pages say of their making, what they are made from, and the bytes that are saved on the way."""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import build
import execute
import nbformat
import papermill.cli
import pytest
import stamp
from conftest import write_notebook
from inputs import Inputs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
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
    "seconds": 131.4,
    "facts": {"made": "2025-01-02 03:04 UTC, in 2 min", "parameters": "`seed = 3`, `normal = '8|9'`"},
}


PAGE = Path("page.ipynb")


def page(run: stamp.Stamp | None = RUN, **given: Any) -> Page:
    run = run and run | {"given": given or run["given"]}
    return Page(Path("notebooks/datasets/mnist.ipynb"), "laptop", run["given"] if run else given, run)


def test_the_stamp_names_all_that_a_number_depends_on() -> None:
    said = stamp.footer(page())
    given = "-y '{dataset: mnist, profile: laptop, seed: 3}'\n"
    for part in (
        *("2025-01-02 03:04 UTC, in 2 min", "`seed = 3`", r"8\|9", "kdlib `1111", "records of mnist `2222"),
        "python book/build/build.py --profile laptop --only datasets/mnist -p seed 3\n",
        f"papermill notebooks/datasets/one_vs_rest.ipynb out.ipynb {given}",
    ):
        assert part in said
    facts = stamp.made({"seed": 3}, {"seed": "3"}, seconds=131.4, peak=812 * 2**20)["facts"]
    assert re.fullmatch(r"20\d\d-.* UTC, in 2 min, peak memory 812 MiB", facts["made"])
    assert facts["parameters"] == "`seed = 3`"
    assert facts["commit"]
    assert re.search(r", \d+ cores", facts["machine"])
    assert re.fullmatch(r"Python 3\.\S+, PyTorch \S+", facts["versions"])


@pytest.mark.parametrize(
    ("text", "declared", "value"),
    [("1e-3", "float", 1e-3), ("('a', 'b')", "tuple", ("a", "b")), ("a b", "", "a b"), ("20240511", "str", "20240511")],
)
def test_values_from_the_command_line(text: str, declared: str, value: object) -> None:
    """A text needs no quotes, to `str` a number neither; with quotes: `test_the_commands_give_back_the_value`."""
    assert execute.parsed(text, declared) == value


VALUES = [3, -1, 0.001, 1e-05, True, None, "8", "photos/my parts", "None", "'quoted'", "1e-3", ["pool4", "pool5"]]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_commands_give_back_the_value(value: object) -> None:
    *_, name, text = shlex.split(stamp.build_command(page(profile="laptop", it=value)))
    for declared in ["", type(value).__name__]:
        assert (name, execute.parsed(text, declared)) == ("it", value)
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
    assert "was not run" in (bare := stamp.header(page(None)))
    assert "--only datasets/mnist" in bare


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
    cells.insert(0, new_markdown_cell("# Title\n\nText."))
    cells.append(new_code_cell("2", metadata={"tags": [stamp.FINDING]}))
    nbformat.write(new_notebook(cells=cells), path)
    stamp.mark(path, page(None))
    assert "kd-reproduce" not in path.read_text()
    nbformat.write(new_notebook(cells=cells), path)
    stamp.mark(path, page())
    first, finding, text, *code, last = nbformat.read(path, as_version=4).cells
    assert re.fullmatch(r"# Title\n\n```\{container\} kd-profile\n.*\n```", first.source, re.DOTALL)
    assert (finding.source, text.source.strip()) == ("2", "Text.")
    assert {cell.source for cell in code} == {"1"}
    assert last.source == stamp.footer(page())
    assert [len(cell.outputs) == 2 for cell in code] == [linked for _, linked in shown.values()]
    target = re.search('href="#(.*?)"', code[0].outputs[1]["data"]["text/html"])
    assert target
    assert f'id="{target[1]}"' in last.source


@pytest.fixture
def root(tmp_path: Path, build_environment: None) -> Path:
    """Where records, benchmarks and data lie, and a page."""
    write_notebook(tmp_path / "page.ipynb", "x = 1")
    (tmp_path / "benchmarks").mkdir()
    for dataset in ("mnist", "mvtec_ad"):
        (tmp_path / "results" / dataset).mkdir(parents=True)
        (tmp_path / "results" / dataset / "a.json").write_text("{}")
    return tmp_path


def changed(root: Path, reads: list[str], change: Callable[[], object]) -> set[str]:
    """The inputs of the page that a change of the world changes."""
    before = Inputs(root, root / "results").of(PAGE, reads)
    change()
    after = Inputs(root, root / "results").of(PAGE, reads)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


NEW = {
    "mnist": lambda root: (root / "results" / "mnist" / "b.json").write_text("{}"),
    "scores of mnist": lambda root: (root / "results" / "mnist" / "a.npz").write_text(""),
    "edited mnist": lambda root: (root / "results" / "mnist" / "a.json").write_text("[]"),
    "without mnist": lambda root: (root / "results" / "mnist" / "a.json").unlink(),
    "head_ct": lambda root: (root / "results" / "head_ct").mkdir(),
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
    assert bool(changed(root, reads, lambda: NEW[new](root))) == (new in old_by)


def test_data_that_comes_goes_or_changes_makes_a_page_old(root: Path) -> None:
    reads, there = ["data brain_mri"], {"data of brain_mri"}
    image = root / "data" / "brain_mri" / "yes" / "a.png"
    other = root / "data" / "head_ct" / "labels.csv"

    def put(file: Path, content: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    (image.parent.parent / "no").mkdir(parents=True)
    assert changed(root, reads, lambda: put(image, "")) == there
    assert changed(root, reads, lambda: put(image, "another size")) == there
    assert changed(root, reads, lambda: os.utime(image, (1, 1))) == there
    assert changed(root, reads, lambda: put(other, "")) == set()
    assert changed(root, reads, lambda: shutil.rmtree(root / "data")) == there
    assert Inputs(root, root / "results").of(PAGE, reads)["data of brain_mri"] == "not here"


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


def test_nothing_goes_around_the_note() -> None:
    """The folders have one door each; pages go through it."""
    sources = {path: path.read_text() for floor in ("kdlib", "kdlab") for path in build.ROOT.glob(f"{floor}/**/*.py")}
    cells = {path: nbformat.read(path, as_version=4).cells for path in build.ROOT.glob("notebooks/*/*.ipynb")}
    pages = {path: "\n".join(c.source for c in found if c.cell_type == "code") for path, found in cells.items()}
    pages |= {path: path.read_text() for path in build.ROOT.glob("book/figures/*.py")}
    around = re.compile(r"environ\W.*KDLIB_(RESULTS|DATA)|\W(jsonl|\.\./results|\.\./data)\W")
    assert {path.name for path, source in sources.items() if around.search(source)} <= {"files.py", "cost.py"}
    assert not [path for path, source in pages.items() if around.search(source)]
