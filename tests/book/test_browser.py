"""Every page of the built book in a browser: opened once from the file system, without network, and used."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import PAGES
from playwright.sync_api import Browser, Page, ViewportSize, expect

SCREEN, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=380, height=800)
# Without preload: style sheets are fetched for no rule that is used here, and a page on disk must not fetch them.
AXE = {"resultTypes": ["violations"], "preload": False}
WCAG = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    "rules": {"heading-order": {"enabled": True}, "landmark-unique": {"enabled": True}},  # good practice, not in WCAG
}
# Each token of the code is an element, thousands of few kinds: one of a kind is judged, in seconds instead of minutes.
ONE_OF_A_KIND = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll(".highlight pre span"))
    if (seen.has(token.className)) token.replaceWith(...token.childNodes);
    else seen.add(token.className);
}"""
PATIENCE = 120_000  # ms, on a machine that has other work too
expect.set_options(timeout=PATIENCE)
pytestmark = pytest.mark.slow


class Visit(NamedTuple):
    """A page that stays open for all its tests, and what went wrong in it so far."""

    name: str
    tab: Page
    troubles: list[str]


@pytest.fixture(scope="module", params=PAGES)
def visit(site: Path, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    context = browser.new_context(offline=True, color_scheme="light", reduced_motion="reduce", viewport=SCREEN)
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    tab.on("console", lambda said: troubles.append(f"console: {said.text}") if said.type == "error" else None)
    tab.on("requestfailed", lambda asked: troubles.append(f"does not get {asked.url}"))
    tab.on("request", lambda asked: troubles.append(f"asks {asked.url}") if asked.url.startswith("http") else None)
    tab.goto((site / f"{request.param}.html").as_uri())
    yield Visit(request.param, tab, troubles)
    context.close()


def shown_widgets(tab: Page) -> int:
    """How many widgets the page has, once they are there."""
    count = tab.locator("script[type='application/vnd.jupyter.widget-view+json']").count()
    if count:
        tab.wait_for_function("document.documentElement.dataset.widgets === 'shown'")
    return count


def violations(tab: Page, options: dict[str, object]) -> str:
    """What axe-core finds, empty if nothing; folded code, solutions and stamps are looked at too."""
    tab.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    tab.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")
    found = Axe().run(tab, options=AXE | options)
    return str(found.generate_report()) if found.violations_count else ""


def test_page_works_from_the_file_system(visit: Visit) -> None:
    """No script fails, nothing is asked of a host, formulas are set, widgets are shown."""
    tab = visit.tab
    if formulas := tab.locator(".math").count():
        tab.evaluate("MathJax.startup.promise")
        assert tab.locator("mjx-container").count() >= formulas
        wrong = tab.locator("mjx-container [data-mml-node='merror'], mjx-container [fill='red']")
        assert wrong.count() == 0, "a formula has an error or an unknown macro"
        assert tab.locator("mjx-container mjx-assistive-mml").count() == tab.locator("mjx-container").count()
    if views := shown_widgets(tab):
        assert tab.locator(".jupyter-widgets-view > .jupyter-widgets").count() == views
        assert tab.locator(".jupyter-widgets-error-widget").count() == 0
    assert visit.troubles == []


PICTURES = "box => [...box.querySelectorAll('img')].map(each => each.src).join()"
VALUE = "each => each.value ?? each.ariaValueNow"  # of an input or list; of a widget


def test_each_control_has_a_name_and_changes_its_picture_by_key(visit: Visit) -> None:
    """Sliders of widgets, sliders and lists of the explorer: no kernel is there."""
    shown_widgets(visit.tab)
    article = visit.tab.locator(".bd-article")
    sliders = article.get_by_role("slider").all()
    assert len(sliders) >= article.locator(".widget-slider, input[type=range]").count()
    for control in [*sliders, *article.locator(".kd-explorer select").all()]:
        expect(control).to_have_accessible_name(re.compile(r"\S"))
        box = control.locator("xpath=ancestor::*[contains(@class, 'jupyter-widgets-view') or @class = 'kd-explorer']")
        before, value = box.evaluate(PICTURES), control.evaluate(VALUE)
        said = control.get_attribute("aria-valuetext")
        control.press("ArrowRight")
        if control.evaluate(VALUE) == value:  # it stood at its end
            control.press("ArrowLeft")
        assert control.evaluate(VALUE) != value
        changed = f"([box, before]) => ({PICTURES})(box) !== before"
        visit.tab.wait_for_function(changed, arg=[box.element_handle(), before])
        if said is not None:
            expect(control).not_to_have_attribute("aria-valuetext", said)
            assert re.search(r"\S", control.get_attribute("aria-valuetext") or "")
    assert visit.troubles == []


def test_page_is_as_wide_as_a_phone(visit: Visit) -> None:
    """What is wider scrolls inside itself, and takes the focus, so that keys scroll it."""
    visit.tab.set_viewport_size(PHONE)
    try:
        visit.tab.wait_for_timeout(400)  # the theme looks for what scrolls 300 ms after a change of size
        assert visit.tab.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
        assert violations(visit.tab, {"runOnly": ["scrollable-region-focusable"]}) == ""
    finally:
        visit.tab.set_viewport_size(SCREEN)


def test_page_is_accessible_in_light(visit: Visit) -> None:
    shown_widgets(visit.tab)
    visit.tab.evaluate(ONE_OF_A_KIND)
    assert violations(visit.tab, WCAG) == ""


def test_page_is_readable_in_dark(visit: Visit) -> None:
    """The theme follows the system; only colours change."""
    visit.tab.emulate_media(color_scheme="dark")
    expect(visit.tab.locator("html")).to_have_attribute("data-theme", "dark")
    shown_widgets(visit.tab)
    visit.tab.evaluate(ONE_OF_A_KIND)
    assert violations(visit.tab, {"runOnly": ["color-contrast", "link-in-text-block"]}) == ""


def test_search_finds_a_word(site: Path, browser: Browser) -> None:
    """From the first page, by key; the page of results is one of those that work without network."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    failed: list[str] = []
    tab.on("requestfailed", lambda asked: failed.append(asked.url))
    tab.on("pageerror", lambda error: failed.append(str(error)))
    tab.goto((site / "index.html").as_uri())
    tab.wait_for_url("**/book/chapters/intro.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("cosine")
    tab.keyboard.press("Enter")
    for title in ("The loss", "Glossary"):
        expect(tab.locator("#search-results").get_by_role("link", name=title)).to_be_visible(timeout=10_000)
    assert failed == []
    assert violations(tab, WCAG) == ""
    context.close()
