"""The source is frozen inside itself; the cloner has the paper's shape and parameter count."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from kdlib.networks import CLONERS, CRITICAL_POINTS, VGG16, Cloner, Source, half_precision, parameter_count

CHANNELS = {"pool2": 128, "pool3": 256, "pool4": 512, "pool5": 512}


def test_parameter_counts() -> None:
    assert parameter_count(Cloner("small")) == 343_984  # as in the reference
    channels = [3, *(c for block in VGG16 for c in block)]
    convolutions = sum(9 * a * b for a, b in pairwise(channels))
    norms = sum(2 * c for block in VGG16 for c in block[:-1])
    assert parameter_count(Cloner("equal")) == convolutions + norms


def test_without_any_bias_black_stays_black() -> None:
    cloner = Cloner(norm_shift=False)
    assert not [name for name, _ in cloner.named_parameters() if name.endswith("bias")]
    convolutions = [m for m in Cloner(conv_bias=True).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 13
    assert all(m.bias is not None for m in convolutions)
    black = torch.zeros(2, 3, 32, 32)
    assert all(not a.any() for a in Cloner(norm_shift=False)(black).values())
    shifted = Cloner()
    nn.init.ones_(shifted.blocks["pool2"][1].bias)  # type: ignore[index]
    assert shifted(black)["pool2"].any()


def test_cloner_is_convolution_norm_relu_and_no_norm_before_a_pool() -> None:
    layers = [type(m).__name__ for m in Cloner().blocks["pool3"].children()]
    inner = ["Conv2d", "BatchNorm2d", "ReLU"]
    assert layers == [*inner, *inner, "Conv2d", "MaxPool2d", "ReLU"]
    block = Cloner().blocks["pool1"].eval()
    x = torch.randn(2, 3, 32, 32)
    *before, convolution, pool, relu = block.children()
    for layer in before:
        x = layer(x)
    torch.testing.assert_close(pool(relu(convolution(x))), relu(pool(convolution(x))), rtol=0, atol=0)


@pytest.mark.parametrize("cloner", CLONERS)
def test_names_and_shapes_agree(source: Source, cloner: str) -> None:
    x = torch.rand(2, 3, 64, 32)
    expected = {p: (2, c, 64 // 2 ** int(p[-1]), 32 // 2 ** int(p[-1])) for p, c in CHANNELS.items()}
    for network in (source, Cloner(cloner)):
        with torch.no_grad():
            assert {p: tuple(a.shape) for p, a in network(x).items()} == expected


def test_source_is_frozen(source: Source) -> None:
    assert not list(source.parameters())
    x = torch.rand(2, 3, 32, 32, requires_grad=True)
    evaluated = source.eval()(x)
    trained = source.train()(x)
    source.eval()
    assert all(torch.equal(evaluated[p], trained[p]) for p in CRITICAL_POINTS)
    (gradient,) = torch.autograd.grad(sum(a.sum() for a in evaluated.values()), x)
    assert gradient.abs().sum() > 0
    assert all(b.grad is None and not b.requires_grad for b in source.buffers())


@pytest.mark.parametrize("points", [("pool2",), ("pool3", "pool2"), ("pool4",), ("pool5",)])
def test_no_deeper_than_needed(source: Source, source_weights: dict[str, Tensor], points: tuple[str, ...]) -> None:
    """An image of 2**n pixels stands n max-pools and no more."""
    x, side = torch.rand(1, 3, 32, 32), 2 ** max(int(point[-1]) for point in points)
    small = x[..., :side, :side]
    with torch.no_grad():
        for network in (source, Cloner().eval()):
            whole, found = network(x), network(x, points)
            assert list(found) == list(network(small, points)) == list(points)
            assert all(torch.equal(found[point], whole[point]) for point in points)
        for network in (Source(source_weights, critical_points=points), Cloner(critical_points=points).eval()):
            found = {p: tuple(a.shape[1:]) for p, a in network(small).items()}
            assert found == {p: (CHANNELS[p], *[side // 2 ** int(p[-1])] * 2) for p in sorted(points)}


@pytest.mark.parametrize("points", [(), ("pool1",), ("pool2", "pool2"), "pool2", ("pool3", "conv5")])
def test_bad_critical_points(points: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="critical points: expected one or more of pool2"):
        Cloner(critical_points=points)


def test_unknown_cloner_and_precision() -> None:
    with pytest.raises(ValueError, match="no 'huge'; known are tiny, small, medium, equal"):
        Cloner("huge")
    with pytest.raises(ValueError, match="no 'fp16'; known are auto, bf16, fp32"):
        half_precision("fp16", torch.device("cpu"))
    assert half_precision("bf16", torch.device("cpu"))
    assert not half_precision("fp32", torch.device("cpu"))
