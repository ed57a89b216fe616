"""Data sets of classes, used one-vs-rest: one class is normal, all others are anomalous (Sec. 4.1)."""

import gzip
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from torchvision import datasets

from kdlib.data.images import Images, Split, list_images, read_image
from kdlib.files import cache_folder, data_folder

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LAYOUTS = dict.fromkeys(("mnist", "fashion_mnist"), f"{', '.join(IDX)} (.gz or not)")
LAYOUTS["cifar10"] = "{train,test}/<class>/*.png"
TORCHVISION = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "cifar10": datasets.CIFAR10}


def fashion_mnist(normal: str, *, root: Path | None = None) -> Split:
    """Fashion-MNIST (MIT licence): one's own files, Debian's ``dataset-fashion-mnist``, or torchvision's download."""
    return _idx_data_set("fashion_mnist", normal, root, DEBIAN_FASHION_MNIST)


def mnist(normal: str, *, root: Path | None = None) -> Split:
    """MNIST (CC BY-SA 3.0): one's own files, or torchvision's download."""
    return _idx_data_set("mnist", normal, root)


def cifar10(normal: str, *, root: Path | None = None) -> Split:
    """CIFAR-10 (no licence stated by its authors): ``{train,test}/<class>/*`` as images, or torchvision's download.

    Classes are numbered in alphabetical order, which is the official one.
    """
    folder = root or data_folder() / "cifar10"
    if not (folder / "train").is_dir():
        return one_vs_rest("cifar10", normal, *_download("cifar10"))
    parts: list[np.ndarray] = []
    for part in ("train", "test"):
        names = sorted(p.name for p in (folder / part).iterdir() if p.is_dir())
        files = [(path, number) for number, name in enumerate(names) for path in list_images(folder / part / name)]
        with ThreadPoolExecutor() as pool:
            pixels = list(pool.map(lambda file: np.asarray(read_image(file[0])), files))
        parts += [np.stack(pixels), np.array([number for _, number in files])]
    note = "JPEG copies, lossy" if files[0][0].suffix.lower() in (".jpg", ".jpeg") else ""
    return replace(one_vs_rest("cifar10", normal, *parts), copy_note=note)


def digits(normal: str) -> Split:
    """scikit-learn's 1,797 handwritten digits, 8x8: for trials of seconds. Every third one is for testing."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels, classes = (bunch.images * (255 / 16)).astype(np.uint8), bunch.target
    test = np.arange(len(pixels)) % 3 == 0
    return one_vs_rest("digits", normal, pixels[~test], classes[~test], pixels[test], classes[test])


def one_vs_rest(
    dataset: str, normal: str, train: np.ndarray, train_classes: np.ndarray, test: np.ndarray, test_classes: np.ndarray
) -> Split:
    """Train on one class, test with the whole test split.

    Args:
        normal: the class's number, as a string, as in the paper's tables.
        train, test: 8-bit pixels, (N, H, W) or (N, H, W, 3).
        train_classes, test_classes: (N,).
    """
    known = sorted({str(c) for c in np.unique(train_classes)})
    if normal not in known:
        raise ValueError(f"{dataset}: no class {normal!r}; known are {', '.join(known)}")
    chosen = np.flatnonzero(train_classes == int(normal))
    return Split(
        dataset=dataset,
        normal=normal,
        train=Images(train[chosen], tuple(f"train/{i}" for i in chosen), np.zeros(len(chosen), dtype=int)),
        test=Images(test, tuple(f"test/{i}" for i in range(len(test))), (test_classes != int(normal)).astype(int)),
    )


def _idx_data_set(dataset: str, normal: str, root: Path | None, *elsewhere: Path) -> Split:
    folders = [root] if root else [f for f in (data_folder() / dataset, *elsewhere) if f.is_dir()]
    return one_vs_rest(dataset, normal, *(_read_idx(dataset, folders[0]) if folders else _download(dataset)))


@lru_cache(maxsize=2)
def _read_idx(dataset: str, folder: Path) -> tuple[np.ndarray, ...]:
    """Train pixels, train classes, test pixels, test classes from the four IDX files, gzipped or not."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{dataset}: no folder {folder}; expected there: {LAYOUTS[dataset]}")
    arrays = []
    for name in IDX:
        path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{dataset}: no file {name} or {name}.gz in {folder}")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            dimensions = content[3]
            shape = np.frombuffer(content, ">i4", count=dimensions, offset=4)
            arrays.append(np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape))
        except (OSError, EOFError, IndexError, ValueError, zlib.error) as error:
            raise ValueError(f"{dataset}: {path} is not a whole IDX file ({error}); fetch it again") from error
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(f"{dataset}: {folder}: {len(images)} images, but {len(labels)} labels; fetch them again")
    return tuple(arrays)


def _download(dataset: str) -> tuple[np.ndarray, ...]:
    parts = []
    for train in (True, False):
        try:
            data = TORCHVISION[dataset](cache_folder() / "data", train=train, download=True)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"{dataset}: not in {data_folder() / dataset}, and torchvision could not download it ({error}); put "
                f"{LAYOUTS[dataset]} there, or name the folder above in KDLIB_DATA"
            ) from error
        parts += [np.asarray(data.data), np.asarray(data.targets)]
    return tuple(parts)
