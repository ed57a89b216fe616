"""The discrepancy between source and cloner, per image: Eq. 1, 3 and 4 of the paper.

One formula, one place: training takes its mean, detection takes it as the score, localization takes its gradient.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

Activations = Mapping[str, Tensor]


class _InnerProducts(torch.autograd.Function):
    """<s, c>, |s|² and |c|² in single precision, a few images at a time so that casts stay in the processor's cache."""

    @staticmethod
    def forward(ctx, source: Tensor, cloner: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(source, cloner)
        pairs = zip(_pieces(source), _pieces(cloner), strict=True)
        rows = [torch.stack(((s * c).sum(1), s.square().sum(1), c.square().sum(1))) for s, c in pairs]
        dot, ss, cc = torch.cat(rows, dim=1)
        return dot, ss, cc

    @staticmethod
    def backward(ctx, dot: Tensor, ss: Tensor, cc: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[no-untyped-def]
        source, cloner = ctx.saved_tensors
        needs_source, needs_cloner = ctx.needs_input_grad
        to_source = _combine(cloner, dot, source, 2 * ss) if needs_source else None
        return to_source, _combine(source, dot, cloner, 2 * cc) if needs_cloner else None


def inner_products(source: Tensor, cloner: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``<s, c>``, ``|s|²`` and ``|c|²`` of each image, single precision: three (B,) from two (B, C, H, W)."""
    # Both losses follow from these three numbers, so neither difference nor quotient of the maps is ever stored.
    return _InnerProducts.apply(source, cloner)


def value_loss(source: Tensor, cloner: Tensor) -> Tensor:
    """Mean squared difference at one critical point, Eq. 1: (B,) from two (B, C, H, W)."""
    return _value(*inner_products(source, cloner), size=source[0].numel())


def direction_loss(source: Tensor, cloner: Tensor) -> Tensor:
    """One minus the cosine of the flattened activations at one critical point, Eq. 3: (B,) from two (B, C, H, W)."""
    return _direction(*inner_products(source, cloner))


def loss_terms(source: Activations, cloner: Activations, points: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """L_val and L_dir, summed over the critical points (Eq. 1 and 3): two tensors (B,)."""
    value, direction = [], []
    for point in points or list(cloner):
        products = inner_products(source[point], cloner[point])
        value.append(_value(*products, size=cloner[point][0].numel()))
        direction.append(_direction(*products))
    return torch.stack(value).sum(0), torch.stack(direction).sum(0)


def discrepancy(source: Activations, cloner: Activations, *, lam: float, points: Sequence[str] | None = None) -> Tensor:
    """L_total = L_val + lambda L_dir of each image, Eq. 4: (B,).

    Args:
        source, cloner: activations (B, C, H, W) by critical point.
        lam: 0 leaves the value loss alone, ``inf`` the direction loss.
        points: critical points that count; all of the cloner's by default.
    """
    value, direction = loss_terms(source, cloner, points)
    return direction if lam == float("inf") else value + lam * direction


def _pieces(x: Tensor) -> Iterator[Tensor]:
    length = max(1, 2**18 // x[0].numel()) if x.device.type == "cpu" else len(x)  # images; 1 MiB in single precision
    # Any order of the elements will do as long as both have the same: this one copies nothing for channels_last.
    return (piece.float() for piece in x.permute(0, 2, 3, 1).flatten(1).split(length))


def _combine(x: Tensor, a: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """a x + b y, image by image, in the type of ``y``: (B, C, H, W) from two (B, C, H, W) and two (B,)."""
    out = torch.empty((len(y), y[0].numel()), dtype=y.dtype, device=y.device)
    start = 0
    for u, v in zip(_pieces(x), _pieces(y), strict=True):
        part = slice(start, start := start + len(u))
        out[part] = torch.addcmul(u * a[part, None], v, b[part, None])
    batch, channels, height, width = y.shape
    return out.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _value(dot: Tensor, source: Tensor, cloner: Tensor, *, size: int) -> Tensor:
    return (source - 2 * dot + cloner) / size


def _direction(dot: Tensor, source: Tensor, cloner: Tensor) -> Tensor:
    # An all-zero vector has no direction: cosine 0. The clamp keeps the gradient finite there.
    return 1 - dot * torch.rsqrt((source * cloner).clamp_min(1e-24))
