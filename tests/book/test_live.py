"""The page on which a browser learns: the numbers of kdlib, and a defect found by who has only the built folder."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import numpy as np
import pdf
import pytest
import torch
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, expect
from torch import Tensor

from kdlab.textures import textures
from kdlib import Detector
from kdlib.activations import prepare
from kdlib.distill import balanced_lambda, make_cloner
from kdlib.localize import attribution, localization_map
from kdlib.losses import discrepancy
from kdlib.networks import Cloner, Source

RECIPE = live.RECIPE
CPU, PAGE = torch.device("cpu"), "book/chapters/live.html"
PATIENCE = 240_000  # ms, on a machine that has other work too
pytestmark = pytest.mark.slow

# All that is compared, of the page's own weights; its untrained cloner is kdlib's.
COMPUTE = """async ([pixels, recipe, steps]) => {
  await method.start(assets.wasm);
  const points = recipe.critical_points, flat = (tensor) => [...tensor.dataSync()];
  const tensors = async (text) => method.read(await method.bytes(text)).tensors;
  const source = new method.Source(await tensors(assets.source));
  const cloner = new method.Cloner(await tensors(assets.untrained));
  const x = method.prepare(tf.tensor(pixels), assets);
  const known = source.forward(x);
  const lists = (activations) => points.map((p) => flat(tf.transpose(activations[p], [0, 3, 1, 2])));
  const found = { source: lists(known), cloner: lists(cloner.forward(x)) };
  const lam = method.balancedLambda(cloner, x, known, points);
  const settings = { points, side: recipe.size, lam, sigma: recipe.sigma };
  const adam = tf.train.adam(recipe.learning_rate, 0.9, 0.999, 1e-8);
  found.losses = Array.from({ length: steps }, () => method.step(adam, cloner, x, known, settings));
  const after = cloner.forward(x);
  found.scores = flat(method.discrepancy(known, after, settings));
  found.gradients = flat(method.localizationMap(method.attribution(source, cloner, x, settings), settings));
  found.positions = flat(method.localizationMap(method.positions(known, after, settings), settings));
  return { ...found, lam };
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


def test_the_browser_has_the_numbers_of_kdlib(tab: Page, source_weights: dict[str, Tensor]) -> None:
    pixels = textures("brick").train[:4].pixels(RECIPE.size)
    half = {name: tensor.half().float() for name, tensor in source_weights.items()}  # as the page has them
    source = Source(half, critical_points=live.POINTS)
    cloner: Cloner = make_cloner(RECIPE, CPU, seed=0)
    found = tab.evaluate(COMPUTE, [pixels.permute(0, 2, 3, 1).tolist(), RECIPE.to_dict(), steps := 10])

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


def said(tab: Page, *texts: str) -> None:
    for text in texts:
        expect(tab.locator(".kd-said")).to_contain_text(text, timeout=PATIENCE)


def answer(tab: Page, turn: int) -> list[float]:
    """Score and threshold of the page's so many-th answer."""
    expect(tab.locator(".kd-live")).to_have_attribute("data-turn", str(turn), timeout=PATIENCE)
    return [float(number) for number in re.findall(r"\d+\.?\d*", tab.locator(".kd-verdict").inner_text())]


def test_a_defect_that_is_drawn_is_found(tab: Page) -> None:
    """By who has only the built folder and a phone: learn, draw by key, read."""
    tab.get_by_role("button", name="Brick").click()
    said(tab, "12 pictures to learn, 4 kept apart")
    tab.get_by_role("button", name="Learn").click()
    clean = answer(tab, 1)
    assert re.search(r"Learned 12 pictures in \d+ s", tab.locator(".kd-said").inner_text())
    tab.get_by_label("What to draw").select_option("blot")
    tab.get_by_role("button", name="Draw one for me").press("Enter")
    assert answer(tab, 2) > clean
    assert "anomalous" in tab.locator(".kd-verdict").inner_text()
    tab.get_by_label("λ, weight of the direction").press("ArrowDown")
    threshold = answer(tab, 3)[1]
    assert threshold != clean[1]
    tab.get_by_label("σ of the Gaussian").press("ArrowUp")
    assert answer(tab, 4)[1] == threshold
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 380


def test_own_pictures_are_learned_and_detectors_go_both_ways(tab: Page, tmp_path: Path, fitted: Detector) -> None:
    """Wide JPEG files; the last picture, which is scored, becomes the same pixels here and there."""
    pixels = textures("brick").train[:10].pixels(RECIPE.size)
    names = [tmp_path / f"{n}.{'png' if n == 9 else 'jpg'}" for n in range(10)]
    for name, each in zip(names, pixels.permute(0, 2, 3, 1).numpy(), strict=True):
        large = Image.fromarray(each).resize((live.LARGE, live.LARGE), Image.Resampling.NEAREST)
        (large if name.suffix == ".png" else ImageOps.pad(large, (300, 200))).save(name)
    (text := tmp_path / "text.png").write_text("no picture")
    own = tab.get_by_label("Your own pictures")
    own.set_input_files([text, *names])
    said(tab, "7 pictures to learn, 2 kept apart", "text.png is not taken")
    tab.get_by_role("button", name="Learn").click()
    found = answer(tab, 1)
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download the detector").click()
    detector = Detector.load(download.value.path(), device=CPU)
    assert detector.recipe == RECIPE
    assert found == pytest.approx([*detector.score_pixels(pixels[-1:]), detector.threshold(1)], rel=1e-2)
    tab.get_by_label("What to draw").select_option("blot")
    tab.get_by_role("button", name="Draw one for me").click()
    score, threshold = answer(tab, 2)
    assert score > threshold
    images = pixels[:9].permute(0, 2, 3, 1).numpy()
    detector = Detector(RECIPE.replace(epochs=3, sigma=4), device=CPU).fit(images, held_out=0.2)
    detector.save(kept := tmp_path / "kept.safetensors")
    own.set_input_files(kept)
    said(tab, "A detector is loaded")
    assert answer(tab, 3) == pytest.approx([*detector.score_pixels(pixels[-1:]), detector.threshold(1)], rel=1e-2)
    assert tab.get_by_label("σ of the Gaussian").input_value() == "4"
    fitted.save(other := tmp_path / "other.safetensors")
    text = text.rename(tmp_path / "text.safetensors")
    own.set_input_files([other, text])
    said(tab, "its size is 32, and this page takes 64", "it is not a safetensors file")


def test_the_camera_takes_pictures_or_says_why_not(tab: Page, site: Path, browser: Browser) -> None:
    tab.get_by_role("button", name="Camera").click()
    said(tab, "The camera stays closed")
    fake = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with browser.browser_type.launch(executable_path=pdf.chromium(), args=fake) as other:
        tab = other.new_page()
        tab.goto((site / PAGE).as_uri())
        tab.get_by_role("button", name="Camera").click(timeout=PATIENCE)
        for _ in range(5):
            tab.get_by_role("button", name="Take a picture").click(timeout=PATIENCE)
        said(tab, "3 pictures to learn, 1 kept apart")
        tab.get_by_role("button", name="Close the camera").click()
        expect(tab.get_by_role("button", name="Take a picture")).to_be_hidden()


def test_without_webassembly_the_page_points_to_the_explorer(site: Path, browser: Browser) -> None:
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.add_init_script("delete window.WebAssembly")
    tab.goto((site / PAGE).as_uri())
    expect(tab.locator(".kd-said")).to_contain_text("WebAssembly", timeout=PATIENCE)
    address = tab.locator(".kd-said a").evaluate("link => link.href")
    assert Path(address.removeprefix("file://")).is_file()
    context.close()


def test_what_the_page_adds_is_small_and_loaded_there_alone(site: Path) -> None:
    assert sum(path.stat().st_size for path in (site / "live").iterdir()) < 10e6
    assert sum(len(path.read_text().splitlines()) for path in live.HERE.glob("*.js")) <= 500
    with_it = [path for path in site.glob("**/*.html") if "live/assets.js" in path.read_text()]
    assert with_it == [site / PAGE]
