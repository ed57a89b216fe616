"""What a user has is read as it is meant, or refused, or named; each kind with real small files."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import TINY, known
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from scipy import ndimage

from kdlib import Detector, Images
from kdlib.data import as_images, mvtec_layout
from kdlib.data.reading import LeftOut, header, list_images, read_image, read_mask, read_values, shown

RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)  # height, width, colours
GREY = FRAME[..., 0]


def save(path: Path, pixels: np.ndarray = FRAME, kind: str | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, kind, **options)
    return path


def noted(orientation: int) -> Image.Exif:
    """An EXIF note that turns an image."""
    note = Image.Exif()
    note[274] = orientation
    return note


PLANES = torch.from_numpy(FRAME.transpose(2, 0, 1).copy())
SEE_THROUGH = np.dstack([FRAME, np.full(GREY.shape, 255, np.uint8)])


@pytest.mark.parametrize(
    ("pictures", "count"),
    [
        *[(one, 1) for one in (FRAME, GREY, FRAME[..., :1], SEE_THROUGH, FRAME / 255, Image.fromarray(FRAME))],
        *[(one, 1) for one in (PLANES, (PLANES / 255).float(), PLANES[:1], [FRAME], [Image.fromarray(FRAME)])],
        *[(np.stack([many] * 5), 5) for many in (FRAME, GREY, FRAME[..., :1])],
        *[(many, 5) for many in (PLANES.repeat(5, 1, 1, 1), (PLANES / 255).double().repeat(5, 1, 1, 1).numpy())],
        *[(many, 5) for many in ([Image.fromarray(FRAME)] * 5, [FRAME] * 5, np.stack([FRAME] * 5) / 255)],
        (iter([FRAME] * 5), 5),
    ],
)
def test_pictures_in_memory(pictures: object, count: int) -> None:
    images = as_images(pictures)  # type: ignore[arg-type]
    assert (len(images), images.size, images[[0]].size) == (count, (30, 20), (30, 20))
    assert images.pixels(32).shape == (count, 3, 32, 32)
    found = np.array(images.image(count - 1))
    grey = np.array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found, FRAME[..., :1].repeat(3, axis=2) if grey else FRAME)


def test_a_picture_of_pil_is_read_as_its_file_is(tmp_path: Path) -> None:
    turned = save(tmp_path / "turned.png", FRAME, exif=noted(6))
    clear = save(tmp_path / "clear.png", np.dstack([FRAME, GREY]))
    deep = save(tmp_path / "deep.png", GREY.astype(np.uint16) * 200)
    for path in (turned, clear, deep):
        with Image.open(path) as picture:
            images = as_images(picture)
        np.testing.assert_array_equal(images.image(0), read_image(path))
        assert images.levels == as_images(path).levels
        assert images.size == as_images(path).size


def test_files_and_lists_of_files(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{name}.png") for name in "ba"]
    assert as_images(files).names == ("b.png", "a.png")
    assert as_images(str(files[0])).names == ("b.png",)
    assert as_images(images := as_images(files)) is images
    assert images.labels is None
    for more, message in (
        (tmp_path / "d.png", r"d\.png: no such file"),
        (tmp_path, "is a folder among files"),
        (FRAME, "2 of 3 are files, the others are pictures"),
        (save(tmp_path / "c.png", FRAME[:, :29]), r"mixed sizes: .*a\.png is 30x20, .*c\.png is 29x20; crop or resize"),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            as_images([*files, more])


def bad(value: float) -> torch.Tensor:
    images = torch.full((3, 3, 4, 4), 0.5)
    images[1, 2, 3, 0] = value
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (FRAME.transpose(2, 0, 1), "may be 3 grey images or one with channels first"),
        (as_images(FRAME)[[]], "there are none"),
        ([], "there are none"),
        (np.zeros((0, 4, 4), np.uint8), "there are none"),
        (torch.zeros(0, 3, 4, 4), "there are none"),
        ([FRAME, FRAME[:, :20]], "pictures of mixed sizes"),
        ([GREY, GREY.astype(np.uint16)], r"mixed sizes or types: uint16 \(20, 30\), uint8 \(20, 30\)"),
        (FRAME.astype(np.int64), r"uint8, uint16 or floating; found int64 \(20, 30, 3\)"),
        (FRAME.astype(np.uint16), "colours are expected in 8 bits"),
        (GREY > 9, r"found bool \(20, 30\)"),
        (np.zeros(5, np.uint8), r"found uint8 \(5,\)"),
        (bad(float("nan")), "NaN or infinite pixels in 1 of 3, first in number 1"),
        (bad(float("inf")), "NaN or infinite pixels in 1 of 3, first in number 1"),
        (bad(1.01), "found 0.5 to 1.01"),
        (bad(-0.1), "found -0.1 to 0.5"),
    ],
)
def test_pictures_that_are_refused(images: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^images: .*{message}"):
        as_images(images)  # type: ignore[arg-type]


def test_pictures_by_content_and_suffix(tmp_path: Path) -> None:
    kinds = {"a.png": None, "b.jfif": "JPEG", "c.jpe": "JPEG", "d.gif": None, "e.pgm": None, "f.jp2": None, "g": "PNG"}
    kinds |= {"h.avif": None, "i.IMG": "TIFF", "j.JPG": None}
    for name, kind in kinds.items():
        save(tmp_path / name, GREY, kind)
    (tmp_path / "notes.txt").write_text("good ones")
    (tmp_path / "labels.csv").write_text("a.png,1")
    assert [p.name for p in list_images(tmp_path)] == list(kinds)
    assert len(as_images(str(tmp_path)).pixels(32)) == len(kinds)


MORE: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(255 - FRAME)]}


@pytest.mark.parametrize(
    ("add", "named"),
    [
        (lambda t: save(t / "tray2" / "b.png"), "tray2/ (a folder)"),
        (lambda t: save(t / "tray2" / "deep" / "b.png"), "tray2/ (a folder)"),
        (lambda t: (t / "b.heic").write_bytes(b"\0\0\0\x18ftypheic"), "b.heic (not read)"),
        (lambda t: (t / "b.npy").write_bytes(b"numbers"), "b.npy (not read)"),
        (lambda t: (t / "b.zip").write_bytes(b"PK"), "b.zip (not read)"),
        (lambda t: save(t / "a_label.bmp", GREY), "a_label.bmp (a mask)"),
        (lambda t: save(t / "A-mask.png", GREY), "A-mask.png (a mask)"),
        (lambda t: save(t / "b.tif", **MORE), "b.tif (the first of 2 pages or frames is read)"),
        (lambda t: save(t / "b.gif", **MORE), "b.gif (the first of 2 pages or frames is read)"),
        (lambda t: save(t / "b.webp", **MORE), "b.webp (the first of 2 pages or frames is read)"),
    ],
)
def test_what_is_not_read_is_named(add: Callable[[Path], object], named: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    add(tmp_path)
    with pytest.warns(LeftOut) as found:
        images = as_images(tmp_path)
    assert f"{tmp_path}: not judged: 1: {named}" in str(found[0].message)
    assert {p.name for p in tmp_path.iterdir()} - set(images.names) <= {named.partition("/")[0].partition(" ")[0]}


def test_what_is_nobody_s_picture(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git"):
        save(tmp_path / name / "a.png")
    for name in (".DS_Store", "Thumbs.db", "._a.png", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b.png").mkdir()
    os.mkfifo(tmp_path / "pipe")  # to open it is to wait
    assert as_images(tmp_path).names == ("a.png",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/0.png", "b/0.jpg", "c/notes.txt"], "no images in it; its subfolders a, b hold images: name one of them"),
        ([f"{n}/0.png" for n in range(7)], "its subfolders 0, 1, 2, 3, 4 … hold images"),
        (["train/good/0.png", "test/good/0.png"], "no images in it; it has train/good: give .*/train/good$"),
        (["a.HEIC", "b.HEIC", ".hidden.png"], r"expected files that end in \.png, .*\.jpx, found \.HEIC$"),
        ([], "no images in it"),
    ],
)
def test_a_folder_without_images_says_what_is_there(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=message):
        as_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        as_images(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match=r"a\.png: is a file, expected a folder of images"):
        list_images(save(tmp_path / "a.png"))


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "bmp", "webp"])
@pytest.mark.filterwarnings("ignore")  # PIL's own, on some broken TIFF files
def test_truncated_image(kind: str, tmp_path: Path) -> None:
    whole = save(path := tmp_path / f"cut.{kind}").read_bytes()
    for length in range(0, len(whole) - 50, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"cut\.{kind}: not a readable image .*; replace or remove it"):
            read_image(path)


def test_every_unreadable_file_is_named_once(tmp_path: Path) -> None:
    for number in range(4):
        path = save(tmp_path / f"{number}.png")
        if number % 2:
            path.write_bytes(path.read_bytes()[:300])  # the header is whole
    with pytest.raises(ValueError, match=r"(?s)^2 of 4 images cannot be read:.*1\.png.*3\.png"):
        as_images(tmp_path).pixels(32)
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(ValueError, match=r"a\.png: not a readable image \(of no known format\); replace") as found:
        as_images(tmp_path)
    assert str(found.value).count("a.png") == 1


def test_the_largest_image_is_pil_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = bytearray(save(path := tmp_path / "giant.bmp").read_bytes())
    damaged[20] = 255  # the width's third byte
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"giant\.bmp: not a readable image .*exceeds limit of 178956970 pixels"):
        read_image(path)
    Image.new("1", (20_000, 10_000)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert as_images(tmp_path).size == (20_000, 10_000)


SCENE = ndimage.gaussian_filter(RNG.random((64, 64)), 3)
SCENE = (SCENE - SCENE.min()) / np.ptp(SCENE)
HOT = (SCENE * 4095).astype(np.uint16)
HOT[0, 0] = 65535


@pytest.mark.parametrize(
    "values",
    [
        (29000 + SCENE * 1200).astype(np.uint16),  # thermal, 0.01 K
        (SCENE * 16383).astype(np.uint16),
        (SCENE * 4095).astype(np.uint16),
        HOT,
        (20 + SCENE * 5).astype(np.float32),  # degrees
        (SCENE * 400_000).astype(np.int32),
    ],
)
def test_deep_images_keep_their_levels(values: np.ndarray, tmp_path: Path) -> None:
    path = save(tmp_path / "deep.tiff", values)
    looked_at = np.array(read_image(path))[..., 0]
    assert len(np.unique(looked_at)) > 200
    images = as_images(tmp_path)
    low, high = known(images.levels)
    usual = values[1:]
    assert low < usual.min() < usual.max() < high  # room for what is darker or brighter than any good image
    worked_with = images.pixels(64)[0, 0].numpy()
    assert len(np.unique(worked_with)) > 150
    np.testing.assert_array_equal(worked_with, np.array(shown(values.astype(float), (low, high)))[..., 0])


def test_levels_are_those_that_are_given_or_all_of_16_bits(tmp_path: Path) -> None:
    path = save(tmp_path / "deep.png", np.array([[0, 257, 0x8080, 65535]], np.uint16))
    assert np.array(read_image(path))[0, :, 0].tolist() == [0, 1, 0x80, 255]
    save(path, np.array([[0, 1000, 1500, 2000, 65535]], np.uint16))
    assert np.array(shown(read_values(path), (1000, 2000)))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert as_images(np.full((2, 8, 8), 1500, np.uint16)).pixels(8, levels=(1000, 2000)).unique().tolist() == [128]


def test_levels_are_learned_over_all_images(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", (1000 * number + SCENE * 100).astype(np.uint16))
    low, high = known(as_images(tmp_path).levels)
    assert low == pytest.approx(0 - 2100 / 4, abs=30)
    assert high == pytest.approx(2100 + 2100 / 4, abs=30)
    means = as_images(tmp_path).pixels(64).float().mean((1, 2, 3))
    assert (means.diff() > 50).all()  # not stretched one by one: brightness stays comparable


def test_eight_bits_have_no_levels_and_what_does_not_mix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"deep\.tiff: 1 values are not finite"):
        read_image(save(tmp_path / "deep" / "deep.tiff", np.where(SCENE[3, 4] == SCENE, np.nan, SCENE).astype("f")))
    (tmp_path / "deep" / "deep.tiff").unlink()
    save(tmp_path / "a.png", FRAME[..., 0])
    assert as_images(tmp_path).levels is None
    save(tmp_path / "b.png", FRAME[..., 0].astype(np.uint16))
    with pytest.raises(ValueError, match=r"1 of 2 have more than 8 bits.*such as a\.png"):
        as_images(tmp_path).pixels(32)
    assert Detector(TINY.replace(levels=(0, 4095))).fit(grey := np.stack([GREY] * 5), apart=grey).levels is None


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_white_may_be_zero(kind: type, tmp_path: Path) -> None:
    top = np.iinfo(kind).max
    values = (SCENE * top).astype(kind)
    tags = ImageFileDirectory_v2()
    tags[262] = 0  # WhiteIsZero: a scanner's film
    Image.fromarray(values).save(tmp_path / "film.tiff", tiffinfo=tags)
    with Image.open(tmp_path / "film.tiff") as file:
        assert file.tag_v2[262] == 0  # type: ignore[attr-defined]
    save(tmp_path / "plain.tiff", top - values if kind == np.uint16 else values)  # PIL inverts 8 bits when it writes
    np.testing.assert_array_equal(read_image(tmp_path / "film.tiff"), read_image(tmp_path / "plain.tiff"))


def test_values_outside_the_detector_s_levels_are_said(tmp_path: Path) -> None:
    good = (29000 + SCENE * 1200 + RNG.random((5, 1, 1))).astype(np.uint16)
    detector, new = Detector(TINY).fit(good), good.copy()
    detector.score(new)  # in silence, warnings being errors
    new[1, 30:38, 30:38] = 40000  # a hot spot, 64 of 4096
    new[2, 0, 0] = 0  # 1 of 4096 as well, two and a half times what is let pass
    levels = "{:g} to {:g}".format(*known(detector.levels))
    for use in (detector.score, detector.localize):
        with pytest.warns(UserWarning, match="outside the levels") as found:
            use(new)
        assert [str(warning.message) for warning in found] == [
            f"images: 2 of 5 images have values outside the levels {levels}, the worst 1.6 % of its pixels; "
            "they become black or white"
        ]


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.mark.parametrize("factor", [1, 16])
def test_16_bit_colours(factor: int, tmp_path: Path) -> None:
    tifffile.imwrite(path := tmp_path / "deep.tif", (RAMP * factor)[..., None].repeat(3, 2))  # PIL cannot write them
    if factor == 16:
        np.testing.assert_array_equal(np.array(read_image(path))[..., 1], RAMP // 16)
    else:
        with pytest.raises(ValueError, match=r"deep\.tif: 16-bit colours of which a small range is used"):
            read_image(path)


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
            seen = np.array(file.convert("RGBA"))[..., 3:] / 255
        expected = np.round(COLOURS * seen + 255 * (1 - seen)).astype(np.uint8)
    np.testing.assert_allclose(found, expected, atol=1)


TURNED = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
TURNED |= {6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}


@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    picture = FRAME[:2, :3].repeat(20, 0).repeat(20, 1)
    path = save(tmp_path / f"turned.{kind}", picture, exif=noted(orientation), lossless=True)
    expected = read_image(save(tmp_path / f"plain.{kind}", picture, lossless=True))
    if orientation > 1:
        expected = expected.transpose(Image.Transpose[TURNED[orientation]])
    found = read_image(path)
    assert found.size == header(path).size == expected.size
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("note", [b"Exif\0\0garbage!!", b"Exif\0\0II*\0\xff\xff\xff\xff"])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.filterwarnings("ignore")  # PIL's own, about the note
def test_a_damaged_exif_note_is_none(note: bytes, kind: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"image.{kind}", exif=note)
    assert header(path).size == read_image(path).size == (30, 20)


def test_what_looks_the_same_is_the_same(tmp_path: Path) -> None:
    alpha = np.zeros(FRAME.shape[:2], np.uint8)
    alpha[5:15, 5:15] = 255
    for name, colours in {"a": FRAME, "b": FRAME * (alpha > 0)[..., None]}.items():
        save(tmp_path / f"{name}.png", np.dstack([colours, alpha]))
    first, second = as_images(tmp_path).pixels(32)
    assert torch.equal(first, second)
    found = np.array(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(found[5:15, 5:15], FRAME[5:15, 5:15])
    assert (found[alpha == 0] == 255).all()


MARKED = np.zeros((20, 30), bool)
MARKED[4:9, 6:20] = True
INK = MARKED.astype(np.uint8) * 255
PAPER = np.full((20, 30, 3), 255, np.uint8)


def palette_mask(path: Path, background: tuple[int, int, int]) -> None:
    image = Image.fromarray(MARKED.astype(np.uint8), "L").convert("P")
    image.putpalette([*background, 255, 0, 0])
    image.putdata(MARKED.astype(np.uint8).ravel().tolist())
    image.save(path)


@pytest.mark.parametrize(
    "draw",
    [
        lambda path: save(path, INK),
        lambda path: save(path, MARKED.astype(np.uint8)),  # numbers of classes
        lambda path: save(path, np.dstack([PAPER, INK])),  # in alpha, on white
        lambda path: save(path, np.dstack([PAPER * 0, INK])),  # in alpha, black ink
        lambda path: save(path, np.dstack([INK] * 3 + [np.full_like(INK, 255)])),  # opaque
        lambda path: save(path, np.dstack([INK * 0, INK * 0, MARKED.astype(np.uint8)])),  # the faintest blue
        *[partial(save, pixels=MARKED.astype(kind), kind="TIFF") for kind in (np.uint16, np.int32, np.float32)],
        lambda path: palette_mask(path, (0, 0, 0)),
        lambda path: palette_mask(path, (255, 255, 255)),
    ],
)
def test_masks_however_they_are_drawn(draw: Callable[[Path], object], tmp_path: Path) -> None:
    draw(path := tmp_path / "mask.png")
    np.testing.assert_array_equal(np.array(read_mask(path)) > 0, MARKED)


def test_jpeg_s_black_is_not_exact(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.jpg", INK, quality=60)
    assert (np.array(Image.open(path)) > 0).sum() > MARKED.sum() * 1.2
    assert (np.array(read_mask(path)) > 0).sum() == pytest.approx(MARKED.sum(), rel=0.1)
    assert not np.array(read_mask(save(tmp_path / "none.jpg", INK * 0, quality=60))).any()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_drawn_before_its_image_was_turned(orientation: int, suffix: str, tmp_path: Path) -> None:
    pixels = np.where(MARKED, 255, 40).astype(np.uint8)
    image = save(tmp_path / f"a.{suffix}", pixels, exif=noted(orientation))
    stored, upright = save(tmp_path / "m.png", INK), tmp_path / "u.png"
    bright = np.array(read_image(image))[..., 0] > 150
    save(upright, bright.astype(np.uint8) * 255)
    assert header(image).size == (20, 30)
    for mask in (stored, upright):
        found = np.array(read_mask(mask, image)) > 0
        assert (found == bright).mean() > 0.97
        assert 60 < bright.sum() < 80


@pytest.mark.parametrize(("shape", "orientation"), [((20, 20), 6), ((20, 30), 3), ((20, 30), 2)])
def test_nobody_can_tell_when_a_mask_was_drawn(shape: tuple[int, int], orientation: int, tmp_path: Path) -> None:
    image = save(tmp_path / "a.jpg", np.zeros(shape, np.uint8), exif=noted(orientation))
    with pytest.raises(ValueError, match=r"a\.jpg: is turned by its EXIF note, .*m\.png.*save the image upright"):
        read_mask(save(tmp_path / "m.png", np.zeros(shape, np.uint8)), image)


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_no_region_vanishes_when_a_mask_becomes_small(width: int, tmp_path: Path) -> None:
    for x in range(50, 950, 97):
        scratch = np.zeros((1000, 1000), np.uint8)
        scratch[200:800, x : x + width] = 255
        scratch[900, 900] = 255  # a hole of one pixel
        masks = (save(tmp_path / "m.png", scratch),)
        small = Images(np.zeros((1, 1000, 1000), np.uint8), ("a",), masks=masks).mask_pixels(128)[0]
        assert ndimage.label(small, np.ones((3, 3)))[1] == 2
        assert small[26:102, x * 128 // 1000].all() or small[26:102].any(1).all()
        assert small.sum() <= 4 * scratch.astype(bool).mean() * 128**2 + 80


def test_a_mask_that_marks_nearly_all_is_asked_about(tmp_path: Path) -> None:
    masks = (save(tmp_path / "m.png", 255 - INK),)
    images = Images(np.zeros((1, 20, 30), np.uint8), ("a",), masks=masks)
    with pytest.warns(UserWarning, match=r"m\.png: marks 8\d% of its image .*invert it"):
        images.mask_pixels(32)


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


def labels(root: Path, *kinds: str) -> dict[str, int]:
    for kind in ("train/good", *(f"test/{k}" for k in kinds)):
        save(root / "part" / kind / "0.png")
    found = mvtec_layout(root, "part", dataset="mine").test
    return {name.partition("/")[0]: int(label) for name, label in zip(found.names, known(found.labels), strict=True)}


@pytest.mark.parametrize("good", ["good", "Good", "OK", "normal", "PASS"])
@pytest.mark.parametrize("bad", ["crack", "NG", "nok", "bad", "broken_large"])
def test_labels_from_the_names_of_folders(good: str, bad: str, tmp_path: Path) -> None:
    (tmp_path / "part" / "test" / "@eaDir").mkdir(parents=True)
    assert labels(tmp_path, good, bad, ".ipynb_checkpoints", "__MACOSX") == {good: 0, bad: 1}


@pytest.mark.parametrize("unclear", ["good_day2", "not_good", "OK-2", "no_defect", "normal 3"])
def test_an_unclear_name_is_asked_about(unclear: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"test/{unclear}: good images or a kind of defect\? Rename it"):
        labels(tmp_path, "good", "crack", unclear)


def test_what_is_trained_on(tmp_path: Path) -> None:
    for kind in ("train/Good", "test/good", "test/crack"):
        save(tmp_path / "part" / kind / "0.png")
    assert mvtec_layout(tmp_path, "part", dataset="mine").train.names == ("Good/0.png",)
    save(tmp_path / "part" / "train" / "good_day2" / "0.png")
    with pytest.warns(LeftOut, match=r"train: not judged: 1: good_day2 \(not trained on\)"):
        assert mvtec_layout(tmp_path, "part", dataset="mine").train.names == ("Good/0.png",)
