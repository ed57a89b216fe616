"""Pictures of the audit: means that are off, one experiment in several tables, wins and losses."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, NORMAL

EVEN = "0.75"  # neither won nor lost


def means(checked: pd.DataFrame) -> Figure:
    """Printed minus recomputed mean of each row of `tables.means`; filled and named where rounding is no excuse."""
    keys = checked[["table", "dataset"]].drop_duplicates().to_numpy()
    fig, axis = plt.subplots(figsize=(7.5, 0.8 + 0.38 * len(keys)), layout="tight")
    for place, (table, dataset) in enumerate(keys):
        rows = checked[(checked["table"] == table) & (checked["dataset"] == dataset)]
        shift = place + np.linspace(-0.3, 0.3, len(rows))
        fine = rows["explained"].to_numpy()
        axis.plot(rows["difference"][fine], shift[fine], "o", color=NORMAL, markerfacecolor="none", markersize=5)
        axis.plot(rows["difference"][~fine], shift[~fine], "D", color=ANOMALOUS, markersize=7)
        for (_, row), y in zip(rows[~fine].iterrows(), shift[~fine], strict=True):
            axis.annotate(row["method"], (row["difference"], y), (8, 0), textcoords="offset points", va="center")
    axis.set_xscale("symlog", linthresh=0.01)
    ticks = [-1, -0.1, -0.01, 0, 0.01, 0.1, 1]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set(yticks=range(len(keys)), yticklabels=[f"Table {t}, {d}" for t, d in keys], xlim=(-3, 3))
    axis.set(xlabel="printed − recomputed mean, points of AUROC")
    axis.axvline(0, color="black", linestyle=":", linewidth=1)
    axis.invert_yaxis()
    return fig


def apart(frame: pd.DataFrame) -> Figure:
    """A heat map of differences: a row per category, a column per row of a table, points of AUROC in each cell."""
    fig, axis = plt.subplots(figsize=(7, 1.5 + 0.28 * len(frame)), layout="tight")
    far = float(np.nanmax(np.abs(frame.to_numpy())))  # centred on 0, which is white; signs are written too
    sns.heatmap(frame, annot=True, fmt="+.2f", cmap="RdBu_r", vmin=-far, vmax=far, linewidths=0.5, ax=axis)
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="x", rotation=20)
    return fig


def wins(compared: pd.DataFrame, *, level: float = 0.05) -> Figure:
    """Classes won and lost against each rival of `tables.against`, a panel a table and data set.

    Args:
        level: a star marks an adjusted p below it.
    """
    groups = [g for _, g in compared.groupby(["table", "dataset"], sort=False)]
    halves = groups[: len(groups) - 2], groups[len(groups) - 2 :]  # one-vs-rest left, MVTec AD right
    fig = plt.figure(figsize=(9, 0.9 + 0.27 * sum(len(g) + 2 for g in halves[0])))
    for column, half in enumerate(halves):
        ratios = [len(g) for g in half]
        grid = fig.add_gridspec(len(half), 2, height_ratios=ratios, hspace=0.35, wspace=0.45)
        for n, rows in enumerate(half):
            axis, place = fig.add_subplot(grid[n, column]), np.arange(len(rows))
            axis.barh(place, rows["wins"], color=NORMAL, label="MKDAD higher")
            axis.barh(place, -rows["losses"], color=ANOMALOUS, hatch="//", edgecolor="white", label="rival higher")
            axis.barh(place, rows["ties"], left=rows["wins"], color=EVEN, label="the same")
            names = [f"{m} *" if q < level else m for m, q in zip(rows["rival"], rows["adjusted"], strict=True)]
            table, task, dataset = rows[["table", "task", "dataset"]].iloc[0]
            axis.set(yticks=place, yticklabels=names, title=f"Table {table}, {dataset}, {task}", xlim=(-11, 16))
            axis.set_xticks([-10, 0, 10, 15], ["10", "0", "10", "15"])
            axis.axvline(0, color="black", linewidth=0.8)
            axis.tick_params(labelsize=8)
            axis.title.set_fontsize(9)
            axis.invert_yaxis()
    fig.legend(*fig.axes[0].get_legend_handles_labels(), ncols=3, loc="lower center", fontsize=9)
    fig.subplots_adjust(bottom=0.08)
    return fig


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of rows of `audit` with ``row`` and ``other row`` in words: table and method."""
    pairs = {"row": ("table", "method"), "other row": ("other_table", "other_method")}
    words = {name: [f"Table {t}, {m}" for t, m in frame[[*keys]].to_numpy()] for name, keys in pairs.items()}
    return frame.assign(**words)
