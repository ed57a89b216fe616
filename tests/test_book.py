"""The built book, smoke profile: complete, offline, described, linked; looked at in a browser."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).parent.parent
WORK = ROOT / "work" / "test"  # kept: a second run executes only what is stale
PAGES = [*map(str, parse_toc_yaml(ROOT / "_toc.yml")), "book/status"]  # the last is written by the build
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").is_file()]
MB = 10**6
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def built() -> subprocess.CompletedProcess[str]:
    """What `make book` does, in the smoke profile."""
    command = [sys.executable, str(ROOT / "book" / "build.py"), "--profile", "smoke", "--work", str(WORK)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(built: subprocess.CompletedProcess[str]) -> Path:
    if built.returncode:
        pytest.fail("the book was not built; see test_the_book_builds_without_a_warning", pytrace=False)
    return WORK / "site" / "smoke"


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(), "html.parser")


def test_the_book_builds_without_a_warning(built: subprocess.CompletedProcess[str]) -> None:
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}"
    assert (WORK / "site" / "smoke" / "index.html").is_file()


@pytest.mark.parametrize("page", PAGES)
def test_page_needs_no_network(site: Path, page: str) -> None:
    """Links that a reader may follow can lead anywhere; what the page loads by itself lies in the site."""
    html = parsed(site / f"{page}.html")
    loaded = [str(tag["src"]) for tag in html.find_all(["script", "img", "iframe", "source", "video"], src=True)]
    loaded += [str(tag["href"]) for tag in html.find_all("link", href=True)]
    for address in loaded:
        parts = urlsplit(address)
        assert not parts.netloc, f"{page} loads {address}"
        if parts.scheme != "data":
            assert (site / f"{page}.html").parent.joinpath(unquote(parts.path)).is_file(), f"{page} has no {address}"
    inline = "\n".join(tag.get_text() for tag in html.find_all("script", src=False))
    assert not re.findall(r"https?://[^\s\"']+\.(?:js|css|mjs)\b", inline)


@pytest.mark.parametrize("page", PAGES)
def test_every_image_says_what_it_shows(site: Path, page: str) -> None:
    for image in parsed(site / f"{page}.html").find_all("img"):
        alt = str(image.get("alt", "")).strip()
        assert alt, f"{page}: {image.get('src')} has no alt text"
        assert " " in alt, f"{page}: {alt!r} is not a description"
        assert not re.search(r"\.(png|svg|jpe?g|gif)$", alt), f"{page}: {alt!r} is a path"


@pytest.mark.parametrize("page", PAGES)
def test_internal_links_resolve(site: Path, page: str) -> None:
    here = site / f"{page}.html"
    for link in parsed(here).find_all("a", href=True):
        parts = urlsplit(str(link["href"]))
        if parts.scheme or parts.netloc:
            continue
        target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        assert target.is_file(), f"{page}: {link['href']} leads nowhere"
        if parts.fragment and target.suffix == ".html":
            assert parsed(target).find(id=unquote(parts.fragment)), f"{page}: {link['href']} has no such place"


def test_the_site_is_small(site: Path) -> None:
    sizes = {path.relative_to(site): path.stat().st_size for path in site.glob("**/*") if path.is_file()}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:10]
    total = sum(sizes.values()) / MB
    assert total < 40, f"{total:.1f} MB, the largest: {', '.join(f'{path} {size}' for path, size in largest)}"


@pytest.mark.parametrize("page", PAGES)
def test_page_is_small(site: Path, page: str) -> None:
    """With its own pictures; what all pages share is loaded once."""
    html = site / f"{page}.html"
    sources = {str(tag["src"]) for tag in parsed(html).find_all("img", src=True)}
    files = [html.parent / unquote(source) for source in sources if not source.startswith("data:")]
    size = html.stat().st_size + sum(path.stat().st_size for path in files)
    assert size < 4 * MB, f"{page} has {size / MB:.1f} MB"


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_page_says_how_it_was_made(site: Path, page: str) -> None:
    html = parsed(site / f"{page}.html")
    (stamp,) = html.select("details.kd-stamp")
    said = " ".join(stamp.get_text(" ").split())
    declared = "profile: str" in (ROOT / f"{page}.ipynb").read_text()
    assert bool(html.select(".kd-profile")) == declared
    command = f"python book/build.py --profile smoke --only {page.removeprefix('notebooks/')}"
    assert command in said
    for part in ("made", "parameters", "commit", "machine", "digests", "published.csv", "PyTorch", "cores"):
        assert part in said, f"{page}: its stamp has no {part}"
    assert str(ROOT) not in said


@pytest.mark.parametrize("page", PAGES)
def test_page_works_from_the_file_system(site: Path, browser: Browser, page: str) -> None:
    """Opened offline: no script fails, nothing is asked of a host, formulas are set, widgets are shown."""
    context = browser.new_context(offline=True)
    try:
        tab = context.new_page()
        troubles: list[str] = []
        tab.on("pageerror", lambda error: troubles.append(f"script: {error}"))
        tab.on("console", lambda said: troubles.append(f"console: {said.text}") if said.type == "error" else None)
        tab.on("request", lambda asked: troubles.append(f"asks {asked.url}") if asked.url.startswith("http") else None)
        tab.goto((site / f"{page}.html").as_uri())
        formulas = tab.locator(".math").count()
        if formulas:
            tab.evaluate("MathJax.startup.promise")
            assert tab.locator("mjx-container").count() >= formulas
            wrong = tab.locator("mjx-container [data-mml-node='merror'], mjx-container [fill='red']")
            assert wrong.count() == 0, "a formula has an error or an unknown macro"
        if views := tab.locator("script[type='application/vnd.jupyter.widget-view+json']").count():
            tab.wait_for_function("document.documentElement.dataset.widgets === 'shown'", timeout=30_000)
            assert tab.locator(".jupyter-widgets-view > .jupyter-widgets").count() == views
            assert tab.locator(".jupyter-widgets-error-widget").count() == 0
        assert troubles == []
    finally:
        context.close()
