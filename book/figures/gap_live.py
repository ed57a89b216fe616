"""Maps of a live run: the gradient of Eq. 4 taken apart by critical point and term; quality against time."""

import copy
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from book.figures import HEAT
from kdlab.localization import localization_metrics
from kdlab.terms import Terms
from kdlib.data import Images
from kdlib.detector import Detector
from kdlib.localize import localization_map
from kdlib.metrics import auroc

TERMS = ("value", "direction")


class Shares(NamedTuple):
    """The gradient of Eq. 4 by critical point and term: arrays (P, 2), ``alike`` (2 P, 2 P) in the order of those."""

    alone: np.ndarray  # pixel AUROC of the term's own gradient
    positions: np.ndarray  # pixel AUROC of the term at each position, without gradient
    share: np.ndarray  # of the sum of the norms of all weighted gradients, mean over images
    without: np.ndarray  # what the pixel AUROC gains where the term is left out
    alike: np.ndarray  # cosine of two terms' gradients, mean over images


def shares(terms: Terms, masks: np.ndarray, lam: float) -> Shares:
    """Take the gradient of some images apart; ``masks`` (N, S, S), ``lam`` finite, as trained."""
    recipe, count = terms.detector.recipe, len(terms.points)
    weighted = terms.signed_gradients() * np.array([1, lam], np.float32)[:, None, None, None, None]
    vectors = weighted.reshape(2 * count, len(masks), -1).astype(float)
    norms = np.linalg.norm(vectors, axis=2)
    unit = vectors / np.maximum(norms, np.finfo(float).tiny)[..., None]

    def area(maps: np.ndarray) -> float:
        return 100 * (auroc(masks, localization_map(maps, recipe)) or np.nan)

    each = weighted.reshape(2 * count, *weighted.shape[2:])
    total = each.sum(0)
    found = [terms.attribution("discrepancy", (p,), weight) for p in terms.points for weight in (0.0, np.inf)]
    return Shares(
        np.reshape([area(np.abs(g).sum(1)) for g in each], (count, 2)),
        np.reshape([area(m) for m in found], (count, 2)),
        (norms / norms.sum(0)).mean(1).reshape(count, 2),
        np.reshape([area(np.abs(total - g).sum(1)) for g in each], (count, 2)) - area(np.abs(total).sum(1)),
        np.einsum("inv,jnv->ij", unit, unit) / len(masks),
    )


def taken_apart(found: Shares, points: Sequence[str]) -> Figure:
    """`Shares` as four pictures: each term's map alone, its share of the gradient, the map without it, likeness."""
    fig, axes = plt.subplots(2, 2, figsize=(8.5, 7))
    alone, *others, alike = axes.flat
    place, names = np.arange(len(points)), [f"{p} {t}" for p in points for t in TERMS]
    for number, term in enumerate(TERMS):
        alone.plot(place, found.alone[:, number], "o-", color=f"C{number}", label=f"{term}, gradient")
        alone.plot(place, found.positions[:, number], "s:", color=f"C{number}", label=f"{term}, positions")
        for axis, values in zip(others, (100 * found.share, found.without), strict=True):
            axis.bar(place + 0.4 * (number - 0.5), values[:, number], 0.38, color=f"C{number}", label=term)
    titles = ("pixel AUROC of each alone, %", "share of the gradient, %", "gain of the map without it, points")
    for axis, title in zip((alone, *others), titles, strict=True):
        axis.set_xticks(place, points)
        axis.set_title(title, fontsize=10)
        axis.grid(axis="y", alpha=0.4)
        axis.margins(y=0.1)
        axis.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    others[1].axhline(0, color="black", linewidth=0.8)
    style: dict[str, Any] = {"vmin": -1, "vmax": 1, "cmap": "RdBu_r", "square": True, "cbar": False}
    style |= {"annot": True, "fmt": ".1f", "annot_kws": {"fontsize": 7}}
    sns.heatmap(found.alike, ax=alike, xticklabels=names, yticklabels=names, **style)
    alike.tick_params(labelsize=8)
    alike.set_title("cosine of two gradients", fontsize=10)
    sns.despine(fig)
    fig.tight_layout()
    return fig


def layer_by_layer(terms: Terms, lam: float, picture: np.ndarray, mask: np.ndarray, index: int = 0) -> Figure:
    """Maps of one image (H, W, 3), by critical point: each term's gradient, then gradients and positions so far."""
    recipe, points = terms.detector.recipe, terms.points
    rows: dict[str, list[tuple[str, tuple[str, ...], float]]] = {
        "value alone": [("gradients", (p,), 0.0) for p in points],
        "direction alone": [("gradients", (p,), math.inf) for p in points],
        "gradient so far": [("gradients", points[: n + 1], lam) for n in range(len(points))],
        "no gradient, so far": [("product", points[: n + 1], lam) for n in range(len(points))],
    }
    fig, axes = plt.subplots(len(rows), len(points) + 1, figsize=(1.75 * (len(points) + 1), 1.8 * len(rows)))
    for row, (name, ways) in zip(axes, rows.items(), strict=True):
        row[0].imshow(picture)
        row[0].set_ylabel(name, fontsize=9)
        for number, (axis, (method, chosen, weight)) in enumerate(zip(row[1:], ways, strict=True)):
            heat = localization_map(terms.attribution(method, chosen, weight)[[index]], recipe)[0]
            axis.imshow(heat, cmap=HEAT)
            area = 100 * (auroc(mask, heat) or np.nan)
            axis.set_title(f"{'+ ' * ('far' in name and number > 0)}{points[number]}: {area:.0f} %", fontsize=8)
    for axis in axes.flat:
        axis.contour(mask, [0.5], colors="#56B4E9", linewidths=1)
        axis.set(xticks=[], yticks=[])
    fig.tight_layout(pad=0.4)
    return fig


def timed(ways: Mapping[str, tuple[Detector, Mapping[str, Any]]], images: Images, *, rounds: int = 3) -> pd.DataFrame:
    """Ways to draw a map in turn, each on another part of the images a round; the figures are of this run.

    Returns:
        A row a way: ms (an image, from pixels to map, median of the rounds), auroc, aupro (in %, all images, on the
        masks of the largest size, to which smaller maps are enlarged).
    """
    largest = max(detector.recipe.input_size for detector, _ in ways.values())
    masks, spent = images.mask_pixels(largest), {name: list[float]() for name in ways}
    maps = {name: np.empty(masks.shape, np.float32) for name in ways}
    pixels = {d.recipe.input_size: images.pixels(d.recipe.size, crop=d.recipe.crop) for d, _ in ways.values()}
    for start in range(rounds):
        for name, (detector, changes) in ways.items():
            own = copy.copy(detector)
            own.recipe = detector.recipe.replace(**changes)
            part = pixels[own.recipe.input_size][start::rounds]
            begin = time.perf_counter()
            found = own.localize(part)
            spent[name].append(1000 * (time.perf_counter() - begin) / len(part))
            enlarged = F.interpolate(torch.from_numpy(found)[:, None], masks.shape[1:], mode="bilinear")
            maps[name][start::rounds] = enlarged[:, 0]
    rows = {}
    for name in ways:
        metrics = localization_metrics(masks, maps[name], np.asarray(images.labels))["all"]
        rows[name] = [np.median(spent[name]), *(100 * (metrics[m] or np.nan) for m in ("pixel_auroc", "aupro"))]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["ms", "auroc", "aupro"])


def by_time(run: pd.DataFrame, *, larger: Mapping[str, str] | None = None) -> Figure:
    """Rows of `timed`: quality against milliseconds an image on a logarithmic scale.

    Args:
        larger: row -> row of the same way at a larger size, which is drawn hollow and joined to it.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharex=True)
    joined = {name: way for way, name in (larger or {}).items()}
    ways = [name for name in run.index if name not in joined]
    low, high = 0.8 * run["ms"].min(), 1.25 * run["ms"].max()
    ticks = [n * 10**k for k in range(-1, 6) for n in (1, 2, 5) if low <= n * 10**k <= high]
    for axis, column, label in zip(axes, ("auroc", "aupro"), ("pixel AUROC, %", "AUPRO, %"), strict=True):
        for name, time_taken, value in zip(run.index, run["ms"], run[column], strict=True):
            number = ways.index(joined.get(name, name))
            (mark,) = axis.plot(
                time_taken, value, "osD^vP*Xp"[number % 9], color=f"C{number}", label=name, markersize=8
            )
            mark.set_markeredgecolor(f"C{number}" if name in joined else "0.3")  # some colours are pale
            if name in joined:
                mark.set_markerfacecolor("white")
                axis.plot(*run.loc[[joined[name], name], ["ms", column]].to_numpy().T, color="0.8", zorder=0)
        axis.set(xscale="log", xlabel="milliseconds an image, this run", ylabel=label, xlim=(low, high))
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(fig)
    fig.tight_layout()
    return fig
