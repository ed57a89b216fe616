"""The book's pages as they are written: complete, in the map, with the words and settings that they name.

Reading times are counted when the book is built, see `book/theme/_ext/reading_time.py`; none is typed.
"""

import re
from pathlib import Path

import pytest
import templates
from conftest import PAGES, ROOT

from kdlib.detector import DEFAULT
from kdlib.networks import CRITICAL_POINTS, VGG16

LINK = re.compile(r"\]\(([\w./]+)\.(?:md|ipynb)\)")


def text(page: str) -> str:
    """All prose of a page."""
    if not templates.exists(ROOT, notebook := Path(f"{page}.ipynb")):
        return (ROOT / f"{page}.md").read_text()
    cells = templates.notebook(ROOT, notebook).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def linked(prose: str) -> list[str]:
    """The pages that a text of `book/chapters/` links to, in order."""
    places = [(ROOT / "book" / "chapters" / path).resolve().relative_to(ROOT.resolve()) for path in LINK.findall(prose)]
    return [str(place) for place in places]


def section(page: str, title: str) -> str:
    return text(page).split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_needs_and_gives(page: str) -> None:
    prose = text(page)
    assert re.match(r"(\(\w+\)=\n)?# \S", prose), "starts with its title"
    for part in ("**What you will see**", "**Prerequisites**", "\n## What to read next\n"):
        assert prose.count(part) == 1, part
    assert "reading time**" not in prose.lower(), "counted, not typed"


def test_the_map_holds_every_page_in_order() -> None:
    rows = re.findall(r"(?m)^\| (\[.*?) \| ", section("book/chapters/intro", "Map of the book"))
    assert [linked(link) for link in rows] == [[page] for page in PAGES[1:]]


def test_words_are_in_the_glossary_once() -> None:
    entries = text("book/chapters/glossary").split(":sorted:\n")[1].split("```")[0]
    words = [line.lower() for line in entries.splitlines() if line and not line.startswith(" ")]
    assert words == sorted(set(words), key=lambda word: word.replace(" ", "").replace("-", ""))
    for page in PAGES:
        used = re.findall(r"{term}`([^`<]+?)(?: <(.+?)>)?`", text(page))
        unknown = {" ".join((term or name).split()).lower() for name, term in used} - set(words)
        assert not unknown, page


def test_the_cheat_sheet_has_the_defaults_of_a_detector() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| `(.+?)` \|", section("book/chapters/cheatsheet", "Your own images"))
    assert len(rows) >= 5
    assert dict(rows) == {name: repr(getattr(DEFAULT, name)).replace("'", '"') for name, _ in rows}


def test_receptive_fields_are_those_of_the_network() -> None:
    """Counted backwards here, from one position to the pixels that it sees; the page counts forwards."""
    row = r"(?m)^\| `(pool\d)` \| (\d+) \| (\d+)\spx \| (\d+)\spx \| (\d+)×\5 \|"
    rows = re.findall(row, text("book/chapters/features"))
    assert [row[0] for row in rows] == list(CRITICAL_POINTS)
    for point, *figures in rows:
        blocks = VGG16[: int(point[-1])]
        field = 1
        for block in reversed(blocks):
            field = 2 * field + 2 * len(block)
        step = 2 ** len(blocks)
        assert [int(figure) for figure in figures] == [sum(map(len, blocks)), step, field, 128 // step]
