"""The book as a PDF, to read without a browser or on paper: Chromium prints each page of the site, pypdf joins them.

Links between pages lead to their places, headings are the outline, and pages are numbered through. A control is
printed as it stands when its page opens.
"""

import os
import shutil
from io import BytesIO
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import Destination, Fit, NameObject, NullObject
from sphinx_external_toc.parsing import parse_toc_yaml

MISSING = "no Chromium; on Debian: apt-get install chromium; or set KDLIB_CHROMIUM"
WIDTH = 673  # px: between the margins of A4
READY = Path(__file__).with_suffix(".js").read_text()


def chromium() -> str:
    """The browser's program: the one that `KDLIB_CHROMIUM` names, else an installed one; "" if there is none."""
    macos = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = os.environ.get("KDLIB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    return found or shutil.which(macos) or ""


def make(book: Path, site: Path, target: Path) -> Path:
    """Write the PDF of a site; ``book`` is what it was made from, with `_toc.yml`."""
    pages = [(site / f"{name}.html").as_uri() for name in parse_toc_yaml(book / "_toc.yml")]
    target.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        printed(browser, pages).write(target)
        browser.close()
    return target


def printed(browser: Browser, pages: list[str]) -> PdfWriter:
    """Pages of a site, by their addresses, as one document."""
    context = browser.new_context(offline=True, color_scheme="light", viewport={"width": WIDTH, "height": 952})
    context.set_default_timeout(0)  # a whole book takes its time
    tab = context.new_page()
    tab.emulate_media(media="print")
    whole, places = PdfWriter(), dict[str, tuple[int, Fit]]()
    for page in pages:
        tab.goto(page)
        tab.evaluate(READY, pages)
        before = len(whole.pages)
        tab.add_style_tag(content=f"html {{ counter-reset: page {before} }}")
        content = tab.pdf(prefer_css_page_size=True, print_background=True, tagged=True, outline=True)
        part = PdfReader(BytesIO(content))
        places[page] = before, Fit.fit()
        for name, at in part.named_destinations.items():
            number = part.get_destination_page_number(at) or 0
            places[f"{page}#{name[1:]}"] = before + number, Fit.xyz(at.left, at.top)
        whole.append(part)
    context.close()
    numbered = [each.indirect_reference or NullObject() for each in whole.pages]
    for link in [each.get_object() for page in whole.pages for each in page.get("/Annots", [])]:
        address = str(link.get("/A", {}).get("/URI", "")).replace("book:", "file:")
        if place := places.get(address) or places.get(address.partition("#")[0]):
            number, fit = place
            del link["/A"]
            link[NameObject("/Dest")] = Destination("", numbered[number], fit).dest_array
    return whole
