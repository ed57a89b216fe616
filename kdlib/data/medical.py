"""Medical data sets (Tables 5 and 6): normal images train; the others, and some held-out normal ones, test."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kdlib.data.about import find, missing
from kdlib.data.images import Images, Split
from kdlib.data.reading import list_images
from kdlib.errors import unknown

HELD_OUT = 10  # normal images for testing, chosen at random (Sec. 4.1)
OCT_CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")


def retinal_oct(normal: str = "RESC", *, root: Path | None = None) -> Split:
    """OCT2017 (CC BY 4.0) or RESC, whichever layout is found; the paper's table calls its entry RESC, its text OCT2017.

    ``train/NORMAL`` trains, ``test/<class>`` tests: the reference code trains on every folder it finds; the text says
    normal images only, and so do we. RESC has ``train/good``, ``test/good``, ``test/Ungood``, whose images lie in
    ``img`` where masks lie beside them in ``label``.
    """
    folder = _folder("retinal_oct", normal, "RESC", root)
    if (folder / "train" / "good").is_dir():
        return _resc(folder)
    train = list_images(folder / "train" / "NORMAL")
    test = [path for name in OCT_CLASSES for path in list_images(folder / "test" / name)]
    return _split("retinal_oct", normal, train, test, [int(path.parent.name != "NORMAL") for path in test])


def _resc(folder: Path) -> Split:
    parts = [folder / name for name in ("train/good", "test/good", "test/Ungood")]
    train, good, bad = (list_images(part / "img" if (part / "img").is_dir() else part) for part in parts)
    split = _split("retinal_oct", "RESC", train, [*good, *bad], [0] * len(good) + [1] * len(bad))
    truth = parts[2] / "label"
    split = replace(split, copy_note="RESC, not OCT2017")
    if not truth.is_dir():
        return split
    masks = [truth / path.name for path in bad]
    if without := [str(mask) for mask in masks if not mask.is_file()]:
        raise FileNotFoundError(
            f"retinal_oct: {len(without)} masks are missing, first {without[0]}; add them, or remove label"
        )
    return replace(split, test=replace(split.test, masks=(*[None] * len(good), *masks)), has_masks=True)


def head_ct(normal: str = "head_ct", *, root: Path | None = None, seed: int = 0) -> Split:
    """HeadCT (Kaggle, licence unclear): images ``head_ct/<id>.png``, and ``labels.csv`` with id and hemorrhage."""
    folder = _folder("head_ct", normal, "head_ct", root)
    table = folder / "labels.csv"
    if not table.is_file():
        raise FileNotFoundError(f"head_ct: no file {table}; expected a line id,hemorrhage and a line for each image")
    labels = {}
    with table.open(newline="") as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), start=1):
            if row and number > 1:
                try:
                    key, label = map(int, row)
                except ValueError as error:
                    raise ValueError(
                        f"{table}, line {number}: expected id,hemorrhage such as 7,0; found {','.join(row)!r}"
                    ) from error
                labels[key] = label
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


def _hold_out(dataset: str, normal: str, good: Sequence[Path], bad: Sequence[Path], seed: int) -> Split:
    """`HELD_OUT` random normal images and all anomalous ones test, the other normal ones train."""
    if len(good) <= HELD_OUT + 1:
        raise ValueError(f"{dataset}: {len(good)} normal images; more than {HELD_OUT + 1} are needed")
    order = np.random.default_rng(seed).permutation(len(good))
    held, kept = ([good[i] for i in sorted(part)] for part in (order[:HELD_OUT], order[HELD_OUT:]))
    return _split(dataset, normal, kept, [*held, *bad], [0] * len(held) + [1] * len(bad))


def _split(dataset: str, normal: str, train: Sequence[Path], test: Sequence[Path], labels: Sequence[int]) -> Split:
    train_images, test_images = (
        Images(tuple(paths), tuple(f"{path.parent.name}/{path.name}" for path in paths), np.array(marks))
        for paths, marks in ((train, [0] * len(train)), (test, labels))
    )
    return Split(dataset, normal, train_images, test_images)
