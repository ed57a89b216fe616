"""Data sets: `load` one by the name it has in the paper's tables."""

from collections.abc import Callable
from pathlib import Path

from kdlib.data.about import ABOUT, About, find
from kdlib.data.classes import cifar10, digits, fashion_mnist, mnist
from kdlib.data.folder import brain_mri, head_ct, mvtec_ad, mvtec_layout, retinal_oct
from kdlib.data.images import Images, Split, as_images
from kdlib.errors import unknown

__all__ = ["ABOUT", "DATASETS", "About", "Images", "Split", "as_images", "find", "load", "mvtec_layout"]

# The one-vs-rest sets name their `normal` a class, the others a category. kdlab adds its own.
DATASETS: dict[str, Callable[..., Split]] = {
    each.__name__: each for each in (mnist, fashion_mnist, cifar10, mvtec_ad, retinal_oct, head_ct, brain_mri, digits)
}
ONE_VS_REST = ("mnist", "fashion_mnist", "cifar10", "digits")
SPLIT_BY_SEED = ("head_ct", "brain_mri")


def load(dataset: str, normal: str, *, root: Path | None = None, seed: int = 0) -> Split:
    """The training and test images of one experiment.

    ``dataset`` is a key of `DATASETS`, ``normal`` the normal class or the category, ``root`` where the data lies, by
    default ``$KDLIB_DATA/<dataset>``, ``seed`` that of the split, where it is drawn at random (`SPLIT_BY_SEED`).
    Raises ValueError, FileNotFoundError: no such data set, class or category, or its files are missing or damaged.
    """
    if dataset not in DATASETS:
        raise ValueError(unknown("data set: no", dataset, DATASETS))
    settings: dict[str, object] = {} if root is None else {"root": Path(root)}
    if dataset in SPLIT_BY_SEED:
        settings["seed"] = seed
    return DATASETS[dataset](normal, **settings)
