"""Figures of one-vs-rest data sets: each class is normal in one experiment, all others are anomalous."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kdlab.experiments import records as stored
from kdlab.experiments.records import Record
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
