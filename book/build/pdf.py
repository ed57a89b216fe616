"""The pages of the site bound into one, and printed as a PDF by Chromium: the book without browser, or on paper.

Sphinx's own `singlehtml` leaves the ids of all pages as they are, and so many have a "What to read next" that its links
lead to wrong places. Here what was built is bound, and an id that several pages have gets the page's name.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader
from sphinx_external_toc.parsing import parse_toc_yaml
from stamp import WORK

MISSING = "no Chromium; on Debian: apt-get install chromium; or set KDLIB_CHROMIUM"
FRAMES = 4  # of a slider, at most
WIDTH = 673  # px: between the margins of A4
SCRIPTS = re.compile(r"tex-svg\.js|window\.MathJax = |print\.js")  # of a page's, those that its text needs
BOOK = Path(__file__).with_suffix(".html").read_text()
WHOLE_TABLES = Path(__file__).with_suffix(".js").read_text()
NUMBER = "(pages) => document.querySelectorAll('.kd-contents i').forEach((at, i) => { at.textContent = pages[i]; })"
LISTED = "() => [...document.querySelectorAll('.kd-contents a')].map((link) => link.hash.slice(1))"


def chromium() -> str:
    """The browser's program: the one that `KDLIB_CHROMIUM` names, else an installed one; "" if there is none."""
    macos = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = os.environ.get("KDLIB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    return found or shutil.which(macos) or ""


def make(book: Path, site: Path, target: Path, profile: str) -> Path:
    """Write the PDF of a site, and beside it the single page that was printed; see `bind`."""
    page = bind(book, site, target.with_suffix(".html"), profile)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        write(browser, page, target)
        browser.close()
    return target


def write(browser: Browser, page: Path, target: Path) -> None:
    """Print the single page, twice: where a chapter starts is known when it is laid out, and written in the second."""
    context = browser.new_context(offline=True, color_scheme="light", viewport={"width": WIDTH, "height": 952})
    context.set_default_timeout(0)  # a whole book takes its time
    tab = context.new_page()
    tab.emulate_media(media="print")
    tab.goto(page.as_uri())
    tab.evaluate("window.MathJax?.startup.promise")
    tab.evaluate(WHOLE_TABLES)
    listed = tab.evaluate(LISTED)
    for whole in (False, True):
        tab.pdf(path=target, prefer_css_page_size=True, print_background=True, outline=whole, tagged=whole)
        reader = PdfReader(target)
        places = reader.named_destinations
        tab.evaluate(NUMBER, [(reader.get_destination_page_number(places[f"/{name}"]) or 0) + 1 for name in listed])
    context.close()


def bind(book: Path, site: Path, target: Path, profile: str) -> Path:
    """Write the pages of a site as one, in the order of its table of contents; styles and pictures stay in the site.

    ``book`` is what the site was made from, with `_toc.yml` and `_config.yml`.
    """
    toc, config = parse_toc_yaml(book / "_toc.yml"), yaml.safe_load((book / "_config.yml").read_text())
    pages = {name: BeautifulSoup((site / f"{name}.html").read_text(), "html.parser") for name in toc}
    articles = {name: article for name, page in pages.items() if (article := page.article)}
    places = rename(articles)
    up = posixpath.relpath(site.as_posix(), target.parent.as_posix())
    heads: dict[str, None] = {}  # in order, each once
    for name, page in pages.items():
        for tag in page.find_all(["link", "script"]):
            if "stylesheet" in tag.get_attribute_list("rel") or SCRIPTS.search(f"{tag.get('src')} {tag.text[:40]}"):
                relocate(tag, name, up, places)
                heads[str(tag)] = None
        frames(page)
        article = articles[name]
        relocate(article, name, up, places)
        for tag in [*article.find_all("style", string=re.compile("@page")), *article.select("a.headerlink")]:
            tag.decompose()  # for a page printed alone; a sign that leads to itself
        for heading in article.find_all(["h1", "h2", "h3", "h4", "h5"]):  # below the parts
            heading.name = f"h{int(heading.name[1]) + 1}"
    captions = {str(tree.items[0]): tree.caption for tree in toc.root.subtrees if tree.caption}
    contents, chapters = "", ""
    for name, article in articles.items():
        part, place, title = escape(captions.get(name, "")), anchor(name), escape(article.select("h2")[0].get_text())
        top = f'<h1 class="kd-part" id="part-{place}">{part}</h1>' if part else ""
        contents += f'<li class="kd-part"><a href="#part-{place}">{part}</a><i>000</i></li>' if part else ""
        contents += f'<li><a href="#{place}">{title}</a><i>000</i></li>'
        chapters += f'<div class="kd-chapter" id="{place}">{top}{article.decode_contents()}</div>'
    text = {key: escape(str(config.get(key, ""))) for key in ("title", "author")}
    about = f"Profile {profile}: {WORK[profile]}." if profile in WORK else ""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(BOOK.format(**text, about=about, head="".join(heads), contents=contents, pages=chapters))
    return target


def anchor(name: str) -> str:
    """The id of a page in the book."""
    return "page-" + name.replace("/", "-")


def rename(articles: Mapping[str, Tag]) -> dict[str, str]:
    """Make ids unique, and tell where each went: `page.html#old` -> new."""
    count = Counter(str(tag["id"]) for article in articles.values() for tag in article.find_all(id=True))
    places = {}
    for name, article in articles.items():
        places[f"{name}.html"] = anchor(name)
        for tag in article.find_all(id=True):
            old = str(tag["id"])
            if count[old] > 1:
                tag["id"] = f"{anchor(name)}-{old}"
            places[f"{name}.html#{old}"] = str(tag["id"])
    return places


def relocate(root: Tag, name: str, up: str, places: Mapping[str, str]) -> None:
    """Let addresses of a page and below lead into the book, or to the site where it has a file that no page is."""
    for tag in [root, *root.find_all(href=True), *root.find_all(src=True)]:
        for attribute in {"href", "src"} & set(tag.attrs):
            parts = urlsplit(str(tag[attribute]))
            if parts.scheme == "data" and tag.name == "a":  # a table to download: nothing that a PDF could open
                del tag[attribute]
            if parts.scheme or parts.netloc:
                continue
            file = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
            file = file if parts.path else f"{name}.html"
            place = places.get(f"{file}#{unquote(parts.fragment)}") or places.get(file)
            if place:
                tag[attribute] = f"#{place}"
            elif tag.name == "a":  # a file of the site: nothing that a PDF could open
                del tag[attribute]
            else:
                tag[attribute] = f"{up}/{file}" + (f"?{parts.query}" if parts.query else "")


def frames(page: BeautifulSoup) -> None:
    """Put pictures in the place of each slider: the first, the last, and some evenly between."""
    states = page.find_all("script", type="application/vnd.jupyter.widget-state+json")
    models = {key: model["state"] for state in states for key, model in json.loads(state.text)["state"].items()}

    def pictures(key: str) -> Iterator[str]:
        state = models[key.removeprefix("IPY_MODEL_")]
        if state["_model_name"] == "HTMLModel":
            yield state["value"]
        for child in state.get("children", []):
            yield from pictures(child)

    for view in page.find_all("script", type="application/vnd.jupyter.widget-view+json"):
        found = list(pictures(json.loads(view.text)["model_id"]))
        few = min(FRAMES, len(found))
        shown = [found[round(i * (len(found) - 1) / max(few - 1, 1))] for i in range(few)]
        note = f"<p>{few} of the {len(found)} positions of a slider:</p>" if few < len(found) else ""
        html = note + "".join(f"<div>{each}</div>" for each in shown)
        view.replace_with(BeautifulSoup(f'<div class="kd-frames">{html}</div>', "html.parser"))
