"""CIFAR-10, OCT2017, HeadCT, BrainMRI: layouts, splits, and what is wrong with a folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kdlib import load

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
    assert split.test.labels is not None
    assert split.test.labels.tolist() == [1, 1, 0, 0, 1, 1]
    assert split.copy_note == ""
    np.testing.assert_array_equal(np.asarray(split.test.image(2))[..., 0], PICTURES[0])


def test_cifar10_as_jpeg_says_so(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("airplane", "bird"):
            write(tmp_path / part / name, ["0", "1"], ".jpg")
    assert load("cifar10", "bird", root=tmp_path).copy_note == "JPEG copies, lossy"


@pytest.mark.parametrize("with_masks", [True, False])
def test_resc_has_another_layout(with_masks: bool, tmp_path: Path) -> None:
    write(tmp_path / "train" / "good", ["0", "1"])
    write(tmp_path / "test" / "good" / "img", ["0"])
    write(tmp_path / "test" / "Ungood" / "img", ["0", "1"])
    if with_masks:
        write(tmp_path / "test" / "Ungood" / "label", ["0", "1"])
    split = load("retinal_oct", "RESC", root=tmp_path)
    assert (len(split.train), split.has_masks, split.copy_note) == (2, with_masks, "RESC, not OCT2017")
    assert split.test.labels is not None
    assert split.test.labels.tolist() == [0, 1, 1]
    masks = split.test.mask_pixels(32)
    assert (masks.any((1, 2)) == [False, with_masks, with_masks]).all()
    if with_masks:
        (tmp_path / "test" / "Ungood" / "label" / "1.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"1 masks are missing, first .*1.png; add them, or remove label"):
            load("retinal_oct", "RESC", root=tmp_path)


def test_retinal_oct_trains_on_normal_only(retinal_oct: Path) -> None:
    split = load("retinal_oct", "RESC", root=retinal_oct)
    assert set(split.train.names) == {"NORMAL/1.png", "NORMAL/2.png", "NORMAL/3.png"}
    assert split.test.labels is not None
    assert dict(zip(split.test.names, split.test.labels.tolist(), strict=True))["NORMAL/4.png"] == 0
    assert split.test.labels.sum() == 6


@pytest.mark.parametrize(("name", "normal", "anomalous"), [("head_ct", 15, 5), ("brain_mri", 15, 4)])
def test_ten_normal_images_are_held_out_by_seed(
    name: str, normal: int, anomalous: int, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(name)
    splits = [load(name, name, root=root, seed=seed) for seed in (0, 0, 1)]
    for split in splits:
        assert len(split.train) == normal - 10
        assert split.test.labels is not None
        assert (split.test.labels == 0).sum() == 10
        assert split.test.labels.sum() == anomalous
        assert not set(split.train.names) & set(split.test.names)
    assert splits[0].train.names == splits[1].train.names != splits[2].train.names


def drop(name: str) -> Callable[[Path], object]:
    return lambda root: next(root.glob(name)).unlink()


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("head_ct", drop("labels.csv"), "no file .*labels.csv"),
        ("head_ct", drop("head_ct/007.png"), "differ in 1 ids, first in 7"),
        ("brain_mri", lambda root: [p.unlink() for p in (root / "yes").iterdir()], "yes: no images in it"),
        ("brain_mri", lambda root: [drop("no/*")(root) for _ in range(5)], "10 normal images; more than 11 are needed"),
        ("retinal_oct", lambda root: [p.unlink() for p in (root / "train" / "NORMAL").iterdir()], "no images in it"),
    ],
)
def test_a_damaged_folder(
    name: str, damage: Callable[[Path], object], message: str, request: pytest.FixtureRequest
) -> None:
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
