"""Figures and tables of data sets that are folders of images: MVTec AD, HeadCT, BrainMRI, retinal OCT."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from book.figures import ANOMALOUS, NORMAL, pictures
from kdlab import paper
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, last_scores, records
from kdlib.data import ABOUT, Images, Split, find, load
from kdlib.recipe import Recipe

Scored = tuple[Record, np.ndarray, np.ndarray]  # a record with scores and labels of its last evaluation, (N,) each


def about(dataset: str) -> Markdown:
    """Whose the data is, under which licence, and whether it is here; if not, the layout that is expected."""
    data = ABOUT[dataset]
    terms = f"**{data.terms}**" if data.commercial is False else data.terms
    said = f"- **Publisher**: [{data.title}]({data.publisher})\n- **Licence**: {terms}\n- **Here**: "
    absent = (
        f"no. Put it into `{dataset}` below the folder that `KDLIB_DATA` names, as `{data.layout}`. Until then this "
    )
    absent += "page shows records and published figures, without pictures and live run."
    return Markdown(said + ("yes." if find(dataset) else absent))


def skipped(dataset: str) -> Markdown:
    """What stands where a cell needs images that are not here."""
    return Markdown(f"*Skipped: this needs images of {ABOUT[dataset].title} that are not here.*")


def command(dataset: str, categories: Iterable[str], *, seeds: Iterable[int] = (0,), **changes: Any) -> Markdown:
    """The command that makes records, in profile ``paper``, with changes of the recipe."""
    experiments = (Experiment.of(dataset, name, seed=seed, **changes) for name in categories for seed in seeds)
    return Markdown(f"```bash\n{run_command(experiments)}\n```")


def ours(dataset: str, recipe: Recipe) -> list[Record]:
    """Records of profile ``paper`` with exactly this recipe, by category and seed."""
    found = records(dataset=dataset, profile="paper")
    found = [r for r in found if Recipe.from_dict(r["experiment"]["recipe"]) == recipe]
    return sorted(found, key=lambda r: (r["experiment"]["category"], r["experiment"]["seed"]))


def scored(found: Iterable[Record], results: Path | None = None) -> list[Scored]:
    """Records with what is in the ``.npz`` beside them; a record without one is left out."""
    pairs = ((record, last_scores(record, results)) for record in found)
    return [(record, *pair) for record, pair in pairs if pair]


def tested(record: Record) -> Images | None:
    """The test images of a record in the order of its scores; None where they are not here, or not the same."""
    experiment = record["experiment"]
    try:
        test = load(experiment["dataset"], experiment["category"], seed=experiment["seed"]).test
    except (FileNotFoundError, ValueError):
        return None
    return test if test.fingerprint == record["provenance"]["data"]["test"]["fingerprint"] else None


def by_method(found: Mapping[str, Sequence[Record]], *, table: int, dataset: str) -> pd.DataFrame:
    """`paper.compare` for a table with one figure a method: a row a key of ``found``, AUROC in %.

    Args:
        found: the paper's name of a variant -> its records, in profile ``paper``.
    """
    printed = paper.published(table=table, dataset=dataset).set_index("method").loc[list(found)]
    normals = printed["column"]
    rows = printed[["auroc", "plus_minus"]].rename(columns={"auroc": "published"})
    aurocs = [[100 * r["metrics"]["image_auroc"]["mean_last_10"] for r in its] for its in found.values()]
    rows["ours"] = [np.mean(its) if its else np.nan for its in aurocs]
    rows["spread"] = [np.std(its, ddof=1) if len(its) > 1 else np.nan for its in aurocs]
    rows["difference"] = rows["ours"] - rows["published"]
    rows["seeds"] = [len(its) for its in aurocs]
    rows["profile"] = ["paper" if its else "not run" for its in aurocs]
    changes = paper.VARIANTS
    behind = [paper.experiments(its, dataset, [normals[name]], **changes[name]) for name, its in found.items()]
    rows["experiments"] = pd.Series(behind, rows.index, dtype=object)
    return rows


def published_dots(frame: pd.DataFrame) -> Figure:
    """Entries of `paper.published`, one a method, the highest on top, the paper's own in colour; bars as printed."""
    frame = frame.sort_values("auroc")
    fig, axis = plt.subplots(figsize=(7, 1 + 0.3 * len(frame)))
    place, own = np.arange(len(frame)), frame["method"].str.startswith(paper.OURS).to_numpy()
    for part, colour in ((own, ANOMALOUS), (~own, "grey")):
        bars = frame["plus_minus"].fillna(0)[part]
        axis.errorbar(frame["auroc"][part], place[part], xerr=bars, fmt="o", color=colour, capsize=3)
    axis.set_yticks(place, frame["method"])
    axis.set(xlabel="AUROC, %", ylim=(-0.5, len(frame) - 0.5))
    axis.grid(axis="x", alpha=0.4)
    return _tidy(fig)


def score_histograms(kept: Sequence[Scored], *, columns: int = 5) -> Figure:
    """A small plot a record: densities of the scores of both groups, a tick for each normal image, AUROC in %."""
    rows, width = -(-len(kept) // columns), min(columns, len(kept))
    fig, axes = plt.subplots(rows, width, figsize=(max(2.0 * width, 4), 2 * rows), squeeze=False)
    for axis in axes.flat[len(kept) :]:
        axis.axis("off")
    for axis, (record, scores, labels) in zip(axes.flat, kept, strict=False):
        bins = np.linspace(scores.min(), np.quantile(scores, 0.99), 14)
        for label, colour in ((0, NORMAL), (1, ANOMALOUS)):
            axis.hist(np.minimum(scores[labels == label], bins[-1]), bins, density=True, alpha=0.6, color=colour)
        axis.plot(scores[labels == 0], np.zeros((labels == 0).sum()), "|", color="black", clip_on=False)
        category, seed = record["experiment"]["category"], record["experiment"]["seed"]
        axis.set_title(f"{category}, seed {seed}: {shares(labels, scores).mean():.1f}", fontsize=8)
        axis.set(yticks=[])
    fig.supxlabel("discrepancy", fontsize=9)
    return _tidy(fig)


def roc_curves(curves: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """ROC curves in one plot; those of one name share a colour. Each is a name, labels and scores, (N,)."""
    fig, axis = plt.subplots(figsize=(5, 3.6))
    colours: dict[str, str] = {}
    for label, labels, scores in curves:
        shown = None if label in colours else label
        colour = colours.setdefault(label, f"C{len(colours)}")
        axis.plot(*roc_curve(labels, scores, drop_intermediate=False)[:2], color=colour, alpha=0.7, label=shown)
    axis.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axis.set(xlabel="false-positive rate", ylabel="true-positive rate", aspect="equal")
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return _tidy(fig)


def over_seeds(values: Mapping[str, Sequence[float]], *, printed: pd.DataFrame) -> Figure:
    """AUROC in % of each seed as a dot, their mean as a bar, a row a key; below each its printed figure with its ±.

    Args:
        printed: columns published and plus_minus, as of `by_method`; a key that it has not gets no printed figure.
    """
    fig, axis = plt.subplots(figsize=(7, 1 + 0.55 * len(values)))
    for place, (key, found) in enumerate(values.items()):
        axis.plot(found, place + np.linspace(-0.15, 0.15, len(found)), "o", color=NORMAL, alpha=0.7)
        if len(found):
            axis.plot(np.mean(found), place, "|", color="black", markersize=22, markeredgewidth=2)
        if key in printed.index:
            row = printed.loc[[key]].fillna(0)
            axis.errorbar(row["published"], [place + 0.3], xerr=row["plus_minus"], fmt="D", color=ANOMALOUS, capsize=3)
    axis.set(yticks=range(len(values)), yticklabels=list(values), xlabel="AUROC, %", ylim=(len(values) - 0.3, -0.5))
    axis.grid(axis="x", alpha=0.4)
    return _tidy(fig)


def shares(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each normal image the part of anomalous ones with a higher score (ties half), %; their mean is the AUROC."""
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    above = (anomalous[None] > normal[:, None]) + 0.5 * (anomalous[None] == normal[:, None])
    return 100 * above.mean(axis=1)


def worst(images: Images, scores: np.ndarray, *, count: int = 6, size: int = 128) -> Figure:
    """Above the normal images with the highest scores, (N,), below the anomalous with the lowest; masks as contours."""
    ranking = np.argsort(scores)
    labels = np.asarray(images.labels)[ranking]
    alarms, missed = ranking[labels == 0][::-1], ranking[labels == 1]
    count = min(count, len(alarms), len(missed))
    chosen = np.concatenate([alarms[:count], missed[:count]])
    titles = [f"{images.names[i]}\n{scores[i]:.3g}" for i in chosen]
    return outlined(images[chosen], titles=titles, columns=count, size=size)


def examples(split: Split, *, count: int = 6, size: int = 128) -> Figure:
    """A row of normal test images, and a row of anomalous ones, of each kind in turn, with their masks' contours."""
    good, bad = (np.flatnonzero(np.asarray(split.test.labels) == label) for label in (0, 1))
    kinds = pd.Series([Path(split.test.names[i]).parent.name for i in bad])
    turn = np.lexsort((kinds, kinds.groupby(kinds).cumcount()))
    count = min(count, len(good), len(bad))
    titles = [*["normal"] * count, *(kinds[turn] if kinds.nunique() > 1 else ["anomalous"] * count)][: 2 * count]
    return outlined(split.test[[*good[:count], *bad[turn][:count]]], titles=titles, columns=count, size=size)


def outlined(images: Images, *, titles: Sequence[str], columns: int, size: int) -> Figure:
    """`show.pictures` at ``size`` pixels, with the contour of each mask that is not empty."""
    fig = pictures([*images.pixels(size)], titles=titles, columns=columns, scale=1.5)
    for axis, mask in zip(fig.axes, images.mask_pixels(size), strict=False):
        if mask.any():
            axis.contour(mask, [0.5], colors="#56B4E9", linewidths=1.2)
    fig.set_figheight(1.15 * fig.get_figheight())  # titles of two lines
    fig.tight_layout(pad=0.3, h_pad=1)
    return fig


def _tidy(fig: Figure) -> Figure:
    sns.despine(fig)
    fig.tight_layout()
    return fig
