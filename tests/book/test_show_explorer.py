"""The explorer: what is kept gives what `localize` computes, and the page without a kernel works in a browser."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, environment
from playwright.sync_api import Browser, Page
from sklearn.metrics import roc_auc_score

from book.figures.explorer import LABELS, Explorer, Setting, attended, controls, page
from kdlab.localization import pixel_threshold
from kdlib import Detector, load
from kdlib.data import Images
from kdlib.localize import localization_map
from kdlib.recipe import ATTRIBUTIONS

POINTS = TINY.critical_points
CHOICES = [(POINTS, 2.5), (("pool3",), math.inf), (("pool2", "pool5"), 0.0)]
GRID = {
    "image": [0, 1, 2],
    "method": ("gradients", "discrepancy"),
    "points": (POINTS, ("pool2",)),
    "lam": (0.0, 2.5),
    "sigma": (1.0, 3.0),
    "opening": (0, 5),
    "quantile": (0.5, 0.9, 0.99),
}


@pytest.fixture(scope="module")
def images(home: Path) -> Images:
    """Two defective patches and two good ones."""
    with environment(home):
        test = load("textures", "brick").test
    first = [next(i for i, name in enumerate(test.names) if name.startswith(kind)) for kind in ("blob", "swap", "good")]
    return test[[*first, first[-1] + 1]]


@pytest.fixture(scope="module")
def detector(home: Path) -> Detector:
    with environment(home):
        recipe = TINY.replace(size=48, normalize=True, epochs=1, lam=2.5, samples=3)
        return Detector(recipe).fit(load("textures", "brick").train[:32])


@pytest.fixture(scope="module")
def explorer(home: Path, detector: Detector, images: Images) -> Explorer:
    with environment(home):
        return Explorer(detector, images)


@pytest.fixture(scope="module")
def start(explorer: Explorer) -> Setting:
    return replace(explorer.start(), sigma=1.0, opening=0, quantile=0.9)


def direct(detector: Detector, images: Images, setting: Setting) -> np.ndarray:
    recipe = detector.recipe.replace(attribution=setting.method, map_points=setting.points, map_lam=setting.lam)
    other = Detector(recipe)
    other.cloner, other.training = detector.cloner, detector.training
    return other.attribute(images)


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_what_is_kept_gives_what_localize_computes(
    method: str, explorer: Explorer, detector: Detector, images: Images, start: Setting
) -> None:
    for points, lam in CHOICES:
        setting = replace(start, method=method, points=points, lam=lam)
        expected = direct(detector, images, setting)
        np.testing.assert_allclose(explorer.attribution(setting), expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_smoothgrad_that_stretches_is_not_a_sum(detector: Detector, images: Images, start: Setting) -> None:
    other = Detector(detector.recipe.replace(stretch=True))
    other.cloner, other.training = detector.cloner, detector.training
    setting = replace(start, method="smoothgrad")
    found = Explorer(other, images).attribution(setting)
    np.testing.assert_allclose(found, direct(other, images, setting), rtol=1e-4)


@pytest.mark.parametrize(("sigma", "opening"), [(0.0, 0), (1.5, 3), (4.0, 7)])
def test_maps_area_threshold_and_rates(
    sigma: float, opening: int, explorer: Explorer, detector: Detector, images: Images, start: Setting
) -> None:
    setting = replace(start, sigma=sigma, opening=opening)
    expected = localization_map(
        direct(detector, images, setting), detector.recipe.replace(sigma=sigma, opening=opening)
    )
    summary, found = explorer.summary(setting), explorer.at_threshold(setting)
    np.testing.assert_allclose(summary.maps, expected, rtol=1e-3, atol=1e-4 * expected.max())
    masks = images.mask_pixels(48)
    assert summary.auroc == pytest.approx(roc_auc_score(masks.ravel(), summary.maps.ravel()))
    assert found["threshold"] == pixel_threshold(summary.maps[2:], 0.9)
    marked = summary.maps > found["threshold"]
    assert marked[2:].mean() == pytest.approx(0.1, abs=0.01)
    assert found["false"] == pytest.approx(marked[~masks].mean())
    assert found["true"] == pytest.approx(marked[masks].mean())
    assert np.all(np.diff(summary.curve) >= 0)
    np.testing.assert_allclose(explorer.scores(start), detector.score(images), rtol=1e-4)


def test_a_move_computes_nothing_twice(explorer: Explorer, start: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    first = explorer.summary(start)
    monkeypatch.setattr("book.figures.explorer.localization_map", lambda *_: pytest.fail("computed again"))
    assert explorer.summary(replace(start, image=1, quantile=0.5)) is first
    monkeypatch.undo()
    monkeypatch.setattr("kdlab.terms.attribution", lambda *_, **__: pytest.fail("computed again"))
    monkeypatch.setattr(explorer.detector.source, "forward", lambda _: pytest.fail("computed again"))
    for method in explorer.methods:
        explorer.view(replace(start, method=method, points=("pool2", "pool4"), lam=0.7, sigma=2.0))
    monkeypatch.undo()
    seconds = explorer.measure(start, GRID)
    assert {control: len(found) for control, found in seconds.items()} == {k: len(v) - 1 for k, v in GRID.items()}


def test_live_controls_follow(explorer: Explorer, start: Setting) -> None:
    _, method, points, *_, shown = controls(explorer, start).children
    before = shown.value
    method.value, points.value = "discrepancy", ("pool2", "pool4")
    assert shown.value == explorer.view(replace(start, method="discrepancy", points=("pool2", "pool4")))
    assert shown.value != before
    assert not attended()


def test_what_cannot_be_shown_is_refused(
    explorer: Explorer, detector: Detector, images: Images, start: Setting
) -> None:
    with pytest.raises(ValueError, match=r"2 of 2 masks are empty"):
        Explorer(detector, images[2:])
    with pytest.raises(ValueError, match=r"sigma starts at 2\.0"):
        page(explorer, replace(start, sigma=2.0), GRID)


# --- the page without a kernel, in a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def static(home: Path, explorer: Explorer, start: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    with environment(home):
        content = page(explorer, start, GRID).data
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    path.write_text(f"<!doctype html><html lang='en'>{meta}<title>Explorer</title><body>{content}</body></html>")
    return path


@pytest.fixture
def tab(static: Path, browser: Browser) -> Iterator[Page]:
    """The page, opened offline: `test_browser` uses its controls by key, in all sizes, in light and dark."""
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.goto(static.as_uri())
    opened.wait_for_selector(".kd-explorer[data-turn]")
    yield opened
    context.close()


@pytest.mark.slow
def test_the_page_says_what_the_explorer_computes(tab: Page, explorer: Explorer, start: Setting) -> None:
    """Every image, and a setting far from the start: the same sentence as live, and nearly the same marks."""
    setting = replace(start, method="discrepancy", points=("pool2",), lam=2.5, sigma=3.0, opening=5, quantile=0.99)
    for image in GRID["image"]:
        now = replace(setting, image=int(str(image)))
        turn = int(tab.get_attribute(".kd-explorer", "data-turn") or 0)
        for field, values in GRID.items():
            control, at = tab.get_by_label(LABELS[field], exact=True), list(values).index(getattr(now, field))
            control.evaluate("(c, at) => { c.value = at; c.dispatchEvent(new Event('input')); }", at)
        tab.wait_for_function(f"+document.querySelector('.kd-explorer').dataset.turn == {turn + len(GRID)}")
        live, name = explorer.view(now), explorer.name(now.image)
        expected = re.findall(r'role="status">(.*?)</p>', live)[0]
        assert numbers(tab.inner_text("[role=status]")) == pytest.approx(numbers(expected), abs=0.11)
        alts = tab.evaluate("[...document.images].map(image => image.alt)")
        for alt, begins in zip(alts, (name, f"Localization map of {name}", name), strict=True):
            assert alt.startswith(begins)
        marked = [float(re.findall(r"([\d.]+) ?% marked", text)[0]) for text in (alts[-1], live)]
        assert marked[0] == pytest.approx(marked[1], abs=1)


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]
