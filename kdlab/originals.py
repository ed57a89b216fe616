"""The data sets as they were published: their classes and categories, and how many images they have."""

import tomllib
from collections.abc import Mapping
from importlib import resources

from kdlab.textures import CATEGORIES, GRAFTED
from kdlib.data import ABOUT, DATASETS, Split, find
from kdlib.data.classes import DIGITS
from kdlib.errors import unknown

Counts = Mapping[str, tuple[int, int, int]]  # normal class or category -> training, normal test, anomalous test images


with resources.files("kdlab").joinpath("originals.toml").open("rb") as _file:
    ORIGINALS: Mapping[str, Counts] = {
        dataset: {normal: tuple(counts) for normal, counts in found.items()}
        for dataset, found in tomllib.load(_file).items()
    }


def copy_note(split: Split) -> str:
    """How this copy of a data set differs from the original: what its loader noted, and good test images of MVTec AD.

    Those decide the AUROC of a category, which has few of them.
    """
    official = ORIGINALS["mvtec_ad"].get(split.normal) if split.dataset == "mvtec_ad" else None
    good = 0 if split.test.labels is None else int((split.test.labels == 0).sum())
    few = official[1] - good if official else 0
    notes = [f"{few} good test images of the original are missing"] if few > 0 else []
    return "; ".join([*notes, split.copy_note] if split.copy_note else notes)


def normals(dataset: str) -> tuple[str, ...]:
    """All classes or categories of a data set, of MVTec AD those that are here; ValueError where they are unknown."""
    if dataset not in DATASETS:
        raise ValueError(unknown("data set: no", dataset, DATASETS))
    listed = {"digits": DIGITS, "textures": CATEGORIES, "grafts": GRAFTED}
    listed |= {name: about.normals for name, about in ABOUT.items()}
    if dataset not in listed:
        raise ValueError(f"{dataset}: its classes or categories are listed nowhere; name those that are meant")
    folder = find(dataset) if dataset == "mvtec_ad" else None
    return tuple(normal for normal in listed[dataset] if folder is None or (folder / normal).is_dir())
