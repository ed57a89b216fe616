"""The book as a PDF: pages joined without a dead link, numbered through, nothing dark, no dead control."""

from pathlib import Path

import build
import pdf
import pytest
from conftest import PAGES
from playwright.sync_api import Browser
from pypdf import PdfReader
from pypdf.generic import Destination

STATIC = Path(pdf.__file__).parents[1] / "theme" / "_static"
HEAD = '<link rel="stylesheet" href="../_static/print.css"><script src="../_static/print.js"></script>'
INTRO = """<section id="intro"><h1>Intro<a class="headerlink" href="#intro">#</a></h1>
<p><a href="first.html">one</a> <a href="first.html#next">two</a> <a href="#next">three</a>
<a href="https://example.org/#next">four</a> <a href="../_sources/intro.md">five</a></p>
<section id="next" style="break-before: page"><h2>Next</h2></section></section>"""
FIRST = """<section id="first"><h1>First &amp; last</h1><a href="intro.html#intro">back</a>
<div class="cell tag_hide-cell"><details><summary>Show</summary><p>the answer</p></details></div>
<div class="cell tag_hide-input"><details><summary>Show</summary><p>the plot's code</p></details></div>
<section id="next" style="break-before: page"><h2>Next</h2></section></section>"""


@pytest.fixture
def pages(tmp_path: Path) -> list[str]:
    """The addresses of a site of two pages."""
    for folder in ("book", "_static"):
        (tmp_path / folder).mkdir()
    for file in STATIC.glob("print.*"):
        (tmp_path / "_static" / file.name).write_bytes(file.read_bytes())
    made = {tmp_path / "book" / "intro.html": INTRO, tmp_path / "book" / "first.html": FIRST}
    for path, text in made.items():
        html = f'<head>{HEAD}</head><body><article class="bd-article">{text}</article></body>'
        path.write_text(f"<html>{html}</html>")
    return [path.as_uri() for path in made]


def links(reader: PdfReader) -> list[tuple[int, int | str]]:
    """From which page of the document each link leads to which, or to what address."""
    notes = [(i, note.get_object()) for i, page in enumerate(reader.pages) for note in page.get("/Annots", [])]
    numbers = {page.indirect_reference: i for i, page in enumerate(reader.pages)}
    return [(i, numbers[note["/Dest"].get_object()[0]] if "/Dest" in note else note["/A"]["/URI"]) for i, note in notes]


def outline(reader: PdfReader) -> list[str]:
    return [str(entry.title) for entry in reader.outline if isinstance(entry, Destination)]


def test_links_lead_to_their_places_and_answers_are_printed(pages: list[str], browser: Browser, tmp_path: Path) -> None:
    pdf.printed(browser, pages).write(target := tmp_path / "book.pdf")
    reader = PdfReader(target)
    # One, two and three; what a PDF cannot open is no link.
    assert links(reader) == [(0, 2), (0, 3), (0, 1), (0, "https://example.org/#next"), (2, 0)]
    intro, _, first, last = (" ".join(page.extract_text().split()) for page in reader.pages)
    assert last == "4 Next"
    assert "#" not in intro
    assert "the answer" in first
    assert "the plot's code" not in first
    assert outline(reader) == ["Intro", "First & last"]  # their sections are below


def test_dark_pages_are_printed_light(pages: list[str], browser: Browser) -> None:
    tab = browser.new_page()
    tab.goto(pages[1])
    tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    seen = "window.seen = []; for (const when of ['beforeprint', 'afterprint']) window.addEventListener(when, () => "
    tab.evaluate(f"{seen} window.seen.push(document.documentElement.dataset.theme))")
    tab.pdf()
    assert tab.evaluate("window.seen") == ["light", "dark"]
    tab.close()


def test_without_a_browser_nothing_is_executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pdf, "chromium", lambda: "")
    with pytest.raises(SystemExit, match="--pdf: no Chromium"):
        build.main(["--pdf", "--work", str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_book_as_a_pdf(site: Path, browser: Browser, tmp_path: Path) -> None:
    """Every page is in it, formulas are set, tables are whole, no script left its traces."""
    pdf.printed(browser, [(site / f"{name}.html").as_uri() for name in PAGES]).write(target := tmp_path / "smoke.pdf")
    assert target.stat().st_size < 60e6
    reader = PdfReader(target)
    assert len(outline(reader)) == len(PAGES)
    found = links(reader)
    assert sum(isinstance(to, int) for _, to in found) > 200
    assert [to for _, to in found if isinstance(to, str) and not to.startswith("http")] == []
    text = " ".join(" ".join(page.extract_text().split()) for page in reader.pages)
    for part in ("Reading time", "Fig. 1", "(1)", "How this page was made", "2021]"):
        assert part in text
    for part in ("[object", "Traceback (most recent", "Math input error", "Show code cell", "entries per page"):
        assert part not in text
