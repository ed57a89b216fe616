"""What pages say of their making, what they are made from, and the bytes that are saved on the way."""

import copy
import re
import shlex
from pathlib import Path
from typing import Any

import execute
import nbformat
import pytest
import stamp
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from stamp import Page

RUN: stamp.Stamp = {
    "inputs": {"notebook": "0" * 16, "kdlib": "1" * 16, "records": "2" * 16},
    "given": {"profile": "laptop", "seed": 3},
    "seconds": 131.4,
    "facts": {"made": "2025-01-02 03:04 UTC, in 2 min", "parameters": "`seed = 3`, `normal = '8|9'`"},
}


def page(run: stamp.Stamp | None = RUN, **given: Any) -> Page:
    run = run and run | {"given": given or run["given"]}
    return Page(Path("notebooks/datasets/mnist.ipynb"), "laptop", run["given"] if run else given, run)


def test_the_stamp_names_all_that_a_number_depends_on() -> None:
    said = stamp.footer(page())
    for part in (
        *("2025-01-02 03:04 UTC, in 2 min", "`seed = 3`", r"8\|9", "kdlib `1111", "records `2222"),
        "python book/build/build.py --profile laptop --only datasets/mnist -p seed 3\n",
    ):
        assert part in said
    facts = stamp.made({"seed": 3}, {"seed": {"default": "3"}}, seconds=131.4, peak=812 * 2**20)["facts"]
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
    """A text needs no quotes, to `str` a number neither; with quotes: `test_the_command_gives_back_the_value`."""
    assert execute.parsed(text, declared) == value


VALUES = [3, -1, 0.001, 1e-05, True, None, "8", "photos/my parts", "None", "'quoted'", "1e-3", ["pool4", "pool5"]]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_command_gives_back_the_value(value: object) -> None:
    *_, name, text = shlex.split(stamp.build_command(page(profile="laptop", it=value)))
    for declared in ["", type(value).__name__]:
        assert (name, execute.parsed(text, declared)) == ("it", value)


def test_the_top_of_a_page_says_what_a_reader_must_know() -> None:
    assert "profile `laptop`: fewer epochs" in stamp.header(page())
    assert stamp.header(page(profile="paper")) == ""
    assert stamp.header(page(seed=3)) == "", "a notebook without profiles has none to name"
    assert "was not run" in (bare := stamp.header(page(None)))
    assert "--only datasets/mnist" in bare


def test_a_picture_leads_to_the_stamp_a_table_with_commands_needs_not() -> None:
    """So does a table whose rows name no command, a control; text does not, nor a page without a stamp."""
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
    bare = stamp.marked(new_notebook(cells=copy.deepcopy(cells)), page(None))
    assert "kd-reproduce" not in nbformat.writes(bare)
    first, finding, text, *code, last = stamp.marked(new_notebook(cells=cells), page()).cells
    assert re.fullmatch(r"# Title\n\n```\{container\} kd-profile\n.*\n```", first.source, re.DOTALL)
    assert (finding.source, text.source.strip()) == ("2", "Text.")
    assert {cell.source for cell in code} == {"1"}
    assert last.source == stamp.footer(page())
    assert [len(cell.outputs) == 2 for cell in code] == [linked for _, linked in shown.values()]
    target = re.search('href="#(.*?)"', code[0].outputs[1]["data"]["text/html"])
    assert target
    assert f'id="{target[1]}"' in last.source
