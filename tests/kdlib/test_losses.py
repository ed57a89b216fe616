"""The fused losses against the literal Eq. 1, 3 and 4, in double precision."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdlib.losses import direction_loss, discrepancy, inner_products, loss_terms, value_loss

SHAPES = {"pool2": (8, 8, 6), "pool3": (12, 4, 3), "pool5": (5, 1, 1)}


def activations(seed: int, batch: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {p: torch.randn(batch, *shape, generator=generator).relu() for p, shape in SHAPES.items()}


def literal(source: dict[str, Tensor], cloner: dict[str, Tensor], lam: float) -> Tensor:
    """Eq. 4 with Eq. 1 and 3, image by image and point by point."""
    totals = []
    for image in range(len(next(iter(source.values())))):
        total = torch.zeros((), dtype=torch.float64)
        for point in cloner:
            s, c = (a[point][image].double().flatten() for a in (source, cloner))
            total = total + F.mse_loss(c, s) + lam * (1 - F.cosine_similarity(s, c, dim=0))
        totals.append(total)
    return torch.stack(totals)


def check(
    source: dict[str, Tensor], cloner: dict[str, Tensor], lam: float, needed: str, *, rtol: float, atol: float
) -> None:
    """Value, and gradients of source (s), cloner (c) or both, against the literal form."""
    chosen = [*source.values()] * ("s" in needed) + [*cloner.values()] * ("c" in needed)
    arguments = [a.requires_grad_() for a in chosen]
    expected, found = literal(source, cloner, lam), discrepancy(source, cloner, lam=lam)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    weight = torch.linspace(-2, 3, len(found))
    slow, fast = (torch.autograd.grad((loss * weight).sum(), arguments) for loss in (expected, found))
    for s, f, argument in zip(slow, fast, arguments, strict=True):
        assert f.dtype == argument.dtype
        torch.testing.assert_close(f, s, rtol=rtol, atol=atol)


@pytest.mark.parametrize("needed", ["s", "c", "sc"])
@pytest.mark.parametrize("lam", [0.0, 1.0, 100.0])
def test_value_and_gradients_are_those_of_the_equations(lam: float, needed: str) -> None:
    check(activations(0), activations(1), lam, needed, rtol=1e-4, atol=1e-6 * (1 + lam))


def test_worked_example_of_section_3_1() -> None:
    e = 0.7
    star = torch.tensor([0, e, 0]).view(1, 3, 1, 1)
    turned = torch.tensor([0, 0, e]).view(1, 3, 1, 1)
    longer = torch.tensor([0, (1 + math.sqrt(2)) * e, 0]).view(1, 3, 1, 1)
    for other in (turned, longer):
        assert math.sqrt(3 * value_loss(star, other).item()) == pytest.approx(math.sqrt(2) * e)
    assert direction_loss(star, turned).item() == pytest.approx(1)
    assert direction_loss(star, longer).item() == pytest.approx(0, abs=1e-6)


def test_lambda_from_nothing_to_everything() -> None:
    source, cloner = activations(4), activations(5)
    torch.testing.assert_close(discrepancy(activations(8), activations(8), lam=1), torch.zeros(3), rtol=0, atol=1e-6)
    value, direction = loss_terms(source, cloner)
    assert torch.equal(discrepancy(source, cloner, lam=0), value)
    assert torch.equal(discrepancy(source, cloner, lam=math.inf), direction)
    assert torch.equal(discrepancy(source, cloner, lam=7), value + 7 * direction)


def test_chosen_points_and_those_of_the_cloner() -> None:
    source, cloner = activations(6), activations(7)
    few = {p: cloner[p] for p in ("pool2", "pool5")}
    torch.testing.assert_close(discrepancy(source, few, lam=3).double(), literal(source, few, 3), rtol=1e-5, atol=1e-6)
    chosen = discrepancy(source, cloner, lam=3, points=("pool2", "pool5"))
    assert torch.equal(chosen, discrepancy(source, few, lam=3))


@pytest.mark.parametrize(("source", "cloner"), [(0, 1), (1, 0), (0, 0)])
def test_zero_vectors_have_no_direction_and_finite_gradients(source: float, cloner: float) -> None:
    pair = [torch.full((1, 2, 2, 2), v, requires_grad=True) for v in (float(source), float(cloner))]
    loss = direction_loss(*pair)
    assert loss.item() == 1
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss.sum(), pair))


def test_half_precision_is_summed_in_single() -> None:
    source, cloner = ({p: a.bfloat16() for p, a in activations(s, batch=2).items()} for s in (9, 10))
    check(source, cloner, 10, "c", rtol=1e-2, atol=1e-4)


def test_memory_layout_changes_nothing() -> None:
    found = []
    for first, second in product((torch.contiguous_format, torch.channels_last), repeat=2):
        s = activations(11)["pool2"].to(memory_format=first)
        c = activations(12)["pool2"].to(memory_format=second).requires_grad_()
        loss = value_loss(s, c) + direction_loss(s, c)
        found.append((loss, *torch.autograd.grad(loss.sum(), c)))
    assert all(torch.equal(a, b) for each in found[1:] for a, b in zip(each, found[0], strict=True))


@pytest.mark.parametrize("shape", [(5, 16, 150, 150), (600, 2, 16, 16)])
def test_batches_that_are_taken_in_pieces(shape: tuple[int, ...]) -> None:
    source, cloner = (torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in (13, 14))
    check({"p": source}, {"p": cloner}, 2, "c", rtol=1e-3, atol=1e-8)


@settings(max_examples=50)
@given(st.tuples(*[st.integers(1, 5)] * 4), st.integers(0, 2**32), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_any_shape_and_scale(shape: tuple[int, ...], seed: int, source_scale: float, cloner_scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    s, c = (torch.randn(shape, generator=generator) * scale for scale in (source_scale, cloner_scale))
    dot, ss, cc = (v.double() for v in inner_products(s, c))
    size = s[0].numel()
    expected = torch.stack([F.mse_loss(b.double(), a.double()) for a, b in zip(s, c, strict=True)])
    assert ((value_loss(s, c).double() - expected).abs() <= 1e-5 * (ss + cc) / size).all()
    cosine = dot / (ss.sqrt() * cc.sqrt())
    torch.testing.assert_close(direction_loss(s, c).double(), 1 - cosine, rtol=0, atol=1e-5)
    torch.testing.assert_close(direction_loss(s, c), direction_loss(c, s), rtol=0, atol=1e-6)
    torch.testing.assert_close(direction_loss(s, c), direction_loss(s, 4 * c), rtol=0, atol=1e-6)
