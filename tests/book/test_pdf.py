"""The book as a PDF: pages bound into one without a dead link, sliders as pictures, nothing dark, no dead control."""

import json
from pathlib import Path
from typing import Any

import build
import pdf
import pytest
from bs4 import BeautifulSoup
from conftest import PAGES, WORK
from playwright.sync_api import Browser
from pypdf import PdfReader
from pypdf.generic import Destination

STATIC = Path(pdf.__file__).parents[1] / "theme" / "_static"
HEAD = '<link rel="stylesheet" href="../_static/print.css"><script src="../_static/print.js"></script>'
INTRO = """<section id="intro"><h1>Intro<a class="headerlink" href="#intro">#</a></h1>
<p><a href="first.html">one</a> <a href="first.html#next">two</a> <a href="#next">three</a>
<a href="https://example.org/#next">four</a> <a href="../_sources/intro.md">five</a></p><img src="../_images/a.svg">
<section id="next"><h2>Next</h2></section></section>"""
FIRST = """<section id="first"><h1>First &amp; last</h1><a href="intro.html#intro">back</a>
<style>@media print { @page { margin: 0 } }</style><style>p { color: #222 }</style>
<div class="cell tag_hide-cell"><details><summary>Show</summary><p>the answer</p></details></div>
<div class="cell tag_hide-input"><details><summary>Show</summary><p>the plot's code</p></details></div>
VIEW<section id="next"><h2>Next</h2></section></section>"""


def slider(frames: int) -> str:
    """What myst-nb writes of `book.figures.slider`, without styles."""
    models: dict[str, dict[str, Any]] = {
        "box": {"_model_name": "VBoxModel", "children": ["IPY_MODEL_control", "IPY_MODEL_stack"]},
        "control": {"_model_name": "IntSliderModel", "value": 0},
        "stack": {"_model_name": "StackModel", "children": [f"IPY_MODEL_{i}" for i in range(frames)]},
    }
    models |= {str(i): {"_model_name": "HTMLModel", "value": f"<p>step {i}</p>"} for i in range(frames)}
    kind = "application/vnd.jupyter.widget-{}+json"
    state = json.dumps({"state": {key: {"state": state} for key, state in models.items()}})
    view = json.dumps({"model_id": "box"})
    return f'<script type="{kind.format("state")}">{state}</script><script type="{kind.format("view")}">{view}</script>'


@pytest.fixture
def bound(tmp_path: Path) -> Path:
    """The single page of a book of two pages."""
    book, site = tmp_path / "book", tmp_path / "site"
    for folder in (book, site / "book", site / "_static"):
        folder.mkdir(parents=True)
    (book / "_config.yml").write_text("title: Ways & means\nauthor: us\n")
    parts = "parts:\n- caption: All\n  chapters:\n  - file: book/first\n"
    (book / "_toc.yml").write_text(f"format: jb-book\nroot: book/intro\n{parts}")
    for name, text in (("intro", INTRO), ("first", FIRST.replace("VIEW", slider(7)))):
        html = f'<head>{HEAD}</head><body><article class="bd-article">{text}</article></body>'
        (site / "book" / f"{name}.html").write_text(f"<html>{html}</html>")
    for file in STATIC.glob("print.*"):
        (site / "_static" / file.name).write_bytes(file.read_bytes())
    return pdf.bind(book, site, tmp_path / "pdf" / "smoke.html", "smoke")


def test_links_stay_in_the_book_and_sliders_become_pictures(bound: Path) -> None:
    html = BeautifulSoup(bound.read_text(), "html.parser")
    ids = [tag["id"] for tag in html.find_all(id=True)]
    assert len(ids) == len(set(ids))
    leads = {link.text: link.get("href") for link in html.select(".kd-chapter a:not(.headerlink)")}
    assert leads["four"] == "https://example.org/#next"
    assert leads["five"] is None  # a file that a PDF cannot open
    for text, title in (("one", "First & last"), ("two", "Next"), ("three", "Next"), ("back", "Intro")):
        (place,) = html.select(str(leads[text]))
        heading = place.find(["h2", "h3"])
        assert heading
        assert heading.text == title
    assert leads["two"] != leads["three"]
    addresses = [tag.get("src") or tag.get("href") for tag in html.select("img, link, script[src]")]
    assert addresses == ["../site/_static/print.css", "../site/_static/print.js", "../site/_images/a.svg"]
    # A slider becomes its first and last position, and some between.
    assert [step.text for step in html.select(".kd-frames > div")] == ["step 0", "step 2", "step 4", "step 6"]
    assert "4 of the 7 positions" in html.select(".kd-frames > p")[0].text
    assert [style.text for style in html.find_all("style")] == ["p { color: #222 }"]  # paper is the book's


def test_what_is_hidden_on_a_screen_is_printed_where_it_is_an_answer(bound: Path, browser: Browser) -> None:
    target = bound.with_suffix(".pdf")
    pdf.write(browser, bound, target)
    reader = PdfReader(target)
    title, contents, intro, first = (" ".join(page.extract_text().split()) for page in reader.pages)
    assert "Ways & means us Profile smoke: a test" in title
    assert contents == "2 Contents Intro 3 All 4 First & last 4"
    assert "#" not in intro
    assert "the answer" in first
    assert "the plot's code" not in first
    outline = [str(entry.title) for entry in reader.outline if isinstance(entry, Destination)]
    assert outline == ["Ways & means", "All"]  # the pages are below


def test_dark_pages_are_printed_light(bound: Path, browser: Browser) -> None:
    tab = browser.new_page()
    tab.goto((bound.parent.parent / "site" / "book" / "first.html").as_uri())
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
    target = tmp_path / "smoke.pdf"
    pdf.write(browser, pdf.bind(WORK / "book" / "smoke", site, target.with_suffix(".html"), "smoke"), target)
    reader = PdfReader(target)
    pages = [" ".join(page.extract_text().split()) for page in reader.pages]
    assert len(pages) > 50
    assert target.stat().st_size < 60e6
    html = BeautifulSoup(target.with_suffix(".html").read_text(), "html.parser")
    assert [chapter["id"] for chapter in html.select(".kd-chapter")] == [pdf.anchor(name) for name in PAGES]
    before = 0
    for link in html.select(".kd-contents a"):
        start = reader.get_destination_page_number(reader.named_destinations[f"/{str(link['href'])[1:]}"]) or 0
        assert before <= start
        assert link.text in pages[start]
        assert f"{link.text} {start + 1}" in " ".join(pages[1:4]), "the table of contents"
        before = start
    text = " ".join(pages)
    for part in ("Reading time", "Fig. 1", "(1)", "positions of a slider", "How this page was made", "2021]"):
        assert part in text
    for part in ("[object", "Traceback (most recent", "Math input error", "Show code cell", "entries per page"):
        assert part not in text
    links = [note.get_object() for page in reader.pages for note in page.get("/Annots", [])]
    assert sum("/Dest" in link for link in links) > 200
    addresses = [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})]
    assert [address for address in addresses if not address.startswith("http")] == []
