"""Where a map gains and loses: records of settings beside those of the paper's own."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from book.figures.commands import reproducible
from book.figures.studies import title
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.studies import sentences
from kdlab.studies.catalogue import study
from kdlab.studies.one_factor import BASE

STUDY = "localization_gap"
KINDS = {  # what a setting changes: the settings of the recipe that say so
    "which critical points": {"map_points"},
    "which terms": {"map_lam"},
    "which networks": {"attribution"},
    "filters": {"sigma", "opening", "stretch"},
    "input and source": {"normalize", "scaling"},
    "training and arithmetic": {"epochs", "precision"},
}
FORWARD = {"discrepancy", "product", "best"}  # attributions without a backward pass
MARKS = dict(zip(("bottle", "capsule", "brick", "grass", "gravel"), "osD^v", strict=True))


def kind(changes: Mapping[str, Any]) -> str:
    """What a setting changes, one of `KINDS`, ``"no gradient"``, or ``"several at once"``."""
    attribution, rest = changes.get("attribution"), changes.keys() - {"attribution", "map_points"}
    if attribution in FORWARD and not rest:
        return "no gradient"
    return next((name for name, settings in KINDS.items() if changes.keys() <= settings), "several at once")


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """`sentences.frame` of this study's pixel AUROC with a column aupro, in %, in the profiles that it asks for."""
    asked, parts = {(cell.dataset, cell.profile) for cell in study(STUDY).cells}, []
    for record in records:
        place = record["experiment"]["dataset"], record["experiment"]["profile"]
        if place in asked and record["metrics"].get("aupro") is not None:
            parts.append(sentences.frame(STUDY, [record]).assign(aupro=100 * record["metrics"]["aupro"]))
    found = pd.concat(parts or [pd.DataFrame(columns=[*sentences.COLUMNS, "aupro"])], ignore_index=True)
    return found[found["metric"] == "pixel_auroc"].reset_index(drop=True)


def gains(frame: pd.DataFrame, base: str = BASE, value: str = "auroc") -> pd.DataFrame:
    """Rows of `frame` with gain: points above the setting ``base`` on the same data, seed and profile."""
    keys = ["dataset", "normal", "seed", "profile"]
    known = frame.loc[frame["setting"] == base, [*keys, value]].rename(columns={value: "of_base"})
    paired = frame[frame["setting"] != base].merge(known, on=keys)
    return paired.assign(gain=paired[value].astype(float) - paired["of_base"].astype(float)).drop(columns="of_base")


def worth(gained: pd.DataFrame) -> pd.DataFrame:
    """Mean gain of each setting over categories, and on how many; by kind, the best first.

    Columns: setting, kind, gain, categories. The seeds of a category count as one.
    """
    means = gained.groupby(["setting", "dataset", "normal", "profile"])["gain"].mean()
    rows = means.groupby("setting").agg(["mean", "size"]).set_axis(["gain", "categories"], axis=1).reset_index()
    rows["kind"] = [kind(study(STUDY).changes(setting, "mvtec_ad")) for setting in rows["setting"]]
    best = rows.groupby("kind")["gain"].transform("max")
    return rows.assign(best=best).sort_values(
        ["best", "kind", "gain"], ascending=[False, True, False], ignore_index=True
    )


def factors(gained: pd.DataFrame) -> Figure:
    """What each setting is worth: a row a setting below its kind, a mark a category and seed, the mean as a bar."""
    rows = worth(gained)
    starts = rows["kind"] != rows["kind"].shift()
    rows["place"] = np.arange(len(rows)) + starts.cumsum()
    fig, axis = plt.subplots(figsize=(8, 1.2 + 0.27 * (len(rows) + starts.sum())))
    axis.axvline(0, color="0.6", zorder=0)
    for where, part in gained.groupby(["normal", "profile"]):
        normal, profile = map(str, where)
        colour = f"C{[*MARKS].index(normal)}" if normal in MARKS else "0.4"
        places = part["setting"].map(rows.set_index("setting")["place"])
        (line,) = axis.plot(part["gain"], places, MARKS.get(normal, "o"), color=colour, label=f"{normal}, {profile}")
        line.set_markerfacecolor(colour if profile == "paper" else "white")
    axis.plot(rows["gain"], rows["place"], "|", color="black", markersize=15, markeredgewidth=2, label="mean")
    for place, gain, count in zip(rows["place"], rows["gain"], rows["categories"], strict=True):
        said = f"{gain:+.1f} ({count})"
        axis.text(1.01, place, said, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    heads = rows[starts]
    axis.set_yticks([*rows["place"], *heads["place"] - 1], [*rows["setting"], *heads["kind"]], fontsize=8)
    for label in axis.get_yticklabels()[len(rows) :]:
        label.set_fontweight("bold")
    axis.set(xlabel="gain in pixel AUROC, points", ylim=(rows["place"].max() + 0.7, -0.7))
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="both", alpha=0.3)
    axis.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=4)
    sns.despine(fig, left=True)
    fig.tight_layout()
    return fig


def within(frame: pd.DataFrame, published: pd.Series) -> str:
    """Settings whose means over seeds lie within a point of every printed figure, the nearest first, in words.

    Args:
        published: printed pixel AUROC by category, in %.
    """
    means = frame[frame["normal"].isin(published.index)].groupby(["setting", "normal"])["auroc"].mean().unstack()
    if list(means.columns) != sorted(published.index):
        return "Not run on every category."
    off = (means - published).dropna()
    near = off[off.abs().max(axis=1) <= 1]
    near = near.loc[near.abs().max(axis=1).sort_values().index]
    each = [
        f"*{name}* (" + ", ".join(f"{normal} {d:+.1f}" for normal, d in row.items()) + ")"
        for name, row in near.iterrows()
    ]
    where = " and ".join(published.index)
    return f"Within a point of the printed figures of {where}: " + (", ".join(each) or "no setting") + "."


def missing(frame: pd.DataFrame) -> Markdown:
    """Settings that lack a record of some category and seed of the study, and the commands that make them."""
    keys = ["dataset", "normal", "seed", "setting"]
    found, lines = set(frame[keys].itertuples(index=False, name=None)), []
    for cell in study(STUDY).cells:
        labels, places = study(STUDY).labels(cell.dataset), [*product(cell.normals, cell.seeds)]
        lacking = [label for label in labels if any((cell.dataset, *place, label) not in found for place in places)]
        command = f"\n\n```bash\npython -m kdlab run --study {STUDY} --dataset {cell.dataset}\n```"
        names = f" of {len(labels)}: {', '.join(lacking)}" if len(lacking) < len(labels) else ", which is all"
        said = f"settings without a record of every category and seed: {len(lacking)}{names}. To run them:{command}"
        complete = f"every setting has a record of every category, {len(cell.seeds)} seeds each."
        lines.append(f"**{title(cell.dataset)}**: {said if lacking else complete}")
    return Markdown("\n\n".join(lines))


def evidence(frame: pd.DataFrame, labels: Sequence[str]) -> HTML:
    """Pixel AUROC / AUPRO in %, mean over seeds: a row a setting, a column a category; a dash is not run."""
    chosen = frame[frame["setting"].isin(labels)]
    if chosen.empty:
        return HTML("<p><em>Not run: no record of these settings.</em></p>")
    means = chosen.groupby(["setting", "dataset", "normal", "profile"])[["auroc", "aupro"]].mean()
    cells = (
        means.apply(lambda row: f"{row['auroc']:.1f} / {row['aupro']:.1f}", axis=1)
        .unstack([1, 2, 3])
        .sort_index(axis=1)
    )
    cells.columns = [", ".join(map(str, where[1:])) for where in cells.columns]
    behind = {label: tuple(part) for label, part in chosen.groupby("setting")["experiment"]}
    behind |= {label: _wanted(label) for label in labels if label not in behind}
    table = cells.reindex(list(labels)).fillna("–").rename_axis(None).to_html(classes="kd-table", border=0)
    return reproducible(table, [behind[label] for label in labels])


def _wanted(label: str) -> tuple[Experiment, ...]:
    """The experiments of a setting that the study asks for."""
    make = partial(study(STUDY).experiment, label)
    return tuple(
        make(cell.dataset, normal, seed=seed, profile=cell.profile)
        for cell in study(STUDY).cells
        for normal, seed in product(cell.normals, cell.seeds)
    )


def against(frame: pd.DataFrame, better: str, worse: str) -> str:
    """Whether a setting is at least as good as another in every category that has both, in words."""
    lines = []
    for name, value in (("pixel AUROC", "auroc"), ("AUPRO", "aupro")):
        paired = gains(frame, worse, value)
        means = paired[paired["setting"] == better].groupby(["normal", "profile"])["gain"].mean()
        each = ", ".join(f"{where[0]} ({where[1]}) {gain:+.1f}" for where, gain in zip(means.index, means, strict=True))
        holds = "yes" if (means >= 0).all() else f"no, not in {(means < 0).sum()} of {len(means)}"
        lines.append(f"{name} **{holds}**: {each}" if len(means) else f"{name} not run")
    return f"*{better}* at least as good as *{worse}* everywhere? " + "; ".join(lines) + "."
