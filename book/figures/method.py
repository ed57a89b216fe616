"""Pictures of the method at work: both networks side by side, a training as a film, a score and a map layer by layer.

Drawn 4.5 inches wide with text of 10 points, so that it can be read where a phone shows the picture 350 pixels wide.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from book.figures import ANOMALOUS, HEAT, NORMAL, outline, slider
from kdlib.activations import prepare
from kdlib.detector import Detector
from kdlib.losses import Activations, loss_terms
from kdlib.metrics import auroc

WIDTH = 4.5  # inches
KINDS = {"normal": NORMAL, "anomalous": ANOMALOUS}
TERMS = ("value", "λ · direction")


class Pair(NamedTuple):
    """A normal image and an anomalous one of the same size."""

    pixels: Tensor  # 8-bit, (2, 3, S, S)
    masks: np.ndarray  # of the defects, (2, S, S)
    names: Sequence[str]


class Moment(NamedTuple):
    """A cloner at one epoch: what a film shows of it."""

    scores: np.ndarray  # L_total of all test images (Eq. 4), (N,)
    cloner: Activations  # of a pair, (2, C, H, W) by critical point
    maps: np.ndarray  # localization maps of the pair, (2, S, S)


def side_by_side(
    source: Activations, cloner: Activations, channels: Mapping[str, Sequence[int]], pair: Pair
) -> widgets.VBox:
    """A slider over critical points: channels of source and cloner and what lies between, on one colour scale.

    Args:
        source, cloner: activations of the pair by critical point, (2, C, H, W).
        channels: which to show, by critical point; as many for each.
    """
    figures, labels, alts = [], [], []
    for point, chosen in channels.items():
        s, c = source[point].float(), cloner[point].float()
        shares = ((s - c).flatten(1).norm(dim=1) / s.flatten(1).norm(dim=1)).tolist()
        said = " and ".join(f"{100 * share:.0f} % ({name})" for share, name in zip(shares, pair.names, strict=True))
        labels.append(f"{point}. Difference of all channels against the source: {said}")
        alts.append(
            f"Channels {', '.join(map(str, chosen))} of source and cloner at {point}, and their difference, for two "
            f"images, {' and '.join(pair.names)}. Over all channels the difference has {said} of the source's length."
        )
        rows = {"source": s[:, chosen], "cloner": c[:, chosen], "difference": (s - c)[:, chosen].abs()}
        count, bright = len(chosen), float(max(rows["source"].max(), rows["cloner"].max()))
        fig = plt.figure(figsize=(WIDTH, 3.9), layout="constrained")
        grid = fig.add_gridspec(4, 2 * count, height_ratios=[1.5, 1, 1, 1])
        for image in range(2):
            patch(fig.add_subplot(grid[0, image * count : (image + 1) * count]), pair, image)
            for number, (row, name) in itertools.product(range(count), enumerate(rows, start=1)):
                axis = fig.add_subplot(grid[row, image * count + number], xticks=[], yticks=[])
                drawn = axis.imshow(rows[name][image, number].numpy(), cmap=HEAT, vmin=0, vmax=bright)
                axis.set_ylabel(name if not image and not number else "")
                axis.set_xlabel(f"{chosen[number]}" if name == "difference" else "")
        bar = fig.colorbar(drawn, ax=fig.axes, orientation="horizontal", fraction=0.04, aspect=40)
        bar.set_label("activation of the channel with the number above")
        figures.append(readable(fig))
    return slider(figures, labels, name="critical point", alts=alts)


def moment(detector: Detector, pair: Pair, scores: np.ndarray) -> Moment:
    """What the detector's cloner says now about a pair, and where it points; ``scores`` of all test images, (N,)."""
    detector.cloner.eval()
    with torch.inference_mode():
        found = detector.cloner(prepare(pair.pixels, detector.recipe, detector.device))
    return Moment(scores, {p: a.float().cpu() for p, a in found.items()}, detector.localize(pair.pixels))


def film(
    moments: Mapping[int, Moment],
    source: Activations,
    pair: Pair,
    *,
    labels: np.ndarray,
    watched: Sequence[int],
) -> widgets.VBox:
    """A training as a film: what the cloner says, what is missing, the map, and the scores of all test images.

    Each quantity keeps its scale from the first picture to the last.

    Args:
        moments: by epoch, in the order to show.
        source: activations of the pair by critical point, (2, C, H, W).
        labels: 0 normal, 1 anomalous, of all test images, (N,).
        watched: which of these are the pair.
    """
    point = "pool3"  # whose activations are shown, as their RMS over channels
    target, scores = source[point].float(), np.stack([m.scores for m in moments.values()])
    bins = np.geomspace(scores.min(), scores.max(), 31)
    most = max(np.histogram(s[labels == kind], bins)[0].max() for s in scores for kind in (0, 1))
    bright = max(_strength(a).max() for a in (target, *(m.cloner[point] for m in moments.values())))
    tops = {"map": np.quantile([m.maps for m in moments.values()], 0.999)}  # the same in all pictures
    figures, texts, alts = [], [], []
    for epoch, m in moments.items():
        answers = {"source": target, "cloner": m.cloner[point], "difference": target - m.cloner[point]}
        columns = {name: _strength(a) for name, a in answers.items()} | {"map": m.maps}
        fig = plt.figure(figsize=(WIDTH, 3.9), layout="constrained")
        grid = fig.add_gridspec(3, 5, height_ratios=[1, 1, 1.3])
        for row in range(2):
            patch(fig.add_subplot(grid[row, 0]), pair, row, title="image" if not row else "")
            fig.axes[-1].set_ylabel(pair.names[row])
            for column, (title, values) in enumerate(columns.items(), start=1):
                axis = fig.add_subplot(grid[row, column], xticks=[], yticks=[], title=title if not row else "")
                axis.imshow(values[row], cmap=HEAT, vmin=0, vmax=tops.get(title, bright))
        _histograms(fig.add_subplot(grid[2, :]), m.scores, labels, watched, bins, most)
        fig.axes[-1].set_xlabel(f"discrepancy after {epoch} epochs; lines: the two above")
        figures.append(readable(fig))
        good, bad = (f"{m.scores[i]:.2f} ({name})" for i, name in zip(watched, pair.names, strict=True))
        area = f"AUROC {100 * (auroc(labels, m.scores) or math.nan):.1f} %"
        texts.append(f"{epoch}. Discrepancy {good} and {bad}, {area} over all test images")
        alts.append(
            f"After {epoch} epochs, for two images: strength of source, cloner and difference at {point}, and the map; "
            f"below the histograms of all scores. Discrepancy {good} and {bad}, {area}."
        )
    return slider(figures, texts, name="epochs", alts=alts, play=600)


def _strength(a: Tensor) -> np.ndarray:
    """RMS over channels at each position: (B, H, W) from (B, C, H, W)."""
    return a.float().square().mean(1).sqrt().numpy()


def _histograms(
    axis: Axes, scores: np.ndarray, labels: np.ndarray, watched: Sequence[int], bins: np.ndarray, most: int
) -> None:
    for kind, (name, colour) in enumerate(KINDS.items()):
        axis.hist(scores[labels == kind], bins.tolist(), alpha=0.6, color=colour, label=name)
        axis.axvline(scores[watched[kind]], color=colour, linestyle=("--", ":")[kind], linewidth=2)
    low, high = bins[[0, -1]]
    ticks = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    axis.set(xscale="log", xlim=(low, high), ylim=(0, 1.05 * most), ylabel="images")
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.legend(loc="upper left", ncols=2, bbox_to_anchor=(0, 1.35))


def contributions(detector: Detector, pixels: Tensor, activations: Activations | None = None) -> pd.DataFrame:
    """What each critical point and term adds to the score of 8-bit images (N, 3, S, S): their sum is Eq. 4.

    Args:
        activations: the source's, where they are known.

    Returns:
        One row per image, one column per critical point that scores and term (value, λ · direction).
    """
    lam, points = detector.lam, detector.recipe.score_points
    weights = torch.tensor([0.0, 1.0] if lam == math.inf else [1.0, lam])
    found = [
        torch.cat([torch.stack(loss_terms(source, cloner, (p,)), 1).cpu() * weights for p in points], 1)
        for source, cloner in detector.activations(pixels, activations)
    ]
    columns = pd.MultiIndex.from_product([points, TERMS], names=["critical point", "term"])
    return pd.DataFrame(torch.cat(found).double().numpy(), columns=columns)


def score_by_layer(parts: pd.DataFrame, pair: Pair, *, threshold: float | None = None) -> Figure:
    """How the two scores of `contributions` build up: each bar begins where the bar of the point before it ended."""
    fig = plt.figure(figsize=(WIDTH, 3.5), layout="constrained")
    grid = fig.add_gridspec(2, 2, width_ratios=[3.5, 1])
    axis = fig.add_subplot(grid[:, 0])
    points = _steps(axis, parts)
    for row, (total, colour) in enumerate(zip(parts.sum(axis=1), KINDS.values(), strict=True)):
        bars = axis.barh(len(points) + 0.4 * (row - 0.5), total, 0.36, color=colour)
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
        alone, so_far: maps of the pair, of each critical point and of all up to it, (P, 2, S, S).
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
                outline(axis, mask, colour="white")
            axis.set_xlabel(("alone", "so far")[column])
    steps = fig.add_subplot(grid[1:, 0])
    points = _steps(steps, parts)
    steps.set(yticks=range(len(points)), yticklabels=points, ylim=(len(points) - 0.5, -0.5), xlabel="score so far")
    _legend(fig, pair.names)
    return readable(fig)


def _steps(axis: Axes, parts: pd.DataFrame) -> list[str]:
    points = list(parts.columns.unique(0))
    ends = parts.cumsum(axis=1)
    look: dict[str, Any] = {"hatch": ["", "////"] * len(points), "edgecolor": "white", "linewidth": 0}
    for row, colour in enumerate(KINDS.values()):
        place = np.arange(len(points)) + 0.4 * (row - 0.5)
        widths, reached = parts.iloc[row], ends.iloc[row]
        axis.barh(place.repeat(2), widths, 0.36, left=reached - widths, color=colour, **look)
        axis.vlines(reached[1::2], place, place + 1, color=colour, linewidth=0.8, zorder=0)
    axis.invert_yaxis()
    return points


def _legend(fig: Figure, names: Iterable[Any]) -> None:
    named = [Patch(facecolor=colour, label=str(name)) for name, colour in zip(names, KINDS.values(), strict=True)]
    handles = [*named, Patch(facecolor="grey", hatch="////", edgecolor="white", label=TERMS[1])]
    fig.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=1.2)


def patch(axis: Axes, pair: Pair, image: int, *, title: str | None = None) -> None:
    """One of the pair with the contour of its defect; its name is the title where no other is given."""
    axis.imshow(pair.pixels[image].permute(1, 2, 0).numpy())
    outline(axis, pair.masks[image])
    axis.set(xticks=[], yticks=[], title=pair.names[image] if title is None else title)


def readable(fig: Figure) -> Figure:
    """The figure with all its text at 10 points."""
    for axis in fig.axes:
        axis.tick_params(labelsize=10)
    for text in fig.findobj(Text):
        text.set(fontsize=10)
    return fig
