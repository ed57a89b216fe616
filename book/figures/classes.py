"""Figures of one-vs-rest data sets: each class is normal in one experiment, all others are anomalous."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from book.figures import ANOMALOUS, NORMAL
from kdlab.experiments import records as stored
from kdlab.experiments.records import Record
from kdlab.presets import recipe_for
from kdlib.data import Split
from kdlib.metrics import auroc
from kdlib.recipe import Recipe

Kept = Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]  # normal class -> scores and labels (N,), a pair a seed
Names = Mapping[str, str]  # class -> what a figure calls it, in the order of the figure


def last_scores(
    records: Iterable[Record], results: Path | None = None
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Normal class -> scores and labels of the last evaluation, (N,) each, a pair a record.

    They are in the ``.npz`` beside a record; a record without one is left out.
    """
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for record in records:
        if pair := stored.last_scores(record, results):
            kept.setdefault(record["experiment"]["normal_class"], []).append(pair)
    return kept


def presentable(dataset: str, *, preset: str = "paper", results: Path | None = None) -> dict[str, list[Record]]:
    """Profile -> the records that may stand in one column: of exactly that profile's recipe, never of smoke.

    The profile that covers most classes comes first, ``paper`` where it is a draw.
    """
    found: dict[str, list[Record]] = {}
    for profile in ("paper", "laptop"):
        wanted = recipe_for(dataset, preset=preset, profile=profile)
        fitting = stored.records(results, dataset=dataset, preset=preset, profile=profile)
        found[profile] = [r for r in fitting if Recipe.from_dict(r["experiment"]["recipe"]) == wanted]
    covered = {p: len({r["experiment"]["normal_class"] for r in kept}) for p, kept in found.items()}
    return dict(sorted(found.items(), key=lambda item: -covered[item[0]]))


def of_one_test_split(records: Sequence[Record]) -> list[Record]:
    """The records whose test images are those of most: image by image, no others can be compared.

    Copies of a data set differ in their order, or by JPEG.
    """
    prints = [record["provenance"]["data"]["test"]["fingerprint"] for record in records]
    most = max(prints, key=prints.count, default="")
    return [record for record, found in zip(records, prints, strict=True) if found == most]


def numbers(names: Iterable[str]) -> dict[str, int]:
    """Class -> its number: the class itself where it is one, else its place."""
    return {name: int(name) if name.isdigit() else place for place, name in enumerate(names)}


def known_classes(labels: Mapping[str, np.ndarray], *, names: Iterable[str] = ()) -> np.ndarray:
    """The number of the class of each test image, (N,): the one in whose experiment it is normal; -1 where none is.

    Args:
        labels: normal class -> labels of the whole test split, (N,).
        names: all classes in their order, where they are not numbers.

    Raises:
        ValueError: the numbers of images differ.
    """
    counts = {len(known) for known in labels.values()}
    if len(counts) > 1:
        raise ValueError(f"known classes: expected labels of one test split; found {sorted(counts)} images")
    classes, number = np.full(max(counts, default=0), -1), numbers(names or labels)
    for normal, known in labels.items():
        classes[known == 0] = number[normal]
    return classes


def against_each(normal: str, scores: np.ndarray, classes: np.ndarray, *, names: Iterable[str] = ()) -> pd.Series:
    """AUROC in % of the normal class against each other class alone; NaN where there is no normal image.

    Args:
        scores, classes: of the test images, (N,); class -1 is left out.
        names: all classes in their order, where they are not numbers.
    """
    number = numbers(names or [normal])
    called, own, found = {n: name for name, n in number.items()}, number[normal], {}
    for other in np.unique(classes[(classes >= 0) & (classes != own)]):
        part = np.isin(classes, [own, other])
        area = auroc(classes[part] != own, scores[part])
        found[called.get(other, str(other))] = np.nan if area is None else 100 * area
    return pd.Series(found, dtype=float)


def pairwise(kept: Kept, classes: np.ndarray, *, names: Names) -> pd.DataFrame:
    """AUROC in %, a row a normal class, a column the only anomalous class: mean over seeds, NaN where not run.

    Args:
        kept: of `last_scores`.
        classes: of `known_classes`.
        names: its keys are the rows and columns.
    """
    rows = {
        normal: pd.DataFrame([against_each(normal, scores, classes, names=names) for scores, _ in pairs]).mean()
        for normal, pairs in kept.items()
    }
    return pd.DataFrame(rows, dtype=float).T.reindex(index=list(names), columns=list(names))


def samples(splits: Mapping[str, Split], *, names: Names, count: int = 8) -> Figure:
    """The first training images of each class, a row a class."""
    fig, axes = plt.subplots(len(names), count, figsize=(0.75 * count, 0.78 * len(names)), squeeze=False)
    for row, (normal, name) in zip(axes, names.items(), strict=True):
        for index, axis in enumerate(row):
            axis.imshow(splits[normal].train.image(index))
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    fig.tight_layout(pad=0.2)
    return fig


def roc_curves(kept: Kept, *, names: Names) -> Figure:
    """A small ROC plot a class, a curve a seed, with the mean AUROC in %; a class without scores says "not run"."""
    rows = -(-len(names) // 5)
    fig, axes = plt.subplots(rows, 5, figsize=(9, 1.95 * rows), sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, (normal, name) in zip(axes.flat, names.items(), strict=False):
        axis.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
        for scores, labels in kept.get(normal, ()):
            axis.plot(*roc_curve(labels, scores)[:2], color=NORMAL)
        found = [auroc(labels, scores) for scores, labels in kept.get(normal, ())]
        areas = [100 * area for area in found if area is not None]
        axis.text(0.95, 0.08, f"{np.mean(areas):.2f}" if areas else "not run", ha="right")
        axis.set_title(name, fontsize=9)
        axis.set_aspect("equal")
    fig.supxlabel("false-positive rate", fontsize=9)
    fig.supylabel("true-positive rate", fontsize=9)
    sns.despine(fig)
    fig.tight_layout()
    return fig


def pairwise_map(matrix: pd.DataFrame, *, names: Names, lowest: float = 50, digits: int = 0) -> Figure:
    """Heat map of a `pairwise` matrix, AUROC in %; NaN is grey, ``lowest`` and less is darkest.

    Args:
        digits: behind the point; 0 where most values are far from 100.
    """
    fig, axis = plt.subplots(figsize=(7, 5.2))
    sns.heatmap(
        matrix, annot=True, fmt=f".{digits}f", cmap="cividis", vmin=lowest, vmax=100, ax=axis, annot_kws={"size": 8}
    )
    axis.set_facecolor("lightgrey")
    axis.set(ylabel="normal class", xlabel="the only anomalous class")
    axis.set_yticklabels([names[normal] for normal in matrix.index], rotation=0)
    fig.tight_layout()
    return fig


def methods(table: pd.DataFrame, *, ours: str) -> Figure:
    """A printed table as dots, a row a method, a dot a class, a bar the mean; the first row on top.

    Args:
        table: of `paper.table`, with a column "mean".
        ours: the method that stands out.
    """
    fig, axis = plt.subplots(figsize=(7, 0.8 + 0.25 * len(table)))
    for place, (method, row) in enumerate(table.iterrows()):
        entries, colour = row.drop("mean"), ANOMALOUS if method == ours else "grey"
        axis.plot(entries, [place] * len(entries), "o", color=colour, alpha=0.6)
        axis.plot(row["mean"], place, "|", color="black", markersize=16, markeredgewidth=2)
    axis.set(xlabel="AUROC, %", yticks=range(len(table)), yticklabels=list(table.index))
    axis.invert_yaxis()
    sns.despine(fig)
    fig.tight_layout()
    return fig


def class_bars(values: pd.Series, *, names: Names) -> Figure:
    """Bars of AUROC in %, a class each, the first on top, with a line at what guessing gets."""
    fig, axis = plt.subplots(figsize=(6, 3.2))
    axis.barh([names[other] for other in values.index][::-1], values[::-1], color=NORMAL)
    axis.axvline(50, color="black", linestyle=":")
    axis.set(xlim=(0, 100), xlabel="AUROC, %; 50 is guessing")
    sns.despine(fig)
    fig.tight_layout()
    return fig
