"""Data sets of classes, used one-vs-rest: one class is normal, all others are anomalous (Sec. 4.1)."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from kdlib.data.about import ABOUT, find, missing
from kdlib.data.images import Images, Split
from kdlib.data.reading import header, list_images
from kdlib.errors import unknown
from kdlib.files import cache_folder, data_folder

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
DIGITS = tuple("0123456789")


def fashion_mnist(normal: str, *, root: Path | None = None) -> Split:
    """Fashion-MNIST (MIT licence): one's own files, Debian's ``dataset-fashion-mnist``, or torchvision's download."""
    return _idx_data_set("fashion_mnist", normal, root)


def mnist(normal: str, *, root: Path | None = None) -> Split:
    """MNIST (CC BY-SA 3.0): one's own files, or torchvision's download."""
    return _idx_data_set("mnist", normal, root)


def cifar10(normal: str, *, root: Path | None = None) -> Split:
    """CIFAR-10 (no licence stated by its authors): ``{train,test}/<class>/*`` as images, or torchvision's files."""
    folder = root or find("cifar10")
    if folder is None or not (folder / "train").is_dir():
        return one_vs_rest("cifar10", normal, *_torchvision("cifar10", folder), names=ABOUT["cifar10"].normals)
    parts = [_class_folders(folder / part) for part in ("train", "test")]
    arrays = (array for pixels, classes, _ in parts for array in (pixels, classes))
    names = sorted(p.name for p in (folder / "train").iterdir() if p.is_dir())  # the official order is alphabetical
    split = one_vs_rest("cifar10", normal, *arrays, names=names)
    return replace(split, copy_note="JPEG copies, lossy" if any(lossy for *_, lossy in parts) else "")


@lru_cache(maxsize=2)
def _class_folders(folder: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    """Pixels (N, H, W, 3), kept in the work folder; classes (N,); whether they are JPEG files."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir())
    files = tuple(path for name in names for path in list_images(folder / name))
    side = header(files[0]).size[0]
    pixels = Images(files, tuple(p.name for p in files)).pixels(side, keep=True).permute(0, 2, 3, 1).numpy()
    classes = np.array([names.index(p.parent.name) for p in files])
    return pixels, classes, any(p.suffix.lower() in (".jpg", ".jpeg") for p in files)


def digits(normal: str) -> Split:
    """scikit-learn's 1,797 handwritten digits, 8x8: for trials of seconds. Every third one is for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels, classes = (bunch.images * (255 / 16)).astype(np.uint8), bunch.target
    test = np.arange(len(pixels)) % 3 == 0
    return one_vs_rest("digits", normal, pixels[~test], classes[~test], pixels[test], classes[test])


def one_vs_rest(dataset: str, normal: str, *parts: np.ndarray, names: Sequence[str] = DIGITS) -> Split:
    """Train on one class, test with all: pixels (N, H, W) or (N, H, W, 3), classes (N,) as numbers, of both parts."""
    train, train_classes, test, test_classes = parts
    known = [names[c] for c in np.unique(train_classes)]
    if normal not in known:
        raise ValueError(unknown(f"{dataset}: no class", normal, known))
    number = list(names).index(normal)
    chosen = np.flatnonzero(train_classes == number)
    train_images = Images(train[chosen], tuple(f"train/{i}" for i in chosen), np.zeros(len(chosen), dtype=int))
    test_names = tuple(f"test/{i}" for i in range(len(test)))
    return Split(dataset, normal, train_images, Images(test, test_names, (test_classes != number).astype(int)))


def _idx_data_set(dataset: str, normal: str, root: Path | None) -> Split:
    folder = root or find(dataset)
    if folder is None and (data_folder() / dataset).is_dir():
        folder = data_folder() / dataset  # incomplete: the error says what is missing there
    return one_vs_rest(dataset, normal, *(_read_idx(dataset, folder) if folder else _torchvision(dataset)))


@lru_cache(maxsize=2)
def _read_idx(dataset: str, folder: Path) -> tuple[np.ndarray, ...]:
    """Train pixels, train classes, test pixels, test classes from the four IDX files, gzipped or not."""
    arrays = []
    for name in IDX:
        if not (path := next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)):
            raise FileNotFoundError(f"{dataset}: no file {name} or {name}.gz in {folder}")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            dimensions = int(content[3])
            shape = np.frombuffer(content, ">i4", count=dimensions, offset=4)
            arrays.append(np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape))
        except (gzip.BadGzipFile, EOFError, IndexError, ValueError, zlib.error) as error:
            raise ValueError(f"{dataset}: {path} is not a whole IDX file ({error}); fetch it again") from error
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(f"{dataset}: {folder}: {len(images)} images, but {len(labels)} labels; fetch them again")
    return tuple(arrays)


def _torchvision(dataset: str, folder: Path | None = None) -> tuple[np.ndarray, ...]:
    """What torchvision reads, from its own folder or from a download."""
    from torchvision import datasets  # two seconds, as its models come with it

    known = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "cifar10": datasets.CIFAR10}
    parts = []
    for train in (True, False):
        try:
            place = folder.parent if folder else cache_folder() / "data"
            data = known[dataset](place, train=train, download=folder is None)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(f"{missing(dataset)}; torchvision could not give it either ({error})") from error
        parts += [np.asarray(data.data), np.asarray(data.targets)]
    return tuple(parts)
