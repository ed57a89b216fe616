"""Data sets that are folders of files: MVTec AD's layout, for MVTec AD itself and for data of one's own.

``<category>/train/good/*``, ``<category>/test/good/*``, ``<category>/test/<defect>/*`` and, where masks exist,
``<category>/ground_truth/<defect>/<name>_mask.png``.
"""

import re
from pathlib import Path

import numpy as np

from kdlib.data.about import ABOUT, find, missing
from kdlib.data.images import Images, Split
from kdlib.data.reading import SUFFIXES, image_size, is_litter, list_images, orientation, warn_of_left_out
from kdlib.errors import unknown

LAYOUT = ABOUT["mvtec_ad"].layout
GOOD = ("good", "ok", "okay", "normal", "pass", "passed", "gut", "io")  # what a folder of good images is called
HALF_GOOD = re.compile(r"good|ok|normal|pass|fine|clean|intact|undamaged|free|no|none|without", re.IGNORECASE)


def is_good(kind: str) -> bool:
    """Whether the folder ``test/<kind>`` holds good images; case does not matter.

    Raises:
        ValueError: a name that may mean either, such as ``good_day2`` or ``no_crack``.
    """
    if kind.lower() in GOOD:
        return True
    if any(HALF_GOOD.fullmatch(word) for word in re.split(r"[^a-zA-Z]+", kind)):
        raise ValueError(
            f"test/{kind}: good images or a kind of defect? Rename it: good images lie in a folder called one of "
            f"{', '.join(GOOD)}; any other name is a kind of defect"
        )
    return False


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
    kinds = sorted(p.name for p in (folder / "train").iterdir() if p.is_dir() and not is_litter(p.name))
    good = [kind for kind in kinds if kind.lower() in GOOD]
    train = list_images(folder / "train" / (good[0] if len(good) == 1 else "good"))
    warn_of_left_out(str(folder / "train"), {kind: "not trained on" for kind in kinds if kind != train[0].parent.name})
    test: list[Path] = []
    if not (folder / "test").is_dir():
        raise FileNotFoundError(f"{dataset}: no folder {folder / 'test'}. Layout: {LAYOUT}")
    labels: list[int] = []
    for kind in sorted(p for p in (folder / "test").iterdir() if p.is_dir() and not is_litter(p.name)):
        label = int(not is_good(kind.name))
        found = list_images(kind)
        test.extend(found)
        labels.extend([label] * len(found))
    if not test:
        raise FileNotFoundError(f"{dataset}: no test images below {folder / 'test'}. Layout: {LAYOUT}")
    truth = folder / "ground_truth"
    pairs = zip(test, labels, strict=True)
    masks = tuple(_mask(truth, path) if label else None for path, label in pairs) if truth.is_dir() else None
    _check_sizes(dataset, (*train, *test), tuple(zip(test, masks, strict=True)) if masks else ())
    official = ABOUT["mvtec_ad"].counts.get(category) if dataset == "mvtec_ad" else None
    few = official[1] - labels.count(0) if official else 0
    width, height = image_size(train[0])
    notes = [f"{few} good test images of the original are missing"] if few > 0 else []
    if dataset == "mvtec_ad" and width < 700:
        notes.append(f"resized copy, {width}x{height}")
    return Split(
        dataset=dataset,
        normal=category,
        train=Images(train, _names(train), np.zeros(len(train), dtype=int)),
        test=Images(tuple(test), _names(test), np.array(labels), masks),
        has_masks=masks is not None,
        copy_note="; ".join(notes),
    )


def _names(paths: tuple[Path, ...] | list[Path]) -> tuple[str, ...]:
    return tuple(f"{path.parent.name}/{path.name}" for path in paths)


def _mask(truth: Path, image: Path) -> Path:
    folder = truth / image.parent.name
    mask = folder / f"{image.stem}_mask.png"
    names = (f"{image.stem}{ending}{suffix}" for ending in ("_mask", "") for suffix in SUFFIXES)
    mask = next((folder / name for name in (mask.name, *names) if (folder / name).is_file()), mask)
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
        if mask is None or (found := image_size(mask)) == sizes[image]:
            continue
        if found[::-1] != sizes[image] or orientation(image) < 5:  # else it was drawn before the image was turned
            width, height = found
            raise ValueError(
                f"{dataset}: {mask} is {width}x{height}, its image {image.name} is {expected[0]}x{expected[1]}; "
                "masks must have the size of their images"
            )
