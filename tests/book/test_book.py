"""The built book, smoke profile: complete, offline, described, linked. `test_browser` looks at it in a browser."""

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import templates
from bs4 import BeautifulSoup
from conftest import PAGES, ROOT

from kdlab.experiments.experiment import Experiment

NOTEBOOKS = [page for page in PAGES if templates.exists(ROOT, Path(f"{page}.ipynb"))]
MB = 10**6
pytestmark = pytest.mark.slow


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(), "html.parser")


def test_the_book_builds_without_a_warning(built: subprocess.CompletedProcess[str]) -> None:
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_every_image_says_what_it_shows(site: Path, page: str) -> None:
    for image in parsed(site / f"{page}.html").find_all("img"):
        alt = str(image.get("alt", "")).strip()
        assert alt, f"{page}: {image.get('src')} has no alt text"
        assert " " in alt, f"{page}: {alt!r} is not a description"
        assert not re.search(r"\.(png|svg|jpe?g|gif)$", alt), f"{page}: {alt!r} is a path"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_loads_and_where_it_leads_is_in_the_site(site: Path, page: str) -> None:
    """Only links that a reader may follow can lead elsewhere."""
    here = site / f"{page}.html"
    html = parsed(here)
    for tag in [*html.find_all(src=True), *html.find_all(["a", "link"], href=True)]:
        parts = urlsplit(str(tag.get("src") or tag["href"]))
        assert tag.name == "a" or not parts.netloc, f"{page} loads {parts.geturl()}"
        if parts.scheme or parts.netloc:
            continue
        target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
        assert target.is_file(), f"{page}: {parts.geturl()} leads nowhere"
        if parts.fragment and target.suffix == ".html":
            assert parsed(target).find(id=unquote(parts.fragment)), f"{page}: {parts.geturl()} has no such place"
    inline = "\n".join(tag.get_text() for tag in html.find_all("script", src=False))
    assert not re.findall(r"https?://[^\s\"']+\.(?:js|css|mjs)\b", inline)


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


def test_little_is_read_before_the_first_page_shows(site: Path) -> None:
    """A page stays white until its style sheets and the scripts that are not deferred are there."""
    head = parsed(site / "book" / "chapters" / "intro.html").head
    assert head
    waited = [tag["src"] for tag in head.find_all("script", src=True) if not tag.has_attr("defer")]
    waited += [tag["href"] for tag in head.find_all("link", rel="stylesheet")]
    sizes = {str(each): (site / "book" / "chapters" / urlsplit(str(each)).path).stat().st_size for each in waited}
    assert 0 < sum(sizes.values()) < MB, sizes


@pytest.mark.parametrize("page", PAGES)
def test_page_says_how_long_it_takes(site: Path, page: str) -> None:
    said = " ".join(parsed(site / f"{page}.html").get_text(" ").split())
    assert len(re.findall(r"Reading time : \d+ min\.", said)) == 1


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_page_says_how_it_was_made_and_holds_its_notebook(site: Path, page: str) -> None:
    html = parsed(site / f"{page}.html")
    (stamp,) = html.select("details.kd-stamp")
    said = " ".join(stamp.get_text(" ").split())
    notebook = templates.notebook(ROOT, Path(f"{page}.ipynb"))
    assert bool(html.select(".kd-profile")) == ("profile: str" in nbformat.writes(notebook))
    command = f"python book/build/build.py --profile smoke --only {page.removeprefix('notebooks/')}"
    assert command in said
    for part in ("made", "parameters", "commit", "machine", "digests", "published.csv", "PyTorch", "cores"):
        assert part in said, f"{page}: its stamp has no {part}"
    assert str(ROOT) not in said
    (button,) = html.select("a.btn-download-source-button")
    assert nbformat.read((site / page).parent / str(button["href"]), 4) == notebook, "without outputs"


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_pictures_and_rows_lead_to_their_commands(
    site: Path, page: str, dry_run: Callable[[str], list[Experiment]]
) -> None:
    """A picture to the page's stamp; the command of a row or of a picture's records is understood."""
    html = parsed(site / f"{page}.html")
    for figure in html.select("figure.kd-figure"):
        link = figure.find_parent(class_="cell").select_one(".kd-reproduce a")  # type: ignore[union-attr]
        assert link, "a picture without a link"
        assert html.select_one(f"details.kd-stamp {link['href']}")
    commands = {pre.get_text() for pre in html.select("details.kd-command pre")}
    timed = {command for command in commands if command.startswith("python benchmarks/")}
    assert all((ROOT / command.removeprefix("python ")).is_file() for command in timed)
    assert all(dry_run(command) for command in commands - timed)
    assert commands or not page.startswith("notebooks/datasets/")
