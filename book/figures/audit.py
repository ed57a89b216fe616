"""Pictures of the audit: means that are off, one experiment in several tables, wins and losses."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, NORMAL, strips

EVEN = "0.75"  # neither won nor lost


def means(checked: pd.DataFrame) -> Figure:
    """Printed minus recomputed mean of each row of `tables.means`; filled and named where rounding is no excuse."""
    groups = dict([*checked.groupby(["table", "dataset"], sort=False)])
    names = [f"Table {table}, {dataset}" for table, dataset in groups]
    fig, axis = strips(names, "printed − recomputed mean, points of AUROC")
    for place, rows in enumerate(groups.values()):
        rows = rows.assign(place=place + np.linspace(-0.3, 0.3, len(rows)))
        fine, off = rows[rows["explained"]], rows[~rows["explained"]]
        axis.plot(fine["difference"], fine["place"], "o", color=NORMAL, markerfacecolor="none", markersize=5)
        axis.plot(off["difference"], off["place"], "D", color=ANOMALOUS, markersize=7)
        for row in off.itertuples():
            at = row.difference, row.place
            axis.annotate(row.method, at, (8, 0), textcoords="offset points", va="center")
    axis.set_xscale("symlog", linthresh=0.01)
    ticks = [-1, -0.1, -0.01, 0, 0.01, 0.1, 1]
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    axis.set_xlim(-3, 3)
    axis.axvline(0, color="black", linestyle=":", linewidth=1)
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
