"""A score and a map as they build up, critical point by critical point; sizes as in `show.method`."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from book.figures import HEAT
from book.figures.method import KINDS, WIDTH, Pair, patch, readable
from kdlab.terms import Terms
from kdlib.activations import prepare
from kdlib.detector import Detector
from kdlib.localize import localization_map
from kdlib.losses import Activations, loss_terms

TERMS = ("value", "λ · direction")


def contributions(detector: Detector, pixels: Tensor, activations: Activations | None = None) -> pd.DataFrame:
    """What each critical point and term adds to the score of 8-bit images (N, 3, S, S): their sum is Eq. 4.

    Args:
        activations: the source's, where they are known.

    Returns:
        A row an image, a column a pair: a critical point that scores, and value or λ · direction.
    """
    lam, points = detector.lam, detector.recipe.score_points
    weights = torch.tensor([0.0, 1.0] if lam == math.inf else [1.0, lam])
    found = [
        torch.cat([torch.stack(loss_terms(source, cloner, (p,)), 1).cpu() * weights for p in points], 1)
        for source, cloner in detector.activations(pixels, activations)
    ]
    columns = pd.MultiIndex.from_product([points, TERMS], names=["critical point", "term"])
    return pd.DataFrame(torch.cat(found).double().numpy(), columns=columns)


def maps(detector: Detector, pixels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Maps of the gradient (Eq. 5 and 6) of each critical point alone, and of all up to it: (P, N, S, S) each.

    The last one so far is `Detector.localize` with the attribution ``gradients``. Signed gradients add up, maps do not.
    """
    recipe, points = detector.recipe, detector.recipe.score_points
    terms = Terms(detector, prepare(pixels, recipe, detector.device))

    def of(chosen: Sequence[str]) -> np.ndarray:
        return localization_map(terms.attribution("gradients", tuple(chosen), detector.lam), recipe)

    return np.stack([of([p]) for p in points]), np.stack([of(points[:n]) for n in range(1, len(points) + 1)])


def score_by_layer(parts: pd.DataFrame, pair: Pair, *, threshold: float | None = None) -> Figure:
    """How two scores build up: each critical point's bar begins where the one before it ended.

    Args:
        parts: `contributions` of the pair.
    """
    fig = plt.figure(figsize=(WIDTH, 3.5), layout="constrained")
    grid = fig.add_gridspec(2, 2, width_ratios=[3.5, 1])
    axis = fig.add_subplot(grid[:, 0])
    points = _steps(axis, parts)
    for row, (total, colour) in enumerate(zip(parts.sum(axis=1), KINDS.values(), strict=True)):
        bars = axis.barh(len(points) + _shift(row), total, 0.36, color=colour)
        axis.bar_label(bars, fmt="{:.3g}", padding=3)
        patch(fig.add_subplot(grid[row, 1]), pair, row)
    axis.set_yticks(range(len(points) + 1), [*points, "score"])
    axis.set_xlim(0, max(1.25 * float(parts.sum(axis=1).max()), 1.05 * (threshold or 0)))
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--")
    axis.set_xlabel("discrepancy" + (", dashed: threshold" if threshold is not None else ""))
    _legend(fig, pair.names)
    return readable(fig)


def map_by_layer(parts: pd.DataFrame, alone: np.ndarray, so_far: np.ndarray, pair: Pair) -> Figure:
    """The bars of `score_by_layer` beside the maps of each critical point, one colour scale for all maps.

    Args:
        parts: `contributions` of the pair.
        alone, so_far: `maps` of the pair, (P, 2, S, S).
    """
    fig = plt.figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = fig.add_gridspec(len(alone) + 1, 5, width_ratios=[2, 1, 1, 1, 1], height_ratios=[1.3, *[1] * len(alone)])
    scale = {"cmap": HEAT, "vmin": 0, "vmax": np.quantile([alone, so_far], 0.999)}
    for image, mask in enumerate(pair.masks):
        patch(fig.add_subplot(grid[0, 1 + 2 * image : 3 + 2 * image]), pair, image)
        for column, found in enumerate((alone, so_far)):
            for row, heat in enumerate(found[:, image], start=1):
                axis = fig.add_subplot(grid[row, 1 + 2 * image + column], xticks=[], yticks=[])
                axis.imshow(heat, **scale)
                if mask.any():
                    axis.contour(mask, [0.5], colors="white", linewidths=0.8)
            axis.set_xlabel(("alone", "so far")[column])
    steps = fig.add_subplot(grid[1:, 0])
    points = _steps(steps, parts)
    steps.set(yticks=range(len(points)), yticklabels=points, ylim=(len(points) - 0.5, -0.5), xlabel="score so far")
    _legend(fig, pair.names)
    return readable(fig)


def _steps(axis: Axes, parts: pd.DataFrame) -> list[str]:
    points = list(parts.columns.unique(0))
    for row, colour in enumerate(KINDS.values()):
        style: dict[str, Any] = {"color": colour, "edgecolor": "white", "linewidth": 0}
        end = 0.0
        for number, point in enumerate(points):
            place = number + _shift(row)
            for term, hatch in zip(TERMS, ("", "////"), strict=True):
                width = float(parts.iloc[row][point, term])
                axis.barh(place, width, 0.36, left=end, hatch=hatch, **style)
                end += width
            axis.plot([end, end], [place, place + 1], color=colour, linewidth=0.8, zorder=0)
    axis.invert_yaxis()
    sns.despine(ax=axis)
    return points


def _shift(row: int) -> float:
    return 0.4 * (row - 0.5)


def _legend(fig: Figure, names: Iterable[Any]) -> None:
    named = [Patch(facecolor=colour, label=str(name)) for name, colour in zip(names, KINDS.values(), strict=True)]
    handles = [*named, Patch(facecolor="grey", hatch="////", edgecolor="white", label=TERMS[1])]
    fig.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, handlelength=1.2)
