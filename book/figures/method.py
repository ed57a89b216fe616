"""Pictures of the method at work: the activations of both networks side by side, a training as a film.

Drawn 4.5 inches wide with text of 10 points, so that it can be read where a phone shows the picture 350 pixels wide.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from book.figures import ANOMALOUS, HEAT, NORMAL, slider
from kdlib.activations import prepare
from kdlib.detector import Detector
from kdlib.losses import Activations
from kdlib.metrics import auroc

WIDTH = 4.5  # inches
KINDS = {"normal": NORMAL, "anomalous": ANOMALOUS}


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


def strength(a: Tensor) -> Tensor:
    """RMS over channels at each position: (B, H, W) from (B, C, H, W)."""
    return a.float().square().mean(1).sqrt()


def varying_channels(normal: Tensor, count: int = 3) -> list[int]:
    """The channels that vary most from image to image, the most varying first: of normal images (N, C, H, W).

    Variance over images, mean over positions: a border that is the same in all images does not count.
    """
    return normal.float().var(0).mean((1, 2)).topk(count).indices.tolist()


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
        figures.append(_channels(s[:, chosen], c[:, chosen], chosen, pair))
        shares = ((s - c).flatten(1).norm(dim=1) / s.flatten(1).norm(dim=1)).tolist()
        said = " and ".join(f"{100 * share:.0f} % ({name})" for share, name in zip(shares, pair.names, strict=True))
        labels.append(f"{point}. Difference of all channels against the source: {said}")
        alts.append(
            f"Channels {', '.join(map(str, chosen))} of source and cloner at {point}, and their difference, for two "
            f"images, {' and '.join(pair.names)}. Over all channels the difference has {said} of the source's length."
        )
    return slider(figures, labels, name="critical point", alts=alts)


def _channels(source: Tensor, cloner: Tensor, chosen: Sequence[int], pair: Pair) -> Figure:
    rows = {"source": source, "cloner": cloner, "difference": (source - cloner).abs()}
    count, bright = len(chosen), float(max(source.max(), cloner.max()))
    fig = plt.figure(figsize=(WIDTH, 3.9), layout="constrained")
    grid = fig.add_gridspec(4, 2 * count, height_ratios=[1.5, 1, 1, 1])
    for image in range(2):
        patch(fig.add_subplot(grid[0, image * count : (image + 1) * count]), pair, image)
        for number, channel in enumerate(chosen):
            for row, (name, values) in enumerate(rows.items(), start=1):
                axis = fig.add_subplot(grid[row, image * count + number], xticks=[], yticks=[])
                drawn = axis.imshow(values[image, number].numpy(), cmap=HEAT, vmin=0, vmax=bright)
                axis.set_ylabel(name if not image and not number else "")
            axis.set_xlabel(f"{channel}")
    bar = fig.colorbar(drawn, ax=fig.axes, orientation="horizontal", fraction=0.04, aspect=40)
    bar.set_label("activation of the channel with the number above")
    return readable(fig)


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
    point: str = "pool3",
) -> widgets.VBox:
    """A training as a film: what the cloner says, what is missing, the map, and the scores of all test images.

    Each quantity keeps its scale from the first picture to the last.

    Args:
        moments: by epoch, in the order to show.
        source: activations of the pair by critical point, (2, C, H, W).
        labels: 0 normal, 1 anomalous, of all test images, (N,).
        watched: which of these are the pair.
        point: the critical point whose `strength` is shown.
    """
    scores = np.stack([m.scores for m in moments.values()])
    bins = np.geomspace(scores.min(), scores.max(), 31)
    most = max(np.histogram(s[labels == kind], bins)[0].max() for s in scores for kind in (0, 1))
    target = source[point].float()
    bright = max(strength(a).max() for a in (target, *(m.cloner[point] for m in moments.values())))
    scale = {"cmap": HEAT, "vmin": 0, "vmax": float(bright)}
    heat = {"cmap": HEAT, "vmin": 0, "vmax": np.quantile([m.maps for m in moments.values()], 0.999)}
    figures, texts, alts = [], [], []
    for epoch, m in moments.items():
        answers = {"source": target, "cloner": m.cloner[point], "difference": target - m.cloner[point]}
        columns: dict[str, Any] = {name: (strength(a), scale) for name, a in answers.items()}
        fig = _scene(columns | {"map": (m.maps, heat)}, pair)
        _histograms(fig.axes[-1], m.scores, labels, watched, bins, most)
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


def _scene(columns: Mapping[str, tuple[Any, Mapping[str, Any]]], pair: Pair) -> Figure:
    fig = plt.figure(figsize=(WIDTH, 3.9), layout="constrained")
    grid = fig.add_gridspec(3, 5, height_ratios=[1, 1, 1.3])
    for row in range(2):
        patch(fig.add_subplot(grid[row, 0]), pair, row, title="image" if not row else "")
        fig.axes[-1].set_ylabel(pair.names[row])
        for column, (title, (values, scale)) in enumerate(columns.items(), start=1):
            axis = fig.add_subplot(grid[row, column], xticks=[], yticks=[], title=title if not row else "")
            axis.imshow(np.asarray(values[row]), **scale)
    fig.add_subplot(grid[2, :])
    return fig


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
    axis.legend(frameon=False, loc="upper left", ncols=2, bbox_to_anchor=(0, 1.35))
    sns.despine(ax=axis)


def patch(axis: Axes, pair: Pair, image: int, *, title: str | None = None) -> None:
    """One of the pair with the contour of its defect; its name is the title where no other is given."""
    axis.imshow(pair.pixels[image].permute(1, 2, 0).numpy())
    if pair.masks[image].any():
        axis.contour(pair.masks[image], [0.5], colors="#56B4E9", linewidths=1.2)
    axis.set(xticks=[], yticks=[], title=pair.names[image] if title is None else title)


def readable(fig: Figure) -> Figure:
    """The figure with all its text at 10 points."""
    for axis in fig.axes:
        axis.tick_params(labelsize=10)
    for text in fig.findobj(Text):
        text.set(fontsize=10)
    return fig
