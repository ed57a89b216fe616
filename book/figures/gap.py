"""Maps: what settings gain over the paper's own, from records; the gradient of Eq. 4 by critical point and term."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from kdlab.studies.one_factor import BASE
from kdlab.terms import Terms
from kdlib.localize import localization_map
from kdlib.metrics import auroc

TERMS = ("value", "direction")
MARKS = dict(zip(("bottle", "capsule", "brick", "grass", "gravel"), "osD^v", strict=True))


def gains(frame: pd.DataFrame, base: str = BASE) -> pd.DataFrame:
    """Rows of `sentences.frame` with gain: points above the setting ``base`` on the same data, seed and profile."""
    keys = ["dataset", "normal", "seed", "profile"]
    known = frame.loc[frame["setting"] == base, [*keys, "auroc"]].rename(columns={"auroc": "of_base"})
    paired = frame[frame["setting"] != base].merge(known, on=keys)
    return paired.assign(gain=paired["auroc"].astype(float) - paired["of_base"].astype(float)).drop(columns="of_base")


def worth(gained: pd.DataFrame) -> pd.DataFrame:
    """Mean gain of each setting over categories, and on how many, the best first; a category's seeds count as one."""
    means = gained.groupby(["setting", "dataset", "normal", "profile"])["gain"].mean()
    rows = means.groupby("setting").agg(["mean", "size"]).set_axis(["gain", "categories"], axis=1).reset_index()
    return rows.sort_values("gain", ascending=False, ignore_index=True)


def factors(gained: pd.DataFrame) -> Figure:
    """What each setting is worth: a row per setting, a mark per category and seed, the mean as a bar."""
    rows = worth(gained)
    places = dict(zip(rows["setting"], rows.index, strict=True))
    fig, axis = plt.subplots(figsize=(7.5, 1.2 + 0.3 * len(rows)), layout="tight")
    axis.axvline(0, color="0.6", zorder=0)
    for (normal, profile), part in gained.groupby(["normal", "profile"]):
        colour = f"C{[*MARKS].index(normal)}" if normal in MARKS else "0.4"
        at, mark = part["setting"].map(places), MARKS.get(str(normal), "o")
        (line,) = axis.plot(part["gain"], at, mark, color=colour, label=f"{normal}, {profile}")
        line.set_markerfacecolor(colour if profile == "paper" else "white")
    axis.plot(rows["gain"], rows.index, "|", color="black", markersize=15, markeredgewidth=2, label="mean")
    for place, gain, count in zip(rows.index, rows["gain"], rows["categories"], strict=True):
        axis.text(1.01, place, f"{gain:+.1f} ({count})", transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    axis.set(xlabel="gain in pixel AUROC, points", ylim=(len(rows) - 0.3, -0.7))
    axis.set_yticks(rows.index, rows["setting"], fontsize=8)
    axis.grid(axis="both", alpha=0.3)
    axis.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=3)
    sns.despine(fig, left=True)
    return fig


class Shares(NamedTuple):
    """The gradient of Eq. 4 by critical point and term: arrays (P, 2)."""

    alone: np.ndarray  # pixel AUROC of the term's own gradient
    share: np.ndarray  # of the sum of the norms of all weighted gradients, mean over images


def shares(terms: Terms, masks: np.ndarray, lam: float) -> Shares:
    """Take the gradient of some images apart; ``masks`` (N, S, S), ``lam`` finite, as trained."""
    shape = len(terms.points), 2
    weighted = terms.signed_gradients() * np.array([1, lam], np.float32)[:, None, None, None, None]
    each = weighted.reshape(-1, *weighted.shape[2:])
    norms = np.linalg.norm(each.reshape(*each.shape[:2], -1).astype(float), axis=2)
    areas = [auroc(masks, localization_map(np.abs(g).sum(1), terms.detector.recipe)) or np.nan for g in each]
    return Shares(100 * np.reshape(areas, shape), (norms / norms.sum(0)).mean(1).reshape(shape))


def taken_apart(found: dict[str, Shares], points: tuple[str, ...]) -> Figure:
    """`Shares` of some sources, a column each: how good each term's own map is, and how loud it is."""
    fig, axes = plt.subplots(
        2, len(found), figsize=(4 * len(found), 4.6), sharex=True, sharey="row", squeeze=False, layout="tight"
    )
    place = np.arange(len(points))
    for column, (name, parts) in zip(axes.T, found.items(), strict=True):
        for axis, values in zip(column, (parts.alone, 100 * parts.share), strict=True):
            for number, term in enumerate(TERMS):
                axis.bar(place + 0.4 * (number - 0.5), values[:, number], 0.38, color=f"C{number}", label=term)
            axis.grid(axis="y", alpha=0.4)
        column[0].set_title(name, fontsize=10)
        column[1].set_xticks(place, points)
    axes[0, 0].set(ylabel="its own map,\npixel AUROC, %", ylim=(40, 100))
    axes[1, 0].set_ylabel("share of the\ngradient, %")
    axes[0, -1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig
