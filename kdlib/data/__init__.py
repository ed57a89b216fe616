"""Data sets: `load` one by the name it has in the paper's tables."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kdlib.data.about import ABOUT, About, find
from kdlib.data.classes import DIGITS, cifar10, digits, fashion_mnist, mnist
from kdlib.data.folder import brain_mri, head_ct, mvtec_ad, mvtec_layout, retinal_oct
from kdlib.data.images import Images, Split, as_images
from kdlib.data.textures import CATEGORIES, textures
from kdlib.errors import unknown

__all__ = ["ABOUT", "DATASETS", "About", "Images", "Split", "as_images", "find", "load", "mvtec_layout", "normals"]

# The one-vs-rest sets name their `normal` a class, the others a category.
DATASETS: Mapping[str, Callable[..., Split]] = {
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "mvtec_ad": mvtec_ad,
    "retinal_oct": retinal_oct,
    "head_ct": head_ct,
    "brain_mri": brain_mri,
    "digits": digits,
    "textures": textures,
}
ONE_VS_REST = ("mnist", "fashion_mnist", "cifar10", "digits")
SPLIT_BY_SEED = ("head_ct", "brain_mri")


def load(dataset: str, normal: str, *, root: Path | None = None, seed: int = 0) -> Split:
    """The training and test images of one experiment.

    Args:
        dataset: a key of `DATASETS`.
        normal: the normal class, or the category.
        root: where the data lies; by default ``$KDLIB_DATA/<dataset>``.
        seed: of the split, where it is drawn at random (`SPLIT_BY_SEED`).

    Raises:
        ValueError, FileNotFoundError: no such data set, class or category, or its files are missing or damaged.
    """
    if dataset not in DATASETS:
        raise ValueError(unknown("data set: no", dataset, DATASETS))
    settings: dict[str, object] = {} if root is None else {"root": Path(root)}
    if dataset in SPLIT_BY_SEED:
        settings["seed"] = seed
    return DATASETS[dataset](normal, **settings)


def normals(dataset: str) -> tuple[str, ...]:
    """All classes or categories of a data set; of MVTec AD those that are here.

    Raises:
        ValueError: no such data set, or one that nobody has listed them of.
    """
    if dataset not in DATASETS:
        raise ValueError(unknown("data set: no", dataset, DATASETS))
    listed = {"digits": DIGITS, "textures": CATEGORIES} | {name: about.normals for name, about in ABOUT.items()}
    if dataset not in listed:
        raise ValueError(f"{dataset}: its classes or categories are listed nowhere; name those that are meant")
    folder = find(dataset) if dataset == "mvtec_ad" else None
    return tuple(normal for normal in listed[dataset] if folder is None or (folder / normal).is_dir())
