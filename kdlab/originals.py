"""The data sets as they were published: their classes and categories, and how many images they have."""

from collections.abc import Mapping

from kdlib.data import ABOUT, DATASETS, Split, find
from kdlib.data.classes import DIGITS
from kdlib.data.textures import CATEGORIES, GRAFTED
from kdlib.errors import unknown

Counts = Mapping[str, tuple[int, int, int]]  # normal class or category -> training, normal test, anomalous test images


def _each(train: tuple[int, ...], test: tuple[int, ...]) -> Counts:
    return {str(c): (train[c], test[c], sum(test) - test[c]) for c in range(len(train))}


ORIGINALS: Mapping[str, Counts] = {
    "mnist": _each(
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
    "fashion_mnist": _each((6000,) * 10, (1000,) * 10),
    "cifar10": dict.fromkeys(ABOUT["cifar10"].normals, (5000, 1000, 9000)),
    "mvtec_ad": {
        "bottle": (209, 20, 63),
        "cable": (224, 58, 92),
        "capsule": (219, 23, 109),
        "carpet": (280, 28, 89),
        "grid": (264, 21, 57),
        "hazelnut": (391, 40, 70),
        "leather": (245, 32, 92),
        "metal_nut": (220, 22, 93),
        "pill": (267, 26, 141),
        "screw": (320, 41, 119),
        "tile": (230, 33, 84),
        "toothbrush": (60, 12, 30),
        "transistor": (213, 60, 40),
        "wood": (247, 19, 60),
        "zipper": (240, 32, 119),
    },
    "retinal_oct": {"RESC": (26315, 250, 750)},
    "head_ct": {"head_ct": (90, 10, 100)},
    "brain_mri": {"brain_mri": (88, 10, 155)},
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
