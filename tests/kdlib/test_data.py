"""Data sets: what they give, and every kind of bad input they refuse."""

import gzip
import io
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kdlib import Images, load
from kdlib.data import as_images, find, mvtec_layout
from kdlib.data.classes import IDX, digits
from kdlib.data.reading import image_size, list_images, read_image, read_mask

RNG = np.random.default_rng(0)


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


# --- MVTec AD's layout ------------------------------------------------------------------------------------------------


def test_layout(bottle: Path) -> None:
    Image.fromarray(np.pad(np.full((10, 20), 255, np.uint8), ((15,), (10,)))).save(
        bottle / "ground_truth/hole/0_mask.png"
    )
    split = load("mvtec_ad", "bottle", root=bottle.parent)
    assert (split.dataset, split.normal, split.has_masks) == ("mvtec_ad", "bottle", True)
    assert split.train.names == ("good/0.png", "good/1.png")
    assert split.test.names == ("crack/0.png", "good/0.png", "hole/0.png")
    assert split.test.labels is not None
    assert split.test.labels.tolist() == [1, 0, 1]
    masks = split.test.mask_pixels(40)
    assert masks.sum((1, 2)).tolist() == [0, 0, 10 * 20]
    assert masks[2, 15:25, 10:30].all()
    assert split.copy_note == "resized copy, 40x40"


def test_no_masks_is_no_error(bottle: Path) -> None:
    shutil.rmtree(bottle / "ground_truth")
    split = load("mvtec_ad", "bottle", root=bottle.parent)
    assert not split.has_masks
    assert not split.test.mask_pixels(32).any()


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.rmtree(folder / name)


def empty(name: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        for path in (folder / name).iterdir():
            path.unlink()

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("."), "no category 'bottle'; known are none, below .*. Layout: <category>/train/good"),
        (remove("train"), "no category 'bottle'"),
        (remove("train/good"), "train/good: no such folder"),
        (empty("train/good"), "train/good: no images in it; expected files that end in .png"),
        (remove("test"), "no folder .*test. Layout"),
        (empty("test/good"), "test/good: no images in it"),
        (empty("ground_truth/hole"), "hole/0.png: no mask .*hole/0_mask.png; add it, or remove ground_truth"),
        (lambda f: save(f / "train/good/2.png", 41), "images of mixed sizes: .*is 40x40, .*2.png is 41x41; crop"),
        (lambda f: save(f / "test/good/1.png", (40, 50)), "mixed sizes: .*1.png is 50x40"),
        (lambda f: save(f / "ground_truth/hole/0_mask.png", 20), "0_mask.png is 20x20, its image 0.png is 40x40"),
        (lambda f: (f / "test/good/0.png").write_bytes(b""), "good/0.png: not a readable image"),
        (
            lambda f: (f / "train/good/0.png").write_text("text"),
            "good/0.png: not a readable image .*; replace or remove",
        ),
    ],
)
def test_damaged_layout(bottle: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(bottle)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(bottle)


def test_missing_folder_and_category(bottle: Path, home: Path) -> None:
    with pytest.raises(
        FileNotFoundError,
        match=r"mvtec_ad: no folder .*mvtec_ad. MVTec AD is offered at .*no commercial use.*: <category>.*KDLIB_DATA",
    ):
        load("mvtec_ad", "bottle")
    with pytest.raises(FileNotFoundError, match=r"no category 'botle'; did you mean 'bottle'. Known are bottle, below"):
        load("mvtec_ad", "botle", root=bottle.parent)


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "bmp", "webp"])
@pytest.mark.filterwarnings("ignore")  # PIL's own, on some broken TIFF files
def test_truncated_image(kind: str, tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(whole, kind)
    path = tmp_path / f"cut.{kind}"
    for length in range(0, len(whole.getvalue()) - 50, 37):
        path.write_bytes(whole.getvalue()[:length])
        with pytest.raises(ValueError, match=rf"cut\.{kind}: not a readable image .*; replace or remove it"):
            read_image(path)


def test_header_of_a_giant_is_no_image(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (24, 20)).save(content, "bmp")
    damaged = bytearray(content.getvalue())
    damaged[20] = 255  # the width's third byte
    (tmp_path / "giant.bmp").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"giant\.bmp: has more than 180 million pixels"):
        read_image(tmp_path / "giant.bmp")


def test_every_unreadable_file_is_named(tmp_path: Path) -> None:
    for number in range(4):
        path = save(tmp_path / f"{number}.png")
        if number % 2:
            path.write_bytes(path.read_bytes()[:300])  # the header is whole
    with pytest.raises(ValueError, match=r"(?s)^2 of 4 images cannot be read:.*1\.png.*3\.png"):
        as_images(tmp_path).pixels(32)


COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "LA", "P", "P with transparency", "CMYK", "1"])
def test_all_kinds_of_colour_become_rgb(kind: str, tmp_path: Path) -> None:
    rgb = Image.fromarray(COLOURS)
    path = tmp_path / ("image.tif" if kind == "CMYK" else "image.png")
    if kind.startswith("P"):
        transparency = bytes([0, 128, 255, 0]) if "with" in kind else None
        rgb.quantize(4).save(path, transparency=transparency)
    elif kind == "RGBA":
        alpha = Image.fromarray(np.array([[0, 255], [128, 0]], np.uint8))
        Image.merge("RGBA", (*rgb.split(), alpha)).save(path)
    else:
        rgb.convert(kind).save(path)
    found = np.array(read_image(path))
    expected = np.array(rgb.convert(kind).convert("RGB")) if kind in ("LA", "1") else COLOURS
    if kind in ("RGBA", "P with transparency"):  # on white
        with Image.open(path) as file:
            alpha = np.array(file.convert("RGBA"))[..., 3:] / 255
        expected = np.round(COLOURS * alpha + 255 * (1 - alpha))
    np.testing.assert_allclose(found, expected, atol=1)


TURNED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
TURNED |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}


@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    note = Image.Exif()
    note[274] = orientation
    picture = Image.fromarray(RNG.integers(0, 256, (2, 3, 3), dtype=np.uint8)).resize(
        (60, 40), Image.Resampling.NEAREST
    )
    picture.save(path := tmp_path / f"turned.{kind}", exif=note, lossless=True)
    picture.save(plain := tmp_path / f"plain.{kind}", lossless=True)
    expected = read_image(plain)
    if orientation > 1:
        expected = expected.transpose(Image.Transpose[TURNED[orientation]])
    found = read_image(path)
    assert found.size == image_size(path) == expected.size
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("note", [b"Exif\0\0garbage!!", b"Exif\0\0II*\0\xff\xff\xff\xff"])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.filterwarnings("ignore")  # PIL's own, about the note
def test_a_damaged_exif_note_is_none(note: bytes, kind: str, tmp_path: Path) -> None:
    picture = Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    picture.save(path := tmp_path / f"image.{kind}", exif=note)
    assert image_size(path) == (30, 20)
    assert read_image(path).size == (30, 20)


def test_16_bit_grey_is_scaled_to_8(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 0x8080, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert np.array(read_image(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 1, 0x80, 255]


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.mark.parametrize("factor", [1, 16])
def test_16_bit_colours(factor: int, tmp_path: Path) -> None:
    """PIL cannot write them."""
    rows = b"".join(b"\0" + (row * factor).astype(">u2").repeat(3).tobytes() for row in RAMP)
    parts = {b"IHDR": struct.pack(">2I5B", 64, 64, 16, 2, 0, 0, 0), b"IDAT": zlib.compress(rows), b"IEND": b""}
    content = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    if factor == 16:
        np.testing.assert_array_equal(np.array(read_image(tmp_path / "deep.png"))[..., 1], RAMP // 16)
    else:
        with pytest.raises(ValueError, match=r"deep\.png: 16-bit colours of which a small range is used"):
            read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("value", [0, 1])
def test_masks_of_any_depth(value: int, tmp_path: Path) -> None:
    for kind in (np.uint8, np.uint16, np.int32, np.float32):
        Image.fromarray(np.full((4, 4), value, kind)).save(path := tmp_path / f"{np.dtype(kind)}.tiff")
        assert bool(np.array(read_mask(path)).all()) == bool(value)


def test_pixels_are_resized_then_cropped() -> None:
    content = RNG.integers(0, 256, (2, 50, 50, 3), dtype=np.uint8)
    whole = as_images(content).pixels(48)
    assert (whole.shape, whole.dtype) == ((2, 3, 48, 48), torch.uint8)
    assert torch.equal(as_images(content).pixels(48, crop=32), whole[:, :, 8:40, 8:40])
    untouched = as_images(content).pixels(50)
    assert torch.equal(untouched, torch.from_numpy(content).permute(0, 3, 1, 2))


def test_masks_stay_masks_when_resized(tmp_path: Path) -> None:
    Image.fromarray(np.pad(np.full((20, 20), 7, np.uint8), 10)).save(tmp_path / "mask.png")  # 7: any value but 0 counts
    images = Images(np.zeros((2, 40, 40), np.uint8), ("a", "b"), masks=(tmp_path / "mask.png", None))
    found = images.mask_pixels(36, crop=20)  # at 36 pixels: rows and columns 9 to 26; the crop begins at 8
    expected = np.zeros((20, 20), bool)
    expected[1:19, 1:19] = True
    np.testing.assert_array_equal(found, [expected, np.zeros_like(expected)])


def test_subset_keeps_what_belongs_together(tmp_path: Path) -> None:
    masks = tuple(tmp_path / str(i) for i in range(4))
    images = Images(np.arange(4, dtype=np.uint8).reshape(4, 1, 1), tuple("abcd"), np.array([0, 1, 0, 1]), masks)
    part = images[[3, 1]]
    assert (part.names, part.masks) == (("d", "b"), (masks[3], masks[1]))
    assert isinstance(part.content, np.ndarray)
    assert part.content.ravel().tolist() == [3, 1]
    assert part.labels is not None
    assert part.labels.tolist() == [1, 1]
    assert [len(images[c]) for c in (2, slice(1, None), images.labels == 1)] == [1, 3, 2]


def test_labels_and_names_must_fit() -> None:
    with pytest.raises(ValueError, match="3 images, but 2 names, labels or masks"):
        Images(np.zeros((3, 4, 4), np.uint8), ("a", "b"))


@given(st.integers(0, 2 * 5 * 5 - 1), st.integers(1, 255))
def test_fingerprint_of_pixels_changes_with_every_byte(position: int, change: int) -> None:
    content = np.zeros((2, 5, 5), np.uint8)
    before = as_images(content)
    changed = content.copy()
    changed.flat[position] = change
    assert as_images(changed).fingerprint != before.fingerprint
    assert Images(content, ("a", "b"), np.array([0, 1])).fingerprint == before.fingerprint


def test_fingerprint_of_files(bottle: Path) -> None:
    def fingerprint() -> str:
        return load("mvtec_ad", "bottle", root=bottle.parent).test.fingerprint

    first = fingerprint()
    assert fingerprint() == first
    mask = bottle / "ground_truth/hole/0_mask.png"
    mask.write_bytes(mask.read_bytes() + b"\0")
    assert fingerprint() != first


# --- what a user has --------------------------------------------------------------------------------------------------


def test_floats_are_8_bit_images() -> None:
    content = RNG.integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    floats = torch.from_numpy(content).permute(0, 3, 1, 2).float() / 255
    for images in (floats, floats.numpy(), floats.double()):
        np.testing.assert_array_equal(as_images(images).content, content)


def test_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", ".hidden.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    images = as_images(str(tmp_path))
    assert images.names == ("a.JPG", "b.png")
    assert images.labels is None
    assert as_images(images) is images
    save(tmp_path / "c.png", 41)
    with pytest.raises(ValueError, match=r"images of mixed sizes: .*is 40x40, c\.png is 41x41; crop or resize"):
        as_images(tmp_path)


def test_folder_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    assert list_images(save(tmp_path / "b.png").parent) == (tmp_path / "b.png",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/0.png", "b/0.jpg", "c/notes.txt"], "no images in it; its subfolders a, b hold images: name one of them"),
        ([f"{n}/0.png" for n in range(7)], "its subfolders 0, 1, 2, 3, 4 … hold images"),
        (["train/good/0.png", "test/good/0.png"], "no images in it; it has train/good: give .*/train/good$"),
        (["a.HEIC", "b.HEIC", ".hidden.png"], r"expected files that end in \.png, .*\.jpx, found \.HEIC$"),
    ],
)
def test_a_folder_without_images_says_what_is_there(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=message):
        as_images(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"a\.png: is a file, expected a folder of images"):
        list_images(save(tmp_path / "a.png"))


def test_an_error_names_the_file_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"a\.png: not a readable image \(of no known format\); replace") as found:
        as_images(tmp_path)
    assert str(found.value).count("a.png") == 1


def test_size_is_known_where_all_have_one(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (20, 30))
    assert as_images(tmp_path).size == as_images(tmp_path)[[0]].size == (30, 20)
    assert as_images(np.zeros((2, 20, 30), np.uint8)).size == (30, 20)
    assert as_images(torch.zeros(2, 3, 20, 30)).size == (30, 20)


def bad(value: float) -> torch.Tensor:
    images = torch.full((3, 3, 4, 4), 0.5)
    images[1, 2, 3, 0] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (bad(float("nan")), "NaN or infinite pixels in 1 of 3, first in number 1"),
        (bad(float("inf")), "NaN or infinite pixels in 1 of 3, first in number 1"),
        (bad(1.01), "found values from 0.5 to 1.01"),
        (bad(-0.1), "found values from -0.1 to 0.5"),
        (np.zeros((2, 4, 4), np.int64), r"found int64 \(2, 4, 4\)"),
        (np.zeros((0, 4, 4), np.uint8), "there are none"),
        (torch.zeros(0, 3, 4, 4), "there are none"),
    ],
)
def test_unusable_arrays(images: np.ndarray | torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=f"^images: .*{message}"):
        as_images(images)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_unusable_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder|no images in it"):
        as_images(tmp_path / name)


# --- classes ----------------------------------------------------------------------------------------------------------


def test_digits_one_against_the_rest() -> None:
    split = digits("3")
    assert len(split.train) + 599 < 1797
    assert len(split.test) == 599
    labels = split.test.labels
    assert labels is not None
    assert 40 < (labels == 0).sum() < 80  # a tenth is normal
    assert split.train.labels is not None
    assert not split.train.labels.any()
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
        if "images" in name:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def test_idx_files(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_DATA", str(fashion.parent))
    split = load("fashion_mnist", "1")
    assert (len(split.train), len(split.test)) == (10, 10)
    assert split.train.names[:2] == ("train/1", "train/3")
    assert split.test.labels is not None
    assert split.test.labels.tolist() == [1, 0] * 5
    assert split.train.pixels(32).shape == (10, 3, 32, 32)


IMAGES, LABELS = f"{IDX[0]}.gz", IDX[1]


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(edit((folder / name).read_bytes()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no folder .*; expected there: train-images-idx3-ubyte"),
        (lambda f: (f / LABELS).unlink(), "no file train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz in"),
        (change(IMAGES, lambda c: c[:-100]), "train-images-idx3-ubyte.gz is not a whole IDX file .*fetch it again"),
        (change(IMAGES, lambda c: c[:10] + b"\xff" + c[11:]), "train-images-idx3-ubyte.gz is not a whole IDX file"),
        (change(IMAGES, lambda c: b"not gzip"), "train-images-idx3-ubyte.gz is not a whole IDX file"),
        (change(LABELS, lambda c: c[:-1]), "train-labels-idx1-ubyte is not a whole IDX file"),
        (change(LABELS, lambda c: b""), "train-labels-idx1-ubyte is not a whole IDX file"),
        (change(LABELS, lambda c: bytes([0, 0, 8, 1, 0, 0, 0, 5, 0, 1, 0, 1, 0])), "20 images, but 5 "),
    ],
)
def test_damaged_idx_files(fashion: Path, damage: Callable[[Path], object], message: str) -> None:
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


# --- kept pixels ------------------------------------------------------------------------------------------------------


def test_images_are_decoded_once(bottle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "work"))
    images = load("mvtec_ad", "bottle", root=bottle.parent).test
    expected = images.pixels(36, crop=32)
    assert torch.equal(images.pixels(36, crop=32, keep=True), expected)
    decoded = []
    monkeypatch.setattr(Images, "image", lambda *_: decoded.append(1))
    again = load("mvtec_ad", "bottle", root=bottle.parent).test.pixels(36, crop=32, keep=True)
    assert torch.equal(again, expected)
    assert not decoded


def test_kept_pixels_follow_the_files(bottle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "work"))
    before = load("mvtec_ad", "bottle", root=bottle.parent).train.pixels(32, keep=True)
    save(bottle / "train/good/0.png", value=7)
    after = load("mvtec_ad", "bottle", root=bottle.parent).train.pixels(32, keep=True)
    assert (after[0] == 7).all()
    assert torch.equal(after[1], before[1])


def test_a_full_disk_leaves_nothing_half_written(bottle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "work"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        load("mvtec_ad", "bottle", root=bottle.parent).train.pixels(32, keep=True)
    assert not list((tmp_path / "work" / "pixels").iterdir())


# --- torchvision's folders --------------------------------------------------------------------------------------------


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
