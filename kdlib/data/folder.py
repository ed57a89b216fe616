"""Data sets that are folders of image files: MVTec AD's layout, of one's own data too, and the medical sets.

MVTec AD's is ``<category>/train/good/*``, ``<category>/test/good/*``, ``<category>/test/<defect>/*`` and, where masks
exist, ``<category>/ground_truth/<defect>/<name>_mask.png``. Of the medical sets (Tables 5 and 6) normal images train;
the others, and some held-out normal ones, test.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdlib.data.about import ABOUT, find, missing
from kdlib.data.images import Images, Split
from kdlib.data.reading import SUFFIXES, common_size, header, is_litter, list_images, warn_of_left_out
from kdlib.errors import unknown

LAYOUT = ABOUT["mvtec_ad"].layout
GOOD = ("good", "ok", "okay", "normal", "pass", "passed", "gut", "io")  # what a folder of good images is called
HALF_GOOD = re.compile(r"good|ok|normal|pass|fine|clean|intact|undamaged|free|no|none|without", re.IGNORECASE)
HELD_OUT = 10  # normal images for testing, chosen at random (Sec. 4.1)
Paths = Sequence[Path]
Masks = Sequence[Path | None] | None
OCT_CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")


def mvtec_ad(category: str, *, root: Path | None = None) -> Split:
    """One category of MVTec AD (CC BY-NC-SA 4.0: no commercial use), or of any folder with its layout."""
    folder = root or find("mvtec_ad")
    if folder is None:
        raise missing("mvtec_ad")
    return mvtec_layout(folder, category, dataset="mvtec_ad")


def is_good(kind: str) -> bool:
    """Whether the folder ``test/<kind>`` holds good images; ValueError: either, as ``good_day2`` or ``no_crack``."""
    if kind.lower() in GOOD:
        return True
    if any(HALF_GOOD.fullmatch(word) for word in re.split(r"[^a-zA-Z]+", kind)):
        advice = f"good images lie in a folder called one of {', '.join(GOOD)}; any other name is a kind of defect"
        raise ValueError(f"test/{kind}: good images or a kind of defect? Rename it: {advice}")
    return False


def mvtec_layout(root: Path, category: str, *, dataset: str) -> Split:
    """Read ``root/category``; every file is listed and every size checked, no pixel is decoded yet.

    Raises FileNotFoundError: no such folder or category, or one is empty; ValueError: mixed sizes, of masks too.
    """
    folder = root / category
    if not (folder / "train").is_dir():
        found = sorted(p.name for p in root.glob("*") if (p / "train").is_dir())
        what = unknown(f"{dataset}: no category", category, found)
        raise FileNotFoundError(f"{what}, below {root}. Layout: {LAYOUT}")
    kinds = sorted(p.name for p in (folder / "train").iterdir() if p.is_dir() and not is_litter(p.name))
    good = [kind for kind in kinds if kind.lower() in GOOD]
    train = list_images(folder / "train" / (good[0] if len(good) == 1 else "good"))
    warn_of_left_out(str(folder / "train"), {kind: "not trained on" for kind in kinds if kind != train[0].parent.name})
    tested = sorted(p for p in folder.glob("test/*") if p.is_dir() and not is_litter(p.name))
    if not tested:
        raise FileNotFoundError(f"{dataset}: no folders of test images in {folder / 'test'}. Layout: {LAYOUT}")
    kind_is_bad = {kind.name: not is_good(kind.name) for kind in tested}
    test = [path for kind in tested for path in list_images(kind)]
    bad = [kind_is_bad[path.parent.name] for path in test]
    truth, masks = folder / "ground_truth", None
    if truth.is_dir():
        masks = [_mask(truth / p.parent.name, p) if is_bad else None for p, is_bad in zip(test, bad, strict=True)]
    width, height = _check_sizes(dataset, train, test, masks)
    note = f"resized copy, {width}x{height}" if dataset == "mvtec_ad" and width < 700 else ""
    return _split(dataset, category, train, test, bad, masks, note)


def _mask(folder: Path, image: Path) -> Path:
    names = [f"{image.stem}{ending}{suffix}" for ending in ("_mask", "") for suffix in SUFFIXES]
    mask = next((folder / name for name in names if (folder / name).is_file()), None)
    if mask is None:
        raise FileNotFoundError(f"{image}: no mask {folder / names[0]}; add it, or remove all masks to go without")
    return mask


def _check_sizes(dataset: str, train: Paths, test: Paths, masks: Masks) -> tuple[int, int]:
    """The size of all images."""
    expected = common_size((*train, *test), dataset)
    for image, mask in zip(test, masks or [None] * len(test), strict=True):
        if mask is None or (found := header(mask).size) == expected:
            continue
        if found[::-1] != expected or header(image).turn < 5:  # else it was drawn before the image was turned
            what = f"{mask} is {found[0]}x{found[1]}, its image {image.name} is {expected[0]}x{expected[1]}"
            raise ValueError(f"{dataset}: {what}; masks must have the size of their images")
    return expected


def retinal_oct(normal: str = "RESC", *, root: Path | None = None) -> Split:
    """OCT2017 (CC BY 4.0) or RESC, whichever layout is found; the paper's table calls its entry RESC, its text OCT2017.

    ``train/NORMAL`` trains, as the text says; the reference code trains on every folder. RESC has ``train/good``,
    ``test/good``, ``test/Ungood``, whose images lie in ``img`` where masks lie beside them in ``label``.
    """
    folder = _folder("retinal_oct", normal, "RESC", root)
    if (folder / "train" / "good").is_dir():
        return _resc(folder)
    train = list_images(folder / "train" / "NORMAL")
    test = [path for name in OCT_CLASSES for path in list_images(folder / "test" / name)]
    return _split("retinal_oct", normal, train, test, [path.parent.name != "NORMAL" for path in test])


def _resc(folder: Path) -> Split:
    parts = (folder / name for name in ("train/good", "test/good", "test/Ungood"))
    train, good, bad = (list_images(part / "img" if (part / "img").is_dir() else part) for part in parts)
    truth = folder / "test" / "Ungood" / "label"
    masks = [*[None] * len(good), *(_mask(truth, path) for path in bad)] if truth.is_dir() else None
    labels = [False] * len(good) + [True] * len(bad)
    return _split("retinal_oct", "RESC", train, [*good, *bad], labels, masks, "RESC, not OCT2017")


def head_ct(normal: str = "head_ct", *, root: Path | None = None, seed: int = 0) -> Split:
    """HeadCT (Kaggle, licence unclear): images ``head_ct/<id>.png``, and ``labels.csv`` with id and hemorrhage."""
    folder = _folder("head_ct", normal, "head_ct", root)
    table = folder / "labels.csv"
    if not table.is_file():
        raise FileNotFoundError(f"head_ct: no file {table}; expected a line id,hemorrhage and a line for each image")
    try:
        labels = dict(np.loadtxt(table, dtype=int, delimiter=",", skiprows=1, ndmin=2).tolist())
    except ValueError as error:
        raise ValueError(f"{table}: expected lines id,hemorrhage, such as 7,0; {error}") from error
    files = {int(path.stem): path for path in list_images(folder / "head_ct")}
    if different := sorted(files.keys() ^ labels.keys()):
        raise ValueError(f"head_ct: {table} and the images differ in {len(different)} ids, first in {different[0]}")
    good, bad = ([files[i] for i in sorted(files) if labels[i] == label] for label in (0, 1))
    return _hold_out("head_ct", normal, good, bad, seed)


def brain_mri(normal: str = "brain_mri", *, root: Path | None = None, seed: int = 0) -> Split:
    """BrainMRI (Kaggle, licence unclear): ``no/*`` is normal, ``yes/*`` has a tumour."""
    folder = _folder("brain_mri", normal, "brain_mri", root)
    return _hold_out("brain_mri", normal, list_images(folder / "no"), list_images(folder / "yes"), seed)


def _folder(dataset: str, normal: str, expected: str, root: Path | None) -> Path:
    if normal != expected:
        raise ValueError(unknown(f"{dataset}: no category", normal, [expected]))
    folder = root or find(dataset)
    if folder is None or not folder.is_dir():
        raise missing(dataset, folder)
    return folder


def _hold_out(dataset: str, normal: str, good: Paths, bad: Paths, seed: int) -> Split:
    """`HELD_OUT` random normal images and all anomalous ones test, the other normal ones train."""
    if len(good) <= HELD_OUT + 1:
        raise ValueError(f"{dataset}: {len(good)} normal images; more than {HELD_OUT + 1} are needed")
    order = np.random.default_rng(seed).permutation(len(good))
    held, kept = ([good[i] for i in sorted(part)] for part in (order[:HELD_OUT], order[HELD_OUT:]))
    return _split(dataset, normal, kept, [*held, *bad], [False] * len(held) + [True] * len(bad))


def _split(
    dataset: str, normal: str, train: Paths, test: Paths, bad: Sequence[bool], masks: Masks = None, note: str = ""
) -> Split:
    def images(paths: Paths, labels: Sequence[bool], masks: Masks) -> Images:
        names = tuple(f"{path.parent.name}/{path.name}" for path in paths)
        return Images(tuple(paths), names, np.array(labels, dtype=int), None if masks is None else tuple(masks))

    train_images = images(train, [False] * len(train), None)
    return Split(dataset, normal, train_images, images(test, bad, masks), masks is not None, note)
