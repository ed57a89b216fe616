"""Data sets that are folders of files: MVTec AD's layout, for MVTec AD itself and for data of one's own.

``<category>/train/good/*``, ``<category>/test/good/*``, ``<category>/test/<defect>/*`` and, where masks exist,
``<category>/ground_truth/<defect>/<name>_mask.png``.
"""

from pathlib import Path

import numpy as np

from kdlib.data.about import ABOUT, find, missing
from kdlib.data.images import Images, Split
from kdlib.data.reading import image_size, list_images
from kdlib.errors import unknown

LAYOUT = ABOUT["mvtec_ad"].layout


def mvtec_ad(category: str, *, root: Path | None = None) -> Split:
    """One category of MVTec AD (CC BY-NC-SA 4.0: no commercial use), or of any folder with its layout."""
    folder = root or find("mvtec_ad")
    if folder is None:
        raise missing("mvtec_ad")
    return mvtec_layout(folder, category, dataset="mvtec_ad")


def mvtec_layout(root: Path, category: str, *, dataset: str) -> Split:
    """Read ``root/category``; every file is listed and every size checked, no pixel is decoded yet.

    Raises:
        FileNotFoundError: no such folder or category, or a part of it is empty.
        ValueError: images of mixed sizes, masks that do not match their images.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{dataset}: no folder {root}; expected there: {LAYOUT}")
    folder = root / category
    if not (folder / "train").is_dir():
        found = sorted(p.name for p in root.iterdir() if (p / "train").is_dir())
        raise FileNotFoundError(
            f"{unknown(f'{dataset}: no category', category, found)}, below {root}. Layout: {LAYOUT}"
        )
    train = list_images(folder / "train" / "good")
    test: list[Path] = []
    if not (folder / "test").is_dir():
        raise FileNotFoundError(f"{dataset}: no folder {folder / 'test'}. Layout: {LAYOUT}")
    for kind in sorted(p for p in (folder / "test").iterdir() if p.is_dir()):
        test.extend(list_images(kind))
    if not test:
        raise FileNotFoundError(f"{dataset}: no test images below {folder / 'test'}. Layout: {LAYOUT}")
    labels = np.array([int(path.parent.name != "good") for path in test])
    truth = folder / "ground_truth"
    masks = tuple(_mask(truth, path) for path in test) if truth.is_dir() else None
    _check_sizes(dataset, (*train, *test), tuple(zip(test, masks, strict=True)) if masks else ())
    official = ABOUT["mvtec_ad"].counts.get(category) if dataset == "mvtec_ad" else None
    few = official[1] - int((labels == 0).sum()) if official else 0
    width, height = image_size(train[0])
    notes = [f"{few} good test images of the original are missing"] if few > 0 else []
    if dataset == "mvtec_ad" and width < 700:
        notes.append(f"resized copy, {width}x{height}")
    return Split(
        dataset=dataset,
        normal=category,
        train=Images(train, _names(train), np.zeros(len(train), dtype=int)),
        test=Images(tuple(test), _names(test), labels, masks),
        has_masks=masks is not None,
        copy_note="; ".join(notes),
    )


def _names(paths: tuple[Path, ...] | list[Path]) -> tuple[str, ...]:
    return tuple(f"{path.parent.name}/{path.name}" for path in paths)


def _mask(truth: Path, image: Path) -> Path | None:
    if image.parent.name == "good":
        return None
    mask = truth / image.parent.name / f"{image.stem}_mask.png"
    if not mask.is_file():
        raise FileNotFoundError(f"{image}: no mask {mask}; add it, or remove ground_truth to go without masks")
    return mask


def _check_sizes(dataset: str, images: tuple[Path, ...], masks: tuple[tuple[Path, Path | None], ...]) -> None:
    sizes = {path: image_size(path) for path in images}
    expected = sizes[images[0]]
    other = next((path for path in images if sizes[path] != expected), None)
    if other is not None:
        raise ValueError(
            f"{dataset}: images of mixed sizes: {images[0]} is {expected[0]}x{expected[1]}, "
            f"{other} is {sizes[other][0]}x{sizes[other][1]}; crop or resize them to one size first"
        )
    for image, mask in masks:
        if mask is not None and image_size(mask) != sizes[image]:
            width, height = image_size(mask)
            raise ValueError(
                f"{dataset}: {mask} is {width}x{height}, its image {image.name} is {expected[0]}x{expected[1]}; "
                "masks must have the size of their images"
            )
