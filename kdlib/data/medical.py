"""Medical data sets (Tables 5 and 6): normal images train; the others, and some held-out normal ones, test."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdlib.data.images import Images, Split, list_images
from kdlib.files import data_folder

HELD_OUT = 10  # normal images for testing, chosen at random (Sec. 4.1)
OCT_CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")


def retinal_oct(normal: str = "RESC", *, root: Path | None = None) -> Split:
    """OCT2017 (CC BY 4.0): ``train/NORMAL`` trains, ``test/<class>`` tests; the paper's table calls its entry RESC.

    The reference code trains on every folder it finds; the text says normal images only, and so do we.
    """
    folder = _folder("retinal_oct", normal, "RESC", root, "train/NORMAL/*, test/{CNV,DME,DRUSEN,NORMAL}/*")
    train = list_images(folder / "train" / "NORMAL")
    test = [path for name in OCT_CLASSES for path in list_images(folder / "test" / name)]
    return _split("retinal_oct", normal, train, test, [int(path.parent.name != "NORMAL") for path in test])


def head_ct(normal: str = "head_ct", *, root: Path | None = None, seed: int = 0) -> Split:
    """HeadCT (Kaggle, licence unclear): images ``head_ct/<id>.png``, and ``labels.csv`` with id and hemorrhage."""
    folder = _folder("head_ct", normal, "head_ct", root, "labels.csv (id,hemorrhage), head_ct/<id>.png")
    table = folder / "labels.csv"
    if not table.is_file():
        raise FileNotFoundError(f"head_ct: no file {table}; expected a line id,hemorrhage and a line for each image")
    with table.open(newline="") as file:
        labels = {int(row[0]): int(row[1]) for row in list(csv.reader(file, skipinitialspace=True))[1:] if row}
    files = {int(path.stem): path for path in list_images(folder / "head_ct")}
    if different := sorted(files.keys() ^ labels.keys()):
        raise ValueError(f"head_ct: {table} and the images differ in {len(different)} ids, first in {different[0]}")
    good, bad = ([files[i] for i in sorted(files) if labels[i] == label] for label in (0, 1))
    return _hold_out("head_ct", normal, good, bad, seed)


def brain_mri(normal: str = "brain_mri", *, root: Path | None = None, seed: int = 0) -> Split:
    """BrainMRI (Kaggle, licence unclear): ``no/*`` is normal, ``yes/*`` has a tumour."""
    folder = _folder("brain_mri", normal, "brain_mri", root, "no/*, yes/*")
    return _hold_out("brain_mri", normal, list_images(folder / "no"), list_images(folder / "yes"), seed)


def _folder(dataset: str, normal: str, expected: str, root: Path | None, layout: str) -> Path:
    if normal != expected:
        raise ValueError(f"{dataset}: no category {normal!r}; the only one is {expected}")
    folder = root or data_folder() / dataset
    if not folder.is_dir():
        raise FileNotFoundError(f"{dataset}: no folder {folder}. Layout: {layout}")
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
