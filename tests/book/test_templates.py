"""Pages that a template makes: what they are made of, what they refuse, and how a data set becomes one."""

import re
import shutil
from pathlib import Path

import build
import execute
import inputs
import nbformat
import pytest
import stamp
import templates
import yaml
from conftest import METADATA, ROOT
from lint import texts
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PAGE = Path("notebooks/datasets/digits.ipynb")
TEXT = """# Digits

Small ones.

## What is particular

Their size.

```{code-cell}
:tags: [hide-input]
side = 8
"a text of 12.5 points"
```

And no more.
"""


@pytest.fixture
def root(tmp_path: Path, build_environment: None) -> Path:
    """A repository with one template, and one page of it."""
    folder = tmp_path / "notebooks" / "datasets"
    folder.mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n  - file: notebooks/datasets/digits\n")
    cells = [
        new_markdown_cell("# Any", metadata={"tags": ["title"]}),
        new_code_cell('dataset: str = "mnist"  # which', metadata={"tags": ["parameters"]}),
        new_markdown_cell("Any data set.", metadata={"tags": ["opening"]}),
        new_markdown_cell("", metadata={"tags": ["sections"]}),
        new_markdown_cell("The end."),
    ]
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), folder / "any.ipynb")
    (folder / "pages.yml").write_text("digits: any\n")
    (folder / "digits.md").write_text(TEXT)
    return tmp_path


def test_a_text_stands_in_the_places_of_its_template(root: Path) -> None:
    assert build.listed(root) == [PAGE]
    made = templates.notebook(root, PAGE)
    nbformat.validate(made)
    assert [cell.source for cell in made.cells] == [
        "# Digits",
        'dataset: str = "digits"  # which',
        "Small ones.",
        "## What is particular\n\nTheir size.",
        'side = 8\n"a text of 12.5 points"',
        "And no more.",
        "The end.",
    ]
    assert made.cells[4].metadata.tags == ["hide-input"]
    said = [text for file, text in texts(root) if file == "notebooks/datasets/digits.md"]
    assert "a text of 12.5 points" in said, "numbers typed into a text are found"
    alone = templates.notebook(root, PAGE.with_name("any.ipynb"))
    assert alone.cells[2].source == "Any data set.", "a notebook is a page of its own"
    before = inputs.of(root, PAGE, {"code": "0"})
    (root / PAGE).with_suffix(".md").write_text(TEXT.replace("Small", "Tiny"))
    changed = inputs.of(root, PAGE, {"code": "0"})
    assert [name for name in before if before[name] != changed[name]] == ["notebook"], "the page is old now"


def test_what_is_missing_or_meant_otherwise_is_refused(root: Path) -> None:
    assert build.check(root, [PAGE], {}, "smoke") == {PAGE: {}}
    with pytest.raises(SystemExit, match="unknown parameter side; it knows dataset"):
        build.check(root, [PAGE], {"side": "8"}, "smoke")
    with pytest.raises(SystemExit, match="its data set is its name"):
        build.check(root, [PAGE], {"dataset": "mnist"}, "smoke")
    text = root / "notebooks" / "datasets" / "digits.md"
    text.write_text("Small ones.\n")
    with pytest.raises(SystemExit, match=r"digits\.md: its first line is 'Small ones\.'; expected its title"):
        templates.notebook(root, PAGE)


def test_groups_that_show_nothing_are_left_out() -> None:
    def cell(source: str, *, optional: bool = True, shows: bool = False) -> NotebookNode:
        tags = {"tags": ["optional"]} if optional else {}
        if source.startswith("#"):
            return new_markdown_cell(source, metadata=tags)
        outputs = [new_output("display_data", {"text/plain": "x"})] if shows else []
        return new_code_cell(source, metadata=tags, outputs=outputs)

    found = [
        cell("# Title", optional=False),
        cell("## Pictures"),
        cell("load"),
        cell("draw"),
        cell("## Records"),
        cell("read"),
        cell("show", shows=True),
        cell("end", optional=False),
        cell("## Live"),
    ]
    kept = [each.source for each in templates.without_holes(found)]
    assert kept == ["# Title", "## Records", "read", "show", "end"]


def test_every_page_of_a_list_has_its_text_and_is_in_the_book() -> None:
    for listing in ROOT.glob("notebooks/**/pages.yml"):
        pages = [(listing.parent / f"{name}.ipynb").relative_to(ROOT) for name in yaml.safe_load(listing.read_text())]
        assert set(pages) <= set(build.listed(ROOT))
        texts = {path.relative_to(ROOT) for path in listing.parent.glob("*.md")}
        assert texts == {page.with_suffix(".md") for page in pages}, "a text without a line, or a line without a text"
        for page in pages:
            nbformat.validate(templates.notebook(ROOT, page))


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "head_ct"])
def test_a_data_set_becomes_a_page(tmp_path: Path, build_environment: None, dataset: str) -> None:
    """A loader, a text and a line: `digits` has the first; HeadCT is not here, and leaves no hole."""
    folder = tmp_path / "notebooks" / "datasets"
    shutil.copytree(ROOT / "notebooks" / "datasets", folder)
    page = Path(f"notebooks/datasets/{dataset}.ipynb")
    if dataset == "digits":
        (folder / "digits.md").write_text(TEXT)
        with (folder / "pages.yml").open("a") as listing:
            listing.write("digits: one_vs_rest\n")
    chosen = build.check(tmp_path, [page], {"seed": "1"}, "smoke")
    execute.install_kernel(tmp_path / "work")
    executed = tmp_path / "executed"
    now = {page: inputs.of(tmp_path, page, {})}
    assert build.refresh(tmp_path, executed, chosen, now, "smoke") == []
    made = build.page(executed, page, "smoke", now[page], chosen[page])
    assert made.current
    assert made.stamp is not None
    assert f'`dataset = "{dataset}"`' in made.stamp["facts"]["parameters"]
    cells = stamp.marked(nbformat.read(executed / page, as_version=4), made).cells
    shown = str([cell.get("outputs") for cell in cells])
    headings = [line for cell in cells if cell.cell_type == "markdown" for line in re.findall("^## .*", cell.source)]
    assert "Error" not in shown
    live = "## One experiment, live"
    if dataset == "digits":
        assert "## What is particular" in [heading.split("\n")[0] for heading in headings]
        assert "an untrained cloner has" in shown
        assert live in headings
        assert "## What was published" not in headings, "the paper prints nothing of it"
    else:
        assert "Left out of this page" in shown
        assert not {live, "## Where it fails", "## Is the result stable over the last epochs?"} & {*headings}
        assert "not run" in shown
