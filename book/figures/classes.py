"""Figures of one-vs-rest data sets: each class is normal in one experiment, all others are anomalous."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, NORMAL
from kdlab.experiments import records as stored
from kdlab.experiments.records import Record
from kdlib.data import Split
from kdlib.metrics import auroc

Kept = Mapping[
    str, Sequence[tuple[np.ndarray, np.ndarray]]
]  # normal class -> scores and labels (N,), one pair per seed
Names = Mapping[str, str]  # class -> what a figure calls it, in the order of the figure


def last_scores(
    records: Iterable[Record], results: Path | None = None
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Normal class -> scores and labels of the last evaluation, (N,) each, one pair per record that has them."""
    kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for record in records:
        if pair := stored.last_scores(record, results):
            kept.setdefault(record["experiment"]["normal_class"], []).append(pair)
    return kept


def of_one_test_split(records: Sequence[Record]) -> list[Record]:
    """The records whose test images are those of most: image by image, no others can be compared.

    Copies of a data set differ in their order, or by JPEG.
    """
    prints = [record["provenance"]["data"]["test"]["fingerprint"] for record in records]
    most = max(prints, key=prints.count, default="")
    return [record for record, found in zip(records, prints, strict=True) if found == most]


def known_classes(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """The class of each test image, (N,): the one in whose experiment it is normal; "" where there is none.

    Args:
        labels: normal class -> labels of the whole test split, (N,).

    Raises:
        ValueError: the numbers of images differ.
    """
    counts = {len(known) for known in labels.values()}
    if len(counts) > 1:
        raise ValueError(f"known classes: expected labels of one test split; found {sorted(counts)} images")
    classes = np.full(max(counts, default=0), "", dtype=object)
    for normal, known in labels.items():
        classes[known == 0] = normal
    return classes


def against_each(normal: str, scores: np.ndarray, classes: np.ndarray) -> pd.Series:
    """AUROC in % of the normal class against each other class alone; NaN where there is no normal image.

    Args:
        scores, classes: of the test images, (N,); class "" is left out.
    """
    found = {}
    for other in sorted({*classes} - {"", normal}):
        part = np.isin(classes, [normal, other])
        area = auroc(classes[part] != normal, scores[part])
        found[other] = np.nan if area is None else 100 * area
    return pd.Series(found, dtype=float)


def pairwise(kept: Kept, classes: np.ndarray, *, names: Names) -> pd.DataFrame:
    """AUROC in %, one row per normal class, one column per only anomalous class: mean over seeds, NaN where not run."""
    rows = {
        normal: pd.DataFrame([against_each(normal, scores, classes) for scores, _ in pairs]).mean()
        for normal, pairs in kept.items()
    }
    return pd.DataFrame(rows, dtype=float).T.reindex(index=list(names), columns=list(names))


def samples(splits: Mapping[str, Split], *, names: Names, count: int = 8) -> Figure:
    """The first training images of each class, one row per class."""
    fig, axes = plt.subplots(len(names), count, figsize=(0.75 * count, 0.78 * len(names)), squeeze=False)
    for row, (normal, name) in zip(axes, names.items(), strict=True):
        for index, axis in enumerate(row):
            axis.imshow(splits[normal].train.image(index))
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    fig.tight_layout(pad=0.2)
    return fig


def pairwise_map(matrix: pd.DataFrame, *, names: Names) -> Figure:
    """Heat map of a `pairwise` matrix, AUROC in %; NaN is grey, the lowest tenth of the pairs is darkest."""
    lowest = max(50, np.nanquantile(matrix, 0.1)) if matrix.notna().any(axis=None) else 50
    fig, axis = plt.subplots(figsize=(7, 5.2), layout="tight")
    digits = ".1f" if lowest > 90 else ".0f"
    sns.heatmap(matrix, annot=True, fmt=digits, cmap="cividis", vmin=lowest, vmax=100, ax=axis, annot_kws={"size": 8})
    axis.set_facecolor("lightgrey")
    axis.set(ylabel="normal class", xlabel="the only anomalous class")
    axis.set_yticklabels([names[normal] for normal in matrix.index], rotation=0)
    return fig


def methods(table: pd.DataFrame, *, ours: str) -> Figure:
    """What each printed method lacks to 100, one row per method, one dot per class, a bar for the mean.

    A scale of ratios: near the ceiling one point may be half of all that is left.

    Args:
        table: of `paper.table`, with a column "mean".
        ours: the method that stands out.
    """
    fig, axis = plt.subplots(figsize=(7, 0.8 + 0.28 * len(table)), layout="tight")
    for place, (method, row) in enumerate((100 - table).iterrows()):
        entries, colour = row.drop("mean").clip(lower=0.01), ANOMALOUS if method == ours else "grey"
        axis.plot(entries, [place] * len(entries), "o", color=colour, alpha=0.6)
        axis.plot(row["mean"], place, "|", color="black", markersize=16, markeredgewidth=2)
    axis.set(xscale="log", xlabel="100 − AUROC, points; further left is better")
    axis.set(yticks=range(len(table)), yticklabels=list(table.index))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.invert_yaxis()
    return fig


def class_bars(values: pd.Series, *, names: Names) -> Figure:
    """Bars of AUROC in %, one per class, the first on top, with a line at what guessing gets."""
    fig, axis = plt.subplots(figsize=(6, 3.2), layout="tight")
    axis.barh([names[other] for other in values.index][::-1], values[::-1], color=NORMAL)
    axis.axvline(50, color="black", linestyle=":")
    axis.set(xlim=(0, 100), xlabel="AUROC, %; 50 is guessing")
    return fig
