"""Figures and tables of how sure a result is: curves, spreads, intervals, last beside best, settings in pairs."""

import functools
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from book.figures import figure
from book.figures.studies import sources, title
from book.figures.tables import few, numbers
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, late
from kdlab.paper import normal_of
from kdlab.studies.statistics import paired_difference

KINDS = {  # columns of `uncertainty.by_entry`: name, colour, mark
    "evaluations": ("last evaluations", "C0", "o"),
    "between_seeds": ("between seeds", "C2", "s"),
    "images": ("test images", "C1", "^"),
    "plus_minus": ("published ±", "black", "D"),
}
NONE = "*Not run: no record of this kind is here. A command that makes some:*\n\n```bash\n"
NONE += "python -m kdlab run --table 6 --dataset head_ct \\\n  --seed 0 1 2\n```"
Shown = HTML | Markdown


def _or_none(draw: Callable[[Any], Shown]) -> Callable[[Any], Shown]:
    """Where there are no rows, say so and how to make records."""

    @functools.wraps(draw)
    def shown(rows: Any) -> Shown:
        return draw(rows) if len(rows) else Markdown(NONE)

    return shown


def place(experiment: Experiment) -> str:
    """Data set of an experiment; with profile and source where these are not the paper's."""
    known = pd.DataFrame({"weights": [experiment.recipe.weights]})
    others = [experiment.profile] * (experiment.profile != "paper") + sources(known)
    return title(experiment.dataset) + (f" ({', '.join(others)})" if others else "")


def by_place(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows with a column ``experiments`` by what `place` calls the first of these."""
    return {str(name): group for name, group in rows.groupby([place(e[0]) for e in rows["experiments"]])}


@_or_none
def curves(records: Sequence[Record]) -> Shown:
    """AUROC against epoch, a panel a data set, a line a record; those of `records.late` on grey ground."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(place(Experiment.from_dict(record["experiment"])), []).append(record)
    rows = -(-len(groups) // 2)
    fig, axes = plt.subplots(rows, 2, figsize=(9, 3 * rows), squeeze=False, layout="tight")
    told = []
    for axis, (name, group) in zip(axes.flat, sorted(groups.items()), strict=False):
        normals = sorted({normal_of(r["experiment"]) for r in group})
        ends = {}
        for record in group:
            found = record["metrics"]["evaluations"]
            normal, values = normal_of(record["experiment"]), [100 * e["image_auroc"] for e in found]
            colour = f"C{normals.index(normal) % 10}"
            axis.plot([e["epoch"] for e in found], values, color=colour, linewidth=1.2)
            ends[values[-1]] = (normal if len(normals) > 1 else f"seed {record['experiment']['seed']}", colour)
        axis.axvspan(late(found)[0]["epoch"], found[-1]["epoch"], color="0.92", zorder=0)
        for value in {min(ends), max(ends)}:
            label, colour = ends[value]
            axis.annotate(f" {label}", (found[-1]["epoch"], value), color=colour, fontsize=8, va="center")
        axis.set(title=name, xlabel="epoch", ylabel="image AUROC, %")
        apart = [np.ptp([100 * e["image_auroc"] for e in late(r["metrics"]["evaluations"])]) for r in group]
        told.append(f"{name}: {len(group)} lines, the last evaluations of one at most {max(apart):.1f} apart")
    if len(groups) % 2:
        axes[-1, -1].axis("off")
    caption = "Grey: the last evaluations, whose mean is the figure. Named: the lowest and the highest line. "
    caption += "Each panel has its own scale."
    return figure(fig, alt=f"Image AUROC in points against epoch. {'; '.join(told)}.", caption=caption)


@_or_none
def spreads(entries: pd.DataFrame) -> Shown:
    """Standard deviations from three causes, and the printed one: a mark a class or category, a bar at the median."""
    groups = by_place(entries)
    fig, axis = plt.subplots(figsize=(8, 1.2 + 0.75 * len(groups)), layout="tight")
    for row, group in enumerate(groups.values()):
        for number, (column, (name, colour, mark)) in enumerate(KINDS.items()):
            values, at = group[column].dropna().clip(lower=0.004), row + 0.19 * (number - 1.5)
            axis.plot(values, 0 * values + at, mark, color=colour, alpha=0.6, ms=5, label="" if row else name)
            if len(values) > 1:
                axis.plot([values.median()] * 2, [at - 0.08, at + 0.08], color=colour, linewidth=2)
    axis.set(xscale="log", xlabel="standard deviation, points of AUROC", yticks=range(len(groups)))
    axis.set_yticklabels(groups)
    axis.set_xticks(ticks := [0.01, 0.1, 1, 10], [f"{tick:g}" for tick in ticks])
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.4)
    axis.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1))
    told = {name: group[list(KINDS)].median().dropna() for name, group in groups.items()}
    said = [f"{t}: {', '.join(f'{KINDS[str(c)][0]} {v:.2f}' for c, v in each.items())}" for t, each in told.items()]
    alt = "Standard deviations of AUROC in points, medians over classes. "
    caption = "One mark a class or category, a bar at the median. Logarithmic; below 0.004 is drawn at 0.004."
    return figure(fig, alt=f"{alt}{'; '.join(said)}.", caption=caption)


@_or_none
def spread_table(entries: pd.DataFrame) -> Shown:
    """Over the classes of a data set: how many test images and seeds, medians of `KINDS`; last, mean and best, in %."""
    names = {"good": "normal", "bad": "anomalous", "seeds": "seeds"}
    names |= dict(zip(KINDS, ("± last", "± seeds", "± images", "± printed"), strict=True))
    means = {"last": "last", "mean": "mean of the last", "best": "best on test", "optimism": "best adds"}
    groups = by_place(entries)
    rows = {name: {**g[list(names)].median(), **g[list(means)].mean()} for name, g in groups.items()}
    behind = [tuple(chain(*group["experiments"])) for group in groups.values()]
    table = pd.DataFrame(rows).T.rename(columns=names | means)
    return numbers(table, behind, whole=["normal", "anomalous", "seeds"], signed=["best adds"])


def intervals(entries: pd.DataFrame) -> tuple[Figure, str]:
    """Last, mean of the last ones, best and the printed figure with the interval of the test images; its alt text."""
    names, at = _names(entries), np.arange(len(entries))
    fig, axis = plt.subplots(figsize=(7, 1.4 + 0.3 * len(entries)), layout="tight")
    axis.hlines(at, entries["low"], entries["high"], color="0.8", linewidth=7, label="95 % over test images")
    for column, style, label in (
        ("mean", "sC0", "mean of the last ones"),
        ("last", "oC2", "last"),
        ("best", "^C1", "best"),
    ):
        axis.plot(entries[column], at, style[0], color=style[1:], markersize=5, label=label)
    bars = entries["plus_minus"]
    axis.errorbar(entries["published"], at, xerr=bars, fmt="|", markersize=12, color="black", label="published ±")
    axis.set(yticks=at, yticklabels=names, xlabel="image AUROC, %", ylim=(len(entries) - 0.5, -0.5))
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    inside = entries["published"].between(entries["low"], entries["high"])[entries["published"].notna()]
    values = zip(names, entries["mean"], entries["low"], entries["high"], strict=True)
    said = "; ".join(f"{name} {mean:.1f} %, {low:.1f} to {high:.1f}" for name, mean, low, high in values)
    alt = f"Mean of the last evaluations and 95 % interval over test images: {said}."
    return fig, alt + (f" {inside.sum()} of {len(inside)} printed figures lie inside." if len(inside) else "")


@_or_none
def differences(pairs: pd.DataFrame) -> Shown:
    """One change of settings: each pair's difference with DeLong's interval, the mean with that of a paired t test."""
    keys = list(zip(pairs["normal"], pairs["seed"], strict=True))
    mean = paired_difference(*(dict(zip(keys, pairs[name], strict=True)) for name in ("base", "other")))
    at = np.arange(len(pairs))
    fig, axis = plt.subplots(figsize=(7, 1.6 + 0.28 * len(pairs)), layout="tight")
    axis.axvline(0, color="0.7", zorder=0)
    axis.hlines([*at, len(at)], [*pairs["low"], mean.low], [*pairs["high"], mean.high], color=["C0"] * len(at) + ["C1"])
    axis.plot(pairs["difference"], at, "o", color="C0")
    axis.plot(mean.mean, len(at), "D", color="C1")
    labels = [*_names(pairs), f"mean, t over {mean.of}"]
    axis.set(yticks=range(len(labels)), yticklabels=labels, xlabel="difference, points of AUROC")
    axis.set_title(f"{pairs['settings'].iloc[0]} against the paper's", fontsize=10)
    axis.invert_yaxis()
    alt = f"{len(pairs)} differences from {pairs['difference'].min():+.1f} to {pairs['difference'].max():+.1f} points; "
    alt += f"{((pairs['low'] > 0) | (pairs['high'] < 0)).sum()} of the intervals leave out 0. "
    alt += f"Mean {mean.mean:+.2f}, 95 % from {mean.low:+.2f} to {mean.high:+.2f}."
    return figure(
        fig, alt=alt, caption=f"Dots: pairs on the same test images, DeLong. Diamond: the mean over {mean.of}."
    )


@_or_none
def summary_table(summary: pd.DataFrame) -> Shown:
    """A frame of `uncertainty.summary` as a table: the five largest differences that are sure, the rest folded."""
    names = {"rows": "pairs", "mean": "difference", "low": "from", "high": "to", "below": "below 0.05"}
    frame = summary.assign(
        data=[place(each[0]) for each in summary["experiments"]],
        over=[f"{count} {of}" for count, of in zip(summary["pairs"], summary["of"], strict=True)],
    )
    sure = ((summary["low"] > 0) | (summary["high"] < 0)) & (summary["pairs"] > 2)
    largest = summary.loc[sure, "mean"].abs().sort_values(ascending=False).index[:5]
    columns = ["data", "settings", "rows", "over", "mean", "low", "high", "p", "below"]
    style: dict[str, Any] = {"signed": ["difference", "from", "to"], "whole": ["pairs", "below 0.05"], "index": False}

    def table(rows: pd.DataFrame) -> HTML:
        return numbers(rows[columns].rename(columns=names), rows["experiments"].tolist(), **style, limit=len(rows))

    first = table(frame.loc[largest]).data if len(largest) else ""
    return HTML(first + few(table(frame), len(frame), 5).data) if len(frame) > 5 else table(frame)


def _names(rows: pd.DataFrame) -> list[str]:
    """Seeds where there is one class, classes where each stands once, both otherwise."""
    if rows["normal"].nunique() == 1 < len(rows):
        return [f"seed {seed}" for seed in rows["seed"]]
    named = zip(rows["normal"], rows["seed"], rows["normal"].duplicated(keep=False), strict=True)
    return [f"{normal}, seed {seed}" if again else normal for normal, seed, again in named]
