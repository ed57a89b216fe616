"""Figures and tables of how sure a result is: curves, spreads, intervals, last beside best."""

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from book.figures import figure, strips
from book.figures.studies import sources, title
from kdlab.experiments.experiment import Experiment

KINDS = {  # columns of `uncertainty.by_entry`: name, colour, mark
    "evaluations": ("last evaluations", "C0", "o"),
    "between_seeds": ("between seeds", "C2", "s"),
    "images": ("test images", "C1", "^"),
    "plus_minus": ("published ±", "black", "D"),
}


def place(experiment: Experiment) -> str:
    """Data set of an experiment; with profile and source where these are not the paper's."""
    known = pd.DataFrame({"weights": [experiment.recipe.weights]})
    others = [experiment.profile] * (experiment.profile != "paper") + sources(known)
    return title(experiment.dataset) + (f" ({', '.join(others)})" if others else "")


def by_place(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows with a column ``experiments`` by what `place` calls the first of these."""
    return {str(name): group for name, group in rows.groupby([place(e[0]) for e in rows["experiments"]])}


def spreads(entries: pd.DataFrame) -> HTML:
    """Standard deviations from three causes, and the printed one: a mark a class or category, a bar at the median."""
    groups = by_place(entries)
    fig, axis = strips(list(groups), "standard deviation, points of AUROC", inches=0.75)
    for row, group in enumerate(groups.values()):
        for number, (column, (name, colour, mark)) in enumerate(KINDS.items()):
            values, at = group[column].dropna().clip(lower=0.004), row + 0.19 * (number - 1.5)
            axis.plot(values, 0 * values + at, mark, color=colour, alpha=0.6, ms=5, label="" if row else name)
            if len(values) > 1:
                axis.plot([values.median()] * 2, [at - 0.08, at + 0.08], color=colour, linewidth=2)
    axis.set_xscale("log")
    axis.set_xticks(ticks := [0.01, 0.1, 1, 10], [f"{tick:g}" for tick in ticks])
    axis.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1))
    told = {name: group[list(KINDS)].median().dropna() for name, group in groups.items()}
    said = [f"{t}: {', '.join(f'{KINDS[str(c)][0]} {v:.2f}' for c, v in each.items())}" for t, each in told.items()]
    alt = "Standard deviations of AUROC in points, medians over classes. "
    caption = "One mark per class or category, a bar at the median. Logarithmic; below 0.004 is drawn at 0.004."
    return figure(fig, alt=f"{alt}{'; '.join(said)}.", caption=caption)


def intervals(entries: pd.DataFrame) -> tuple[Figure, str]:
    """Last, mean of the last ones, best and the printed figure with the interval of the test images; its alt text."""
    names, at = _names(entries), np.arange(len(entries))
    fig, axis = strips(names, "image AUROC, %")
    axis.hlines(at, entries["low"], entries["high"], color="0.8", linewidth=7, label="95 % over test images")
    for column, style in (("mean", "sC0"), ("last", "oC2"), ("best", "^C1")):
        label = column.replace("mean", "mean of the last ones")
        axis.plot(entries[column], at, style, markersize=5, label=label)
    bars = entries["plus_minus"]
    axis.errorbar(entries["published"], at, xerr=bars, fmt="|", markersize=12, color="black", label="published ±")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    inside = entries["published"].between(entries["low"], entries["high"])[entries["published"].notna()]
    values = zip(names, entries["mean"], entries["low"], entries["high"], strict=True)
    said = "; ".join(f"{name} {mean:.1f} %, {low:.1f} to {high:.1f}" for name, mean, low, high in values)
    alt = f"Mean of the last evaluations and 95 % interval over test images: {said}."
    return fig, alt + (f" {inside.sum()} of {len(inside)} printed figures lie inside." if len(inside) else "")


def _names(rows: pd.DataFrame) -> list[str]:
    """Seeds where there is one class, classes where each stands once, both otherwise."""
    if rows["normal"].nunique() == 1 < len(rows):
        return [f"seed {seed}" for seed in rows["seed"]]
    named = zip(rows["normal"], rows["seed"], rows["normal"].duplicated(keep=False), strict=True)
    return [f"{normal}, seed {seed}" if again else normal for normal, seed, again in named]
