"""Data sets: what they give, and every kind of bad input they refuse."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from conftest import known
from PIL import Image
from sklearn.datasets import load_digits

from kdlib import Images, load
from kdlib.data import as_images, find, mvtec_layout
from kdlib.data.classes import IDX, digits

RNG = np.random.default_rng(0)
Damage = Callable[[Path], object]
Request = pytest.FixtureRequest


def save(path: Path, size: int | tuple[int, int] = 40, value: int | None = None) -> Path:
    """A square (or height x width) grey image: noise, or one value."""
    shape = (size, size) if isinstance(size, int) else size
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8) if value is None else np.full(shape, value, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    """A whole category in MVTec AD's layout."""
    folder = tmp_path / "mvtec_ad" / "bottle"
    for name in ("train/good/0", "train/good/1", "test/good/0", "test/crack/0", "test/hole/0"):
        save(folder / f"{name}.png")
    for name in ("crack", "hole"):
        save(folder / "ground_truth" / name / "0_mask.png", value=0)
    return folder


def read(folder: Path) -> object:
    return mvtec_layout(folder.parent, folder.name, dataset="mvtec_ad")


def test_layout(bottle: Path) -> None:
    hole = np.pad(np.full((10, 20), 255, np.uint8), ((15,), (10,)))
    Image.fromarray(hole).save(bottle / "ground_truth/hole/0_mask.png")
    split = load("mvtec_ad", "bottle", root=bottle.parent)
    assert (split.dataset, split.normal, split.has_masks) == ("mvtec_ad", "bottle", True)
    assert split.train.names == ("good/0.png", "good/1.png")
    assert split.test.names == ("crack/0.png", "good/0.png", "hole/0.png")
    assert known(split.test.labels).tolist() == [1, 0, 1]
    masks = split.test.mask_pixels(40)
    assert masks.sum((1, 2)).tolist() == [0, 0, 10 * 20]
    assert masks[2, 15:25, 10:30].all()
    assert split.copy_note == "resized copy, 40x40"
    shutil.rmtree(bottle / "ground_truth")
    split = load("mvtec_ad", "bottle", root=bottle.parent)
    assert not split.has_masks
    assert not split.test.mask_pixels(32).any()


def remove(name: str) -> Damage:
    return lambda folder: shutil.rmtree(folder / name)


def empty(name: str) -> Damage:
    return lambda folder: [path.unlink() for path in (folder / name).iterdir()]  # type: ignore[func-returns-value]


def write_text(name: str, text: str) -> Damage:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("."), "no category 'bottle'; known are none, below .*. Layout: <category>/train/good"),
        (remove("train"), "no category 'bottle'"),
        (remove("train/good"), "train/good: no such folder"),
        (empty("train/good"), "train/good: no images in it; expected files that end in .png"),
        (remove("test"), "no folders of test images in .*test. Layout"),
        (empty("test/good"), "test/good: no images in it"),
        (empty("ground_truth/hole"), "hole/0.png: no mask .*hole/0_mask.png; add it, or remove all masks"),
        (lambda f: save(f / "train/good/2.png", 41), "images of mixed sizes: .*is 40x40, .*2.png is 41x41; crop"),
        (lambda f: save(f / "test/good/1.png", (40, 50)), "mixed sizes: .*1.png is 50x40"),
        (lambda f: save(f / "ground_truth/hole/0_mask.png", 20), "0_mask.png is 20x20, its image 0.png is 40x40"),
        (write_text("test/good/0.png", ""), "good/0.png: not a readable image"),
        (write_text("train/good/0.png", "text"), "good/0.png: not a readable image .*; replace or remove"),
    ],
)
def test_damaged_layout(bottle: Path, damage: Damage, message: str) -> None:
    damage(bottle)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(bottle)


def test_missing_folder_and_category(bottle: Path, home: Path) -> None:
    offered = r"mvtec_ad: no folder .*mvtec_ad. MVTec AD is offered at .*no commercial use.*: <category>.*KDLIB_DATA"
    with pytest.raises(FileNotFoundError, match=offered):
        load("mvtec_ad", "bottle")
    with pytest.raises(FileNotFoundError, match=r"no category 'botle'; did you mean 'bottle'. Known are bottle, below"):
        load("mvtec_ad", "botle", root=bottle.parent)


def test_subset_keeps_what_belongs_together(tmp_path: Path) -> None:
    masks = tuple(tmp_path / str(i) for i in range(4))
    images = Images(np.arange(4, dtype=np.uint8).reshape(4, 1, 1), tuple("abcd"), np.array([0, 1, 0, 1]), masks)
    part = images[[3, 1]]
    assert (part.names, part.masks) == (("d", "b"), (masks[3], masks[1]))
    assert isinstance(part.content, np.ndarray)
    assert part.content.ravel().tolist() == [3, 1]
    assert known(part.labels).tolist() == [1, 1]
    assert [len(images[c]) for c in (2, slice(1, None), images.labels == 1)] == [1, 3, 2]
    with pytest.raises(ValueError, match="3 images, but 2 names, labels or masks"):
        Images(np.zeros((3, 4, 4), np.uint8), ("a", "b"))


def test_fingerprint_changes_with_every_byte(bottle: Path) -> None:
    before = as_images(np.zeros((2, 5, 5), np.uint8)).fingerprint
    assert Images(np.zeros((2, 5, 5), np.uint8), ("a", "b"), np.array([0, 1])).fingerprint == before
    for content in np.eye(50, dtype=np.uint8).reshape(50, 2, 5, 5):
        assert as_images(content).fingerprint != before

    def fingerprint() -> str:
        return load("mvtec_ad", "bottle", root=bottle.parent).test.fingerprint

    first = fingerprint()
    assert fingerprint() == first
    mask = bottle / "ground_truth/hole/0_mask.png"
    mask.write_bytes(mask.read_bytes() + b"\0")
    assert fingerprint() != first


def test_digits_one_against_the_rest() -> None:
    split = digits("3")
    assert len(split.train) + 599 < 1797
    assert len(split.test) == 599
    assert 40 < (known(split.test.labels) == 0).sum() < 80  # a tenth is normal
    assert not known(split.train.labels).any()
    assert isinstance(split.train.content, np.ndarray)
    assert split.train.content.max() == 255


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """Four tiny IDX files, two of them gzipped: 20 training and 10 test images of two classes."""
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for name in IDX:
        count = 20 if name.startswith("train") else 10
        array = np.arange(count, dtype=np.uint8) % 2
        if "images" in name:
            array = RNG.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()
        zipped = "images" in name
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return folder


def test_idx_files(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_DATA", str(fashion.parent))
    split = load("fashion_mnist", "1")
    assert (len(split.train), len(split.test)) == (10, 10)
    assert split.train.names[:2] == ("train/1", "train/3")
    assert known(split.test.labels).tolist() == [1, 0] * 5
    assert split.train.pixels(32).shape == (10, 3, 32, 32)


IMAGES, LABELS = f"{IDX[0]}.gz", IDX[1]


def change(name: str, edit: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: (folder / name).write_bytes(edit((folder / name).read_bytes()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz in"),
        (lambda f: (f / LABELS).unlink(), "no file train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz in"),
        (change(IMAGES, lambda c: c[:-100]), "train-images-idx3-ubyte.gz is not a whole IDX file .*fetch it again"),
        (change(IMAGES, lambda c: c[:10] + b"\xff" + c[11:]), "train-images-idx3-ubyte.gz is not a whole IDX file"),
        (change(IMAGES, lambda c: b"not gzip"), "train-images-idx3-ubyte.gz is not a whole IDX file"),
        (change(LABELS, lambda c: c[:-1]), "train-labels-idx1-ubyte is not a whole IDX file"),
        (change(LABELS, lambda c: b""), "train-labels-idx1-ubyte is not a whole IDX file"),
        (change(LABELS, lambda c: bytes([0, 0, 8, 1, 0, 0, 0, 5, 0, 1, 0, 1, 0])), "20 images, but 5 "),
    ],
)
def test_damaged_idx_files(fashion: Path, damage: Damage, message: str) -> None:
    damage(fashion)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load("fashion_mnist", "0", root=fashion)


def test_unknown_class_and_data_set(fashion: Path) -> None:
    with pytest.raises(ValueError, match="fashion_mnist: no class '7'; known are 0, 1"):
        load("fashion_mnist", "7", root=fashion)
    with pytest.raises(ValueError, match="digits: no class 'zero'; known are 0, 1, 2"):
        load("digits", "zero")
    with pytest.raises(ValueError, match=r"no 'imagenet'; known are mnist, .*, digits, textures, grafts"):
        load("imagenet", "0")


PICTURES = (load_digits().images * (255 / 16)).astype(np.uint8)


def write(folder: Path, names: list[str], suffix: str = ".png") -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.fromarray(PICTURES[number]).save(folder / f"{name}{suffix}")


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("airplane", "automobile", "bird"):
            write(tmp_path / part / name, [f"{n:04d}" for n in range(count)])
    return tmp_path


@pytest.fixture
def retinal_oct(tmp_path: Path) -> Path:
    for name in ("CNV", "DME", "DRUSEN", "NORMAL"):
        write(tmp_path / "train" / name, ["1", "2", "3"])
        write(tmp_path / "test" / name, ["4", "5"])
    return tmp_path


@pytest.fixture
def head_ct(tmp_path: Path) -> Path:
    write(tmp_path / "head_ct", [f"{n:03d}" for n in range(20)])
    rows = [f"{n},{int(n < 5)}" for n in range(20)]
    (tmp_path / "labels.csv").write_text("\n".join(["id, hemorrhage", *rows]) + "\n")
    return tmp_path


@pytest.fixture
def brain_mri(tmp_path: Path) -> Path:
    write(tmp_path / "no", [f"{n} no" for n in range(15)])
    write(tmp_path / "yes", [f"Y{n}" for n in range(4)], ".jpg")
    return tmp_path


def test_cifar10_has_named_classes(cifar10: Path) -> None:
    split = load("cifar10", "automobile", root=cifar10)
    assert (len(split.train), len(split.test)) == (3, 6)
    assert known(split.test.labels).tolist() == [1, 1, 0, 0, 1, 1]
    assert split.copy_note == ""
    np.testing.assert_array_equal(np.asarray(split.test.image(2))[..., 0], PICTURES[0])
    for part in ("train", "test"):
        for name in ("airplane", "bird"):
            write(cifar10 / "lossy" / part / name, ["0", "1"], ".jpg")
    assert load("cifar10", "bird", root=cifar10 / "lossy").copy_note == "JPEG copies, lossy"


@pytest.mark.parametrize("with_masks", [True, False])
def test_resc_has_another_layout(with_masks: bool, tmp_path: Path) -> None:
    write(tmp_path / "train" / "good", ["0", "1"])
    write(tmp_path / "test" / "good" / "img", ["0"])
    write(tmp_path / "test" / "Ungood" / "img", ["0", "1"])
    if with_masks:
        write(tmp_path / "test" / "Ungood" / "label", ["0", "1"])
    split = load("retinal_oct", "RESC", root=tmp_path)
    assert (len(split.train), split.has_masks, split.copy_note) == (2, with_masks, "RESC, not OCT2017")
    assert known(split.test.labels).tolist() == [0, 1, 1]
    masks = split.test.mask_pixels(32)
    assert (masks.any((1, 2)) == [False, with_masks, with_masks]).all()
    if with_masks:
        (tmp_path / "test" / "Ungood" / "label" / "1.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"img/1\.png: no mask .*label/1_mask\.png; add it, or remove all"):
            load("retinal_oct", "RESC", root=tmp_path)


def test_retinal_oct_trains_on_normal_only(retinal_oct: Path) -> None:
    split = load("retinal_oct", "RESC", root=retinal_oct)
    assert set(split.train.names) == {"NORMAL/1.png", "NORMAL/2.png", "NORMAL/3.png"}
    labels = dict(zip(split.test.names, known(split.test.labels).tolist(), strict=True))
    assert (labels["NORMAL/4.png"], sum(labels.values())) == (0, 6)


@pytest.mark.parametrize(("name", "normal", "anomalous"), [("head_ct", 15, 5), ("brain_mri", 15, 4)])
def test_ten_normal_images_are_held_out(name: str, normal: int, anomalous: int, request: Request) -> None:
    root = request.getfixturevalue(name)
    splits = [load(name, name, root=root, seed=seed) for seed in (0, 0, 1)]
    for split in splits:
        assert len(split.train) == normal - 10
        assert np.bincount(known(split.test.labels)).tolist() == [10, anomalous]
        assert not set(split.train.names) & set(split.test.names)
    assert splits[0].train.names == splits[1].train.names != splits[2].train.names


def drop(name: str) -> Damage:
    return lambda root: next(root.glob(name)).unlink()


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("head_ct", drop("labels.csv"), "no file .*labels.csv"),
        ("head_ct", drop("head_ct/007.png"), "differ in 1 ids, first in 7"),
        ("head_ct", write_text("labels.csv", "id, hemorrhage\n1, yes\n"), "labels.csv: expected lines id,hemorrhage"),
        ("brain_mri", empty("yes"), "yes: no images in it"),
        ("brain_mri", lambda root: [drop("no/*")(root) for _ in range(5)], "10 normal images; more than 11 are needed"),
        ("retinal_oct", empty("train/NORMAL"), "no images in it"),
    ],
)
def test_a_damaged_folder(name: str, damage: Damage, message: str, request: Request) -> None:
    root = request.getfixturevalue(name)
    damage(root)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        load(name, "RESC" if name == "retinal_oct" else name, root=root)


@pytest.mark.parametrize("name", ["head_ct", "brain_mri", "retinal_oct"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no category 'bottle'; known are"):
        load(name, "bottle", root=tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"{name}: no folder .*none. .* is offered at .*Layout"):
        load(name, "RESC" if name == "retinal_oct" else name, root=tmp_path / "none")


def test_images_are_decoded_once(bottle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "work"))

    def kept() -> torch.Tensor:
        return load("mvtec_ad", "bottle", root=bottle.parent).train.pixels(36, crop=32, keep=True)

    with patch("os.fsync", side_effect=OSError("no space left")), pytest.raises(OSError, match="no space left"):
        kept()
    assert not list((tmp_path / "work" / "pixels").iterdir())  # nothing is half written
    expected = load("mvtec_ad", "bottle", root=bottle.parent).train.pixels(36, crop=32)
    assert torch.equal(kept(), expected)
    with patch.object(Images, "image", side_effect=AssertionError("decoded again")):
        assert torch.equal(kept(), expected)
    save(bottle / "train/good/0.png", value=7)
    assert (kept()[0] == 7).all()
    assert torch.equal(kept()[1], expected[1])


def test_torchvision_s_mnist_is_found(fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files lie in ``MNIST/raw`` below what it calls root."""
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    assert find("mnist") is None
    (tmp_path / "MNIST").mkdir()
    fashion.rename(tmp_path / "MNIST" / "raw")
    assert find("mnist") == tmp_path / "MNIST" / "raw"
    assert len(load("mnist", "0").train) > 0


@pytest.mark.parametrize("folder", ["", "cifar10"])
def test_torchvision_s_cifar10_is_found(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    (tmp_path / folder / "cifar-10-batches-py").mkdir(parents=True)
    (tmp_path / folder / "cifar-10-batches-py" / "data_batch_1").touch()
    asked = []

    class CIFAR10:
        def __init__(self, root: Path, *, train: bool, download: bool) -> None:
            asked.append((root, download))
            self.data, self.targets = np.zeros((4, 32, 32, 3), np.uint8), [0, 1, 1, 9]

    monkeypatch.setattr("torchvision.datasets.CIFAR10", CIFAR10)
    split = load("cifar10", "automobile")
    assert (len(split.train), len(split.test)) == (2, 4)
    assert asked == [(tmp_path / folder, False)] * 2
