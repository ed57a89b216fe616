"""Attribution and localization maps against literal transcriptions of Eq. 5 and 6."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kdlib import Detector, Recipe
from kdlib.activations import prepare
from kdlib.data import Split
from kdlib.distill import make_cloner
from kdlib.localize import attribution, localization_map
from kdlib.networks import Cloner, Source

RAW = replace(TINY, sigma=0, opening=0)


@pytest.fixture(scope="module")
def cloner() -> Cloner:
    return make_cloner(TINY, torch.device("cpu"), seed=0).eval()


@pytest.fixture(scope="module")
def x(digits: Split) -> Tensor:
    return prepare(digits.test[:4].pixels(32), TINY, torch.device("cpu"))


@pytest.mark.parametrize("points", [("pool2", "pool3", "pool4", "pool5"), ("pool3", "pool4")])
def test_attribution_is_the_gradient_through_both_networks(
    source: Source, cloner: Cloner, x: Tensor, points: tuple[str, ...]
) -> None:
    images = x.clone().requires_grad_()
    s, c = source(images), cloner(images)
    total = torch.zeros(())
    for p in points:
        total = total + F.mse_loss(c[p], s[p], reduction="none").mean((1, 2, 3)).sum()
        total = total + 3 * (1 - F.cosine_similarity(s[p].flatten(1), c[p].flatten(1))).sum()
    (gradient,) = torch.autograd.grad(total, images)
    expected = gradient.abs().sum(1).numpy()
    found = attribution(source, cloner, x, lam=3, recipe=replace(TINY, score_points=points))
    assert found.shape == (4, 32, 32)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_networks_and_images_are_left_as_they_were(source: Source, cloner: Cloner, x: Tensor) -> None:
    networks = source, cloner
    before = copy.deepcopy([n.state_dict() for n in networks]), x.clone()
    attribution(source, cloner, x, lam=1, recipe=TINY)
    for network, state in zip(networks, before[0], strict=True):
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
        for m in network.modules():
            assert not {**m._forward_hooks, **m._forward_pre_hooks, **m._backward_hooks, **m._backward_pre_hooks}
        assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert torch.equal(x, before[1])
    assert not x.requires_grad


def test_a_batch_is_its_images(source: Source, cloner: Cloner, x: Tensor) -> None:
    batch = attribution(source, cloner, x, lam=1, recipe=TINY)
    single = [attribution(source, cloner, image[None], lam=1, recipe=TINY)[0] for image in x]
    np.testing.assert_allclose(batch, single, rtol=1e-3, atol=1e-5 * batch.max())


def test_attribution_of_a_detector(fitted: Detector, digits: Split) -> None:
    images = digits.test[:3]
    maps = fitted.attribute(images)
    x = prepare(images.pixels(32), TINY, torch.device("cpu"))
    np.testing.assert_allclose(
        maps, attribution(fitted.source, fitted.cloner, x, lam=fitted.training.lam, recipe=TINY), rtol=1e-4
    )
    np.testing.assert_array_equal(fitted.localize(images), localization_map(maps, TINY))


# --- Gaussian, opening, stretching ------------------------------------------------------------------------------------


def literal_gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    """Sum over a window of 4 sigma; the border is mirrored."""
    reach = int(4 * sigma + 0.5)
    weight = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weight /= weight.sum()
    padded = np.pad(image, reach, mode="symmetric")
    out = np.zeros(image.shape)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            window = padded[row : row + 2 * reach + 1, column : column + 2 * reach + 1]
            out[row, column] = weight @ window @ weight
    return out


def literal_opening(image: np.ndarray) -> np.ndarray:
    """Smallest, then largest value in the cross around each pixel, as far as it lies in the image."""
    for extreme in (np.min, np.max):
        before = image
        image = np.empty_like(before)
        for row, column in np.ndindex(*before.shape):
            cross = [(row, column), (row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            inside = [before[r, c] for r, c in cross if 0 <= r < before.shape[0] and 0 <= c < before.shape[1]]
            image[row, column] = extreme(inside)
    return image


MAPS = np.random.default_rng(0).random((2, 20, 20)) ** 4


def test_gaussian() -> None:
    found = localization_map(MAPS, replace(RAW, sigma=1.5))
    np.testing.assert_allclose(found, [literal_gaussian(m, 1.5) for m in MAPS], rtol=1e-10)


def test_opening_with_a_cross() -> None:
    found = localization_map(MAPS, replace(RAW, opening=3))
    np.testing.assert_array_equal(found, [literal_opening(m) for m in MAPS])


def test_gaussian_then_opening() -> None:
    found = localization_map(MAPS, replace(RAW, sigma=1, opening=3))
    np.testing.assert_allclose(found, [literal_opening(literal_gaussian(m, 1)) for m in MAPS], rtol=1e-10)


def test_nothing_to_do() -> None:
    np.testing.assert_array_equal(localization_map(MAPS, RAW), MAPS)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_opening_commutes_with_thresholding(seed: int, threshold: int) -> None:
    maps = np.random.default_rng(seed).integers(0, 7, (1, 8, 9))
    opened = localization_map(maps, replace(RAW, opening=3))[0]
    np.testing.assert_array_equal(opened >= threshold, literal_opening(maps[0] >= threshold))


def test_stretching_takes_each_map_from_its_minimum_to_its_99th_percentile() -> None:
    found = localization_map(np.stack([MAPS[0], 50 * MAPS[0] + 7]), replace(RAW, stretch=True))
    low, high = MAPS[0].min(), np.percentile(MAPS[0], 99)
    expected = (np.clip(MAPS[0], low, high) - low) / (high - low)
    np.testing.assert_allclose(found[0], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[1], expected, rtol=1e-10, atol=1e-12)  # magnitude is lost


def test_stretching_a_constant_map() -> None:
    assert not localization_map(np.full((1, 8, 8), 3.0), Recipe(stretch=True)).any()
