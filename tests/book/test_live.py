"""The page on which a browser learns: the numbers of kdlib, and a defect found by who has only the built folder."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect
from torch import Tensor

from kdlab.textures import textures
from kdlib.activations import prepare
from kdlib.distill import balanced_lambda, make_cloner
from kdlib.localize import attribution, localization_map
from kdlib.losses import discrepancy
from kdlib.networks import Cloner, Source

RECIPE = live.RECIPE.replace(precision="fp32")
CPU, PAGE = torch.device("cpu"), "book/chapters/live.html"
PATIENCE = 240_000  # ms, on a machine that has other work too
pytestmark = pytest.mark.slow

# All that is compared, of the page's own pictures and of weights that are handed over.
COMPUTE = """async ([pixels, state, steps]) => {
  await method.start(assets.wasm);
  const side = assets.recipe.size, points = assets.recipe.critical_points;
  const source = new method.Source(method.unpack(assets.source));
  const tensors = Object.fromEntries(Object.entries(state).map(([name, [shape, values]]) => {
    const tensor = tf.tensor(values, shape);
    return [name, shape.length === 4 ? tf.transpose(tensor, [2, 3, 1, 0]) : tensor];
  }));
  const cloner = new method.Cloner(tensors);
  const x = method.prepare(Uint8Array.from(pixels), side, assets);
  const known = source.forward(x), flat = (tensor) => [...tensor.dataSync()];
  const lists = (activations) => points.map((p) => flat(tf.transpose(activations[p], [0, 3, 1, 2])));
  const found = { source: lists(known), cloner: lists(cloner.forward(x)) };
  const settings = { points, side, lam: method.balancedLambda(cloner, x, known, points), sigma: assets.recipe.sigma };
  const adam = tf.train.adam(assets.recipe.learning_rate, 0.9, 0.999, 1e-8);
  found.losses = Array.from({ length: steps }, () => method.step(adam, cloner, x, known, settings));
  const after = cloner.forward(x);
  const smooth = (maps) => tf.unstack(maps).map((map) => flat(method.localizationMap(map, settings)));
  found.scores = flat(method.discrepancy(known, after, settings));
  found.gradients = smooth(method.attribution(source, cloner, x, settings));
  found.positions = smooth(method.positions(known, after, settings));
  return { ...found, lam: settings.lam };
}"""


@pytest.fixture
def tab(site: Path, browser: Browser) -> Iterator[Page]:
    """The page as on a phone, without network; it may neither fail nor ask for anything."""
    context = browser.new_context(offline=True, viewport={"width": 380, "height": 800})
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("request", lambda asked: troubles.append(asked.url) if asked.url.startswith("http") else None)
    tab.goto((site / PAGE).as_uri())
    yield tab
    assert troubles == []
    context.close()


def close(found: Any, expected: Any, tolerance: float) -> None:
    """Equal up to a fraction of the largest of the numbers."""
    found, expected = np.asarray(found).ravel(), np.asarray(expected).ravel()
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the page has them."""
    return {name: tensor.half().float() for name, tensor in tensors.items()}


def test_the_browser_has_the_numbers_of_kdlib(tab: Page, source_weights: dict[str, Tensor]) -> None:
    pixels = textures("brick").train[:4].pixels(RECIPE.size)
    source = Source(half(source_weights), critical_points=live.POINTS)
    cloner: Cloner = make_cloner(RECIPE, CPU, seed=0)
    state = {name: (list(t.shape), t.ravel().tolist()) for name, t in cloner.state_dict().items() if t.dim()}
    found = tab.evaluate(COMPUTE, [pixels.permute(0, 2, 3, 1).ravel().tolist(), state, steps := 10])

    x = prepare(pixels, RECIPE, CPU)
    with torch.no_grad():
        known = source(x)
        for network, activations in (("source", known), ("cloner", cloner.eval()(x))):
            for values, point in zip(found[network], live.POINTS, strict=True):
                close(values, activations[point], 1e-3)
    lam = balanced_lambda(cloner, iter([(x, known)]), half=False)
    assert found["lam"] == pytest.approx(lam, rel=1e-3)
    adam, losses = torch.optim.Adam(cloner.train().parameters(), RECIPE.learning_rate), []
    for _ in range(steps):
        loss = discrepancy(known, cloner(x), lam=lam).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert found["losses"] == pytest.approx(losses, rel=1e-2)
    with torch.no_grad():
        scores = discrepancy(known, cloner.eval()(x), lam=lam)
    assert found["scores"] == pytest.approx(scores.tolist(), rel=1e-2)
    for name, method in (("gradients", "gradients"), ("positions", "product")):
        recipe = RECIPE.replace(attribution=method)
        close(found[name], localization_map(attribution(source, cloner, x, lam=lam, recipe=recipe), recipe), 1e-2)


def test_a_defect_that_is_drawn_is_found(tab: Page) -> None:
    """By who has only the built folder and a phone: learn, draw by key, read."""
    page, said = tab.locator(".kd-live"), tab.locator(".kd-said")
    tab.get_by_role("button", name="Brick").click()
    expect(said).to_contain_text("12 pictures to learn, 4 kept apart", timeout=PATIENCE)
    tab.get_by_role("button", name="Learn").click()
    expect(page).to_have_attribute("data-turn", "1", timeout=PATIENCE)
    assert re.search(r"Learned 12 pictures in \d+ s", said.inner_text())
    clean = tab.locator(".kd-verdict").inner_text()
    tab.get_by_label("What to draw").select_option("blot")
    tab.get_by_role("button", name="Draw one for me").press("Enter")
    expect(tab.locator(".kd-verdict")).to_contain_text(": anomalous", timeout=PATIENCE)
    assert tab.locator(".kd-verdict").inner_text() != clean
    for name in ("λ, weight of the direction", "σ of the Gaussian"):
        turn = page.get_attribute("data-turn")
        tab.get_by_label(name).press("ArrowRight")
        expect(page).not_to_have_attribute("data-turn", str(turn), timeout=PATIENCE)
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 380


def test_without_webassembly_the_page_points_to_the_explorer(site: Path, browser: Browser) -> None:
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.add_init_script("delete window.WebAssembly")
    tab.goto((site / PAGE).as_uri())
    expect(tab.locator(".kd-said")).to_contain_text("no WebAssembly", timeout=PATIENCE)
    address = tab.locator(".kd-said a").evaluate("link => link.href")
    assert Path(address.removeprefix("file://")).is_file()
    context.close()


def test_what_the_page_adds_is_small_and_loaded_there_alone(site: Path) -> None:
    assert sum(path.stat().st_size for path in (site / "live").iterdir()) < 10e6
    assert sum(len(path.read_text().splitlines()) for path in live.HERE.glob("*.js")) <= 600
    with_it = [path for path in site.glob("**/*.html") if "live/assets.js" in path.read_text()]
    assert with_it == [site / PAGE]
