"""What pages of data sets show: terms, images, scores, and in one-vs-rest sets one class against one other."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, NORMAL, outline, pictures, strips
from kdlab.experiments.records import Record, last_scores
from kdlib.data import ABOUT, Images, Split, find
from kdlib.metrics import auroc

COUNT, SIDE = 6, 128  # pictures in a row, their pixels
Scored = tuple[Record, np.ndarray, np.ndarray]  # a record with scores and labels of its last evaluation, (N,) each


def about(dataset: str) -> Markdown:
    """Whose the data is, and under which licence."""
    data = ABOUT[dataset]
    terms = f"**{data.terms}**" if data.commercial is False else data.terms
    return Markdown(f"- **Publisher**: [{data.title}]({data.publisher})\n- **Licence**: {terms}")


def absent(dataset: str) -> Markdown | None:
    """What a page says at its top where the images of its data set are not here; nothing where they are."""
    if dataset not in ABOUT or find(dataset):
        return None
    data = ABOUT[dataset]
    return Markdown(
        f"> **Left out of this page**: the images of {data.title}, and the experiment that would run on them now. "
        f"To see them, put the data into `{dataset}` below the folder that `KDLIB_DATA` names, as "
        f"`{data.layout}`, and build the page again. Printed numbers and records are complete."
    )


def scored(found: Iterable[Record]) -> list[Scored]:
    """Records with what is in the ``.npz`` beside them; a record without one is left out."""
    pairs = ((record, last_scores(record)) for record in found)
    return [(record, *pair) for record, pair in pairs if pair]


def over_seeds(values: Mapping[str, Sequence[float]], *, printed: pd.DataFrame) -> Figure:
    """AUROC in % of each seed as a dot, their mean as a bar, one row per key; below each its printed number with its ±.

    Args:
        printed: columns printed and plus_minus; a key that it has not gets no printed number.
    """
    fig, axis = strips(list(values), "AUROC, %", inches=0.55)
    for place, (key, found) in enumerate(values.items()):
        axis.plot(found, place + np.linspace(-0.15, 0.15, len(found)), "o", color=NORMAL, alpha=0.7)
        if len(found):
            axis.plot(np.mean(found), place, "|", color="black", markersize=22, markeredgewidth=2)
        if key in printed.index:
            row = printed.loc[[key]].fillna(0)
            axis.errorbar(row["printed"], [place + 0.3], xerr=row["plus_minus"], fmt="D", color=ANOMALOUS, capsize=3)
    return fig


def shares(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each normal image the anomalous ones with a higher score (ties half), in %; their mean is the AUROC."""
    normal, anomalous = scores[labels == 0], scores[labels == 1]
    above = (anomalous[None] > normal[:, None]) + 0.5 * (anomalous[None] == normal[:, None])
    return 100 * above.mean(axis=1)


def worst(images: Images, scores: np.ndarray) -> Figure:
    """Above the normal images with the highest scores, (N,), below the anomalous with the lowest; masks as contours."""
    ranking = np.argsort(scores)
    labels = np.asarray(images.labels)[ranking]
    alarms, missed = ranking[labels == 0][::-1], ranking[labels == 1]
    count = min(COUNT, len(alarms), len(missed))
    chosen = np.concatenate([alarms[:count], missed[:count]])
    titles = [f"{images.names[i]}\n{scores[i]:.3g}" for i in chosen]
    return outlined(images[chosen], titles=titles, columns=count)


def examples(split: Split) -> Figure:
    """A row of normal test images, and a row of anomalous ones, of each kind in turn, with their masks' contours."""
    good, bad = (np.flatnonzero(np.asarray(split.test.labels) == label) for label in (0, 1))
    kinds = pd.Series([Path(split.test.names[i]).parent.name for i in bad])
    turn = np.lexsort((kinds, kinds.groupby(kinds).cumcount()))
    count = min(COUNT, len(good), len(bad))
    titles = [*["normal"] * count, *(kinds[turn] if kinds.nunique() > 1 else ["anomalous"] * count)][: 2 * count]
    return outlined(split.test[[*good[:count], *bad[turn][:count]]], titles=titles, columns=count)


def outlined(images: Images, *, titles: Sequence[str], columns: int) -> Figure:
    """`figures.pictures`, with the contour of each mask that is not empty."""
    fig = pictures([*images.pixels(SIDE)], titles=titles, columns=columns, scale=1.5)
    for axis, mask in zip(fig.axes, images.mask_pixels(SIDE), strict=False):
        outline(axis, mask)
    fig.set_figheight(1.15 * fig.get_figheight())  # titles of two lines
    fig.tight_layout(pad=0.3, h_pad=1)
    return fig


def known_classes(labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """The class of each image of a test split, (N,): the one in whose labels, (N,), it is normal; "" where in none."""
    classes = np.full(len(next(iter(labels.values()), ())), "", dtype=object)
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


def pairwise(kept: Sequence[Scored], classes: np.ndarray, *, names: Iterable[str]) -> pd.DataFrame:
    """AUROC in %, one row per normal class, one column per only anomalous class: mean over seeds, NaN where not run."""
    rows = [against_each(r["experiment"]["normal_class"], scores, classes) for r, scores, _ in kept]
    frame = pd.DataFrame(rows, [r["experiment"]["normal_class"] for r, *_ in kept], dtype=float)
    return frame.groupby(level=0).mean().reindex(index=list(names), columns=list(names))
