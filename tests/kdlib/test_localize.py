"""Attribution maps against literal transcriptions of Eq. 5; Gaussian and opening against scikit-image's."""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st
from skimage import morphology
from skimage.filters import gaussian
from torch import Tensor, nn

from kdlib import Detector, Recipe
from kdlib.activations import prepare
from kdlib.data import Split
from kdlib.distill import make_cloner
from kdlib.localize import attribution, localization_map
from kdlib.networks import CRITICAL_POINTS, Cloner, Source
from kdlib.recipe import ATTRIBUTIONS, BEST


@pytest.fixture(scope="module")
def cloner() -> Cloner:
    return make_cloner(TINY, torch.device("cpu"), seed=0).eval()


@pytest.fixture(scope="module")
def x(digits: Split) -> Tensor:
    return prepare(digits.test[:4].pixels(32), TINY, torch.device("cpu"))


def test_attribution_of_a_detector(fitted: Detector, digits: Split) -> None:
    images = digits.test[:3]
    maps = fitted.attribute(images)
    x = prepare(images.pixels(32), TINY, torch.device("cpu"))
    expected = attribution(fitted.source, fitted.cloner, x, lam=fitted.training.lam, recipe=TINY)
    np.testing.assert_allclose(maps, expected, rtol=1e-4)
    np.testing.assert_array_equal(fitted.localize(images), localization_map(maps, TINY))


class GuidedReLU(nn.Module):
    """Passes back what is positive, where the input was positive (Springenberg et al. 2015)."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.clamp_min(0)
        y.register_hook(lambda gradient: gradient.clamp_min(0))
        return y


def guided(network: nn.Module) -> nn.Module:
    """A copy of a network whose ReLUs are guided."""
    network = copy.deepcopy(network)
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, GuidedReLU())
    return network


def gradients(
    source: nn.Module, cloner: nn.Module, x: Tensor, *, detach: bool = False, points: Sequence[str] = CRITICAL_POINTS
) -> Tensor:
    """d (val + 3 dir) / d x, term by term: (B, 3, H, W)."""
    x = x.clone().requires_grad_()
    sources, cloners = source(x), cloner(x)
    total = torch.zeros(())
    for point in points:
        s, c = sources[point].detach() if detach else sources[point], cloners[point]
        total = total + ((s - c) ** 2).mean((1, 2, 3)).sum()
        total = total + 3 * (1 - F.cosine_similarity(s.flatten(1), c.flatten(1))).sum()
    return torch.autograd.grad(total, x)[0]


def found_by(method: str, source: Source, cloner: Cloner, x: Tensor, **changes: Any) -> np.ndarray:
    return attribution(source, cloner, x, lam=3, recipe=TINY.replace(attribution=method, **changes))


def close(found: np.ndarray, expected: Tensor) -> None:
    literal = expected.abs().sum(1).numpy() if expected.dim() == 4 else expected.numpy()
    np.testing.assert_allclose(found, literal, rtol=1e-3, atol=1e-4 * np.abs(literal).max())


def test_gradients_through_both_networks_through_one_and_guided(source: Source, cloner: Cloner, x: Tensor) -> None:
    plain = gradients(source, cloner, x)
    close(found_by("gradients", source, cloner, x), plain)
    points = ("pool3", "pool4")
    close(found_by("gradients", source, cloner, x, score_points=points), gradients(source, cloner, x, points=points))
    close(found_by("cloner_gradients", source, cloner, x), gradients(source, cloner, x, detach=True))
    one = gradients(source, guided(cloner), x)
    both = gradients(guided(source), guided(cloner), x)
    assert not torch.allclose(one, both, rtol=0.1)
    assert not torch.allclose(one, plain, rtol=0.1)
    close(found_by("gbp", source, cloner, x), one)
    close(found_by("gbp_both", source, cloner, x), both)


@pytest.fixture
def noisy(cloner: Cloner) -> Iterator[list[Tensor]]:
    """All images that the cloner sees."""
    seen: list[Tensor] = []
    hook = cloner.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    yield seen
    hook.remove()


def test_smoothgrad_is_a_mean_of_signed_gradients(
    source: Source, cloner: Cloner, x: Tensor, noisy: list[Tensor]
) -> None:
    found = found_by("smoothgrad", source, cloner, x[:1], samples=20, noise=0.1)
    copies = torch.cat(noisy)
    assert copies.shape == (20, *x.shape[1:])
    assert (copies - x[:1]).std().item() == pytest.approx(0.1, rel=0.05)
    noisy.clear()
    found_by("smoothgrad", source, cloner, x[:1], samples=50, noise=0.1, normalize=True)  # the noise is the picture's
    assert (torch.cat(noisy) - x[:1]).std().item() == pytest.approx(0.1 / np.mean([0.229, 0.224, 0.225]), rel=0.05)
    close(found, gradients(source, cloner, copies).mean(0, keepdim=True))


def test_smoothgrad_of_the_reference(source: Source, cloner: Cloner, x: Tensor, noisy: list[Tensor]) -> None:
    found = found_by("smoothgrad", source, cloner, x[:1], samples=7, noise=0.1, stretch=True)
    maps = gradients(source, cloner, torch.cat(noisy)).abs().sum(1)
    low, high = maps.amin((1, 2), keepdim=True), maps.flatten(1).quantile(0.99, dim=1)[:, None, None]
    close(found, ((maps - low) / (high - low)).clamp(0, 1).mean(0, keepdim=True))


def test_integrated_gradients(source: Source, cloner: Cloner, x: Tensor) -> None:
    places, weights = np.polynomial.legendre.leggauss(6)
    total = sum(w / 2 * gradients(source, cloner, (1 + t) / 2 * x) for t, w in zip(places, weights, strict=True))
    close(found_by("integrated_gradients", source, cloner, x, samples=6), torch.as_tensor(total) * x)


@pytest.mark.parametrize("lam", [0.0, 3.0, math.inf, None])
def test_discrepancy_and_product_of_positions(lam: float | None, source: Source, cloner: Cloner, x: Tensor) -> None:
    expected = torch.zeros(len(x), 32, 32)
    with torch.no_grad():
        activations = [(s.numpy(), c.numpy()) for s, c in zip(source(x).values(), cloner(x).values(), strict=True)]
    for s, c in activations:
        here = np.zeros((len(s), *s.shape[2:]), np.float32)
        for image, row, column in np.ndindex(*here.shape):
            a, b = s[image, :, row, column], c[image, :, row, column]
            value = ((a - b) ** 2).sum() / len(a)
            direction = 1 - a @ b / max(np.sqrt(a @ a) * np.sqrt(b @ b), 1e-8)
            both = value * direction if lam is None else value + lam * direction
            here[image, row, column] = direction if lam == math.inf else both
        expected += F.interpolate(torch.from_numpy(here)[:, None], (32, 32), mode="bilinear")[:, 0]
    close(found_by("product" if lam is None else "discrepancy", source, cloner, x, map_lam=lam), expected)


def test_best_is_what_its_name_stands_for(source: Source, cloner: Cloner, x: Tensor) -> None:
    found = found_by("best", source, cloner, x)
    method, points = BEST["attribution"], BEST["map_points"]
    np.testing.assert_array_equal(found, found_by(method, source, cloner, x, map_points=points))
    chosen = found_by("best", source, cloner, x, map_points=("pool4",))
    np.testing.assert_array_equal(chosen, found_by("product", source, cloner, x, map_points=("pool4",)))
    late = {"critical_points": ("pool4", "pool5"), "score_points": ("pool4", "pool5")}  # it needs points that are there
    assert found_by("best", source, cloner, x, **late).shape == (4, 32, 32)


def test_the_map_may_have_its_own_points_and_lambda(source: Source, cloner: Cloner, x: Tensor) -> None:
    points = ("pool2", "pool3")
    found = found_by("gradients", source, cloner, x, map_points=points, map_lam=0.5)
    expected = attribution(source, cloner, x, lam=0.5, recipe=TINY.replace(score_points=points))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(found, found_by("gradients", source, cloner, x), rtol=0.1)


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_every_method_leaves_the_networks_alone(method: str, source: Source, cloner: Cloner, x: Tensor) -> None:
    networks, images = (source, cloner), x.clone()
    before, state = [copy.deepcopy(n.state_dict()) for n in networks], torch.random.get_rng_state()
    batch = found_by(method, source, cloner, x, samples=4)
    assert batch.shape == (4, 32, 32)
    assert batch.min() >= 0
    single = [found_by(method, source, cloner, image[None], samples=4)[0] for image in x]
    # A ReLU whose input rounds to the other side of 0 in a batch changes the gradient of the few pixels that it sees.
    assert np.isclose(batch, single, rtol=1e-3, atol=1e-4 * batch.max()).mean() > 0.95
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, images)
    assert not x.requires_grad
    for network, kept in zip(networks, before, strict=True):
        assert all(torch.equal(v, kept[k]) for k, v in network.state_dict().items())
        for m in network.modules():
            assert not {**m._forward_hooks, **m._forward_pre_hooks, **m._backward_hooks, **m._backward_pre_hooks}
        assert all(p.requires_grad and p.grad is None for p in network.parameters())


def opened(image: np.ndarray) -> np.ndarray:
    return morphology.opening(image, morphology.disk(1))


MAPS = np.random.default_rng(0).random((2, 20, 20)) ** 4


def test_gaussian_then_opening() -> None:
    for sigma, opening in ((0, 0), (1.5, 0), (0, 3), (1, 3)):
        smooth = [gaussian(m, sigma, mode="reflect") if sigma else m for m in MAPS]
        expected = [opened(m) if opening else m for m in smooth]
        found = localization_map(MAPS, TINY.replace(sigma=sigma, opening=opening))
        np.testing.assert_allclose(found, expected, rtol=1e-10 if sigma else 0)


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_opening_commutes_with_thresholding(seed: int, threshold: int) -> None:
    maps = np.random.default_rng(seed).integers(0, 7, (1, 8, 9))
    found = localization_map(maps, TINY.replace(sigma=0, opening=3))[0]
    np.testing.assert_array_equal(found >= threshold, opened((maps[0] >= threshold).astype(int)))


def test_stretching_takes_each_map_from_its_minimum_to_its_99th_percentile() -> None:
    found = localization_map(np.stack([MAPS[0], 50 * MAPS[0] + 7]), TINY.replace(sigma=0, opening=0, stretch=True))
    low, high = MAPS[0].min(), np.percentile(MAPS[0], 99)
    expected = (np.clip(MAPS[0], low, high) - low) / (high - low)
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-10, atol=1e-12)  # magnitude is lost
    assert not localization_map(np.full((1, 8, 8), 3.0), Recipe(stretch=True)).any()
