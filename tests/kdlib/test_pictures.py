"""What a user has is read as it is meant, or refused, or named; each kind with real small files."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from scipy import ndimage

from kdlib import Images
from kdlib.data import as_images, mvtec_layout
from kdlib.data.reading import LeftOut, image_size, list_images, read_image, read_mask, to_8_bit

RNG = np.random.default_rng(0)
FRAME = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)  # height, width, colours


def save(path: Path, pixels: np.ndarray = FRAME, kind: str | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, kind, **options)
    return path


# --- one picture is one picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one",
    [
        FRAME,
        FRAME[..., 0],
        FRAME[..., :1],
        np.dstack([FRAME, np.full(FRAME.shape[:2], 255, np.uint8)]),
        FRAME / 255,
        Image.fromarray(FRAME),
        torch.from_numpy(FRAME.transpose(2, 0, 1).copy()),
        torch.from_numpy(FRAME.transpose(2, 0, 1) / 255).float(),
        torch.from_numpy(FRAME[..., 0].copy())[None],
        [FRAME],
        [Image.fromarray(FRAME)],
    ],
)
def test_one_picture(one: object) -> None:
    images = as_images(one)  # type: ignore[arg-type]
    assert (len(images), images.size) == (1, (30, 20))
    found = np.array(images.image(0))
    grey = not np.array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found, FRAME if grey else FRAME[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize(
    "many",
    [
        np.stack([FRAME] * 5),
        np.stack([FRAME[..., 0]] * 5),
        np.stack([FRAME[..., :1]] * 3),
        torch.from_numpy(np.stack([FRAME] * 5)).permute(0, 3, 1, 2),
        [Image.fromarray(FRAME)] * 5,
        [FRAME, FRAME, FRAME, FRAME, FRAME],
    ],
)
def test_many_pictures(many: Sequence[object]) -> None:
    images = as_images(many)  # type: ignore[arg-type]
    assert (len(images), images.size) == (len(many), (30, 20))
    assert images.pixels(32).shape == (len(many), 3, 32, 32)


def test_files_and_lists_of_files(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{name}.png") for name in "ba"]
    assert as_images(files).names == ("b.png", "a.png")
    assert as_images(str(files[0])).names == ("b.png",)
    with pytest.raises(FileNotFoundError, match=r"c\.png: no such file"):
        as_images([*files, tmp_path / "c.png"])
    with pytest.raises(ValueError, match="is a folder among files"):
        as_images([*files, tmp_path])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (FRAME.transpose(2, 0, 1), "may be 3 grey images or one with channels first"),
        (as_images(FRAME)[[]], "there are none"),
        ([], "there are none"),
        ([FRAME, FRAME[:, :20]], "pictures of mixed sizes"),
        (FRAME.astype(np.int64), r"uint8, uint16 or floating; found int64 \(20, 30, 3\)"),
        (FRAME.astype(np.uint16), "colours are expected in 8 bits"),
        (np.zeros(5, np.uint8), r"found uint8 \(5,\)"),
    ],
)
def test_what_may_be_one_or_many_or_none(images: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^images: .*{message}"):
        as_images(images)  # type: ignore[arg-type]


# --- everything in a folder is judged or named ------------------------------------------------------------------------


def test_pictures_by_content_and_suffix(tmp_path: Path) -> None:
    kinds = {"a.png": None, "b.jfif": "JPEG", "c.jpe": "JPEG", "d.gif": None, "e.pgm": None, "f.jp2": None, "g": "PNG"}
    kinds |= {"h.avif": None, "i.IMG": "TIFF"}
    for name, kind in kinds.items():
        save(tmp_path / name, FRAME[..., 0], kind)
    (tmp_path / "notes.txt").write_text("good ones")
    (tmp_path / "labels.csv").write_text("a.png,1")
    assert [p.name for p in list_images(tmp_path)] == list(kinds)
    assert len(as_images(tmp_path).pixels(32)) == len(kinds)


@pytest.mark.parametrize(
    ("add", "named"),
    [
        (lambda t: save(t / "tray2" / "b.png"), "tray2/ (a folder)"),
        (lambda t: save(t / "tray2" / "deep" / "b.png"), "tray2/ (a folder)"),
        (lambda t: (t / "b.heic").write_bytes(b"\0\0\0\x18ftypheic"), "b.heic (not read)"),
        (lambda t: (t / "b.npy").write_bytes(b"numbers"), "b.npy (not read)"),
        (lambda t: (t / "b.zip").write_bytes(b"PK"), "b.zip (not read)"),
        (lambda t: save(t / "a_label.bmp", FRAME[..., 0]), "a_label.bmp (a mask)"),
        (lambda t: save(t / "A-mask.png", FRAME[..., 0]), "A-mask.png (a mask)"),
        (
            lambda t: save(t / "b.tif", save_all=True, append_images=[Image.fromarray(FRAME)] * 2),
            "b.tif (the first of 3 pages or frames is read)",
        ),
        (
            lambda t: save(t / "b.gif", save_all=True, append_images=[Image.fromarray(255 - FRAME)]),
            "b.gif (the first of 2 pages or frames is read)",
        ),
    ],
)
def test_what_is_not_read_is_named(add: Callable[[Path], object], named: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    add(tmp_path)
    with pytest.warns(LeftOut) as found:
        images = as_images(tmp_path)
    assert f"{tmp_path}: not judged: 1: {named}" in str(found[0].message)
    assert {p.name for p in tmp_path.iterdir()} - set(images.names) <= {named.partition("/")[0].partition(" ")[0]}


def test_what_programs_leave_is_nobody_s_picture(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git"):
        save(tmp_path / name / "a.png")
    for name in (".DS_Store", "Thumbs.db", "._a.png", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    assert as_images(tmp_path).names == ("a.png",)


# --- bit depth --------------------------------------------------------------------------------------------------------

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
    assert images.levels is not None
    low, high = images.levels
    usual = values[1:]
    assert low < usual.min() < usual.max() < high  # room for what is darker or brighter than any good image
    worked_with = images.pixels(64)[0, 0].numpy()
    assert len(np.unique(worked_with)) > 150
    np.testing.assert_array_equal(worked_with, to_8_bit(values.astype(float), (low, high)))


def test_levels_are_those_that_are_given(tmp_path: Path) -> None:
    save(tmp_path / "deep.png", np.array([[0, 1000, 1500, 2000, 65535]], np.uint16))
    found = np.array(read_image(tmp_path / "deep.png", levels=(1000, 2000)))[0, :, 0]
    assert found.tolist() == [0, 0, 128, 255, 255]
    assert as_images(np.full((2, 8, 8), 1500, np.uint16)).pixels(8, levels=(1000, 2000)).unique().tolist() == [128]


def test_levels_are_learned_over_all_images(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png", (1000 * number + SCENE * 100).astype(np.uint16))
    low, high = as_images(tmp_path).levels or (0, 0)
    assert low == pytest.approx(0 - 2100 / 4, abs=30)
    assert high == pytest.approx(2100 + 2100 / 4, abs=30)
    means = as_images(tmp_path).pixels(64).float().mean((1, 2, 3))
    assert (means.diff() > 50).all()  # not stretched one by one: brightness stays comparable


def test_eight_bits_have_no_levels_and_both_do_not_mix(tmp_path: Path) -> None:
    save(tmp_path / "a.png", FRAME[..., 0])
    assert as_images(tmp_path).levels is None
    save(tmp_path / "b.png", FRAME[..., 0].astype(np.uint16))
    with pytest.raises(ValueError, match=r"1 of 2 have more than 8 bits.*such as a\.png"):
        as_images(tmp_path).pixels(32)


def test_values_that_are_none(tmp_path: Path) -> None:
    values = SCENE.astype(np.float32)
    values[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"deep\.tiff: 1 values are not finite"):
        read_image(save(tmp_path / "deep.tiff", values))


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


# --- orientation, transparency, masks ---------------------------------------------------------------------------------


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


def turned(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    note = Image.Exif()
    note[274] = orientation
    return save(path, pixels, exif=note)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_drawn_before_its_image_was_turned(orientation: int, suffix: str, tmp_path: Path) -> None:
    pixels = np.where(MARKED, 255, 40).astype(np.uint8)
    image = turned(tmp_path / f"a.{suffix}", pixels, orientation)
    stored, upright = save(tmp_path / "m.png", INK), tmp_path / "u.png"
    bright = np.array(read_image(image))[..., 0] > 150
    save(upright, bright.astype(np.uint8) * 255)
    assert image_size(image) == (20, 30)
    for mask in (stored, upright):
        found = np.array(read_mask(mask, image)) > 0
        assert (found == bright).mean() > 0.97
        assert 60 < bright.sum() < 80


@pytest.mark.parametrize(("shape", "orientation"), [((20, 20), 6), ((20, 30), 3), ((20, 30), 2)])
def test_nobody_can_tell_when_a_mask_was_drawn(shape: tuple[int, int], orientation: int, tmp_path: Path) -> None:
    image = turned(tmp_path / "a.jpg", np.zeros(shape, np.uint8), orientation)
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


# --- labels from folders ----------------------------------------------------------------------------------------------


def labels(root: Path, *kinds: str) -> dict[str, int]:
    for kind in ("train/good", *(f"test/{k}" for k in kinds)):
        save(root / "part" / kind / "0.png")
    found = mvtec_layout(root, "part", dataset="mine").test
    assert found.labels is not None
    return {name.partition("/")[0]: int(label) for name, label in zip(found.names, found.labels, strict=True)}


@pytest.mark.parametrize("good", ["good", "Good", "OK", "normal", "PASS"])
@pytest.mark.parametrize("bad", ["crack", "NG", "nok", "bad", "broken_large"])
def test_labels_from_the_names_of_folders(good: str, bad: str, tmp_path: Path) -> None:
    assert labels(tmp_path, good, bad, ".ipynb_checkpoints", "__MACOSX") == {good: 0, bad: 1}


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", "@eaDir", "__MACOSX"])
def test_hidden_folders_are_no_defects(hidden: str, tmp_path: Path) -> None:
    (tmp_path / "part" / "test" / hidden).mkdir(parents=True)
    assert labels(tmp_path, "good", "crack") == {"good": 0, "crack": 1}


@pytest.mark.parametrize("unclear", ["good_day2", "not_good", "OK-2", "no_defect", "normal 3"])
def test_an_unclear_name_is_asked_about(unclear: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"test/{unclear}: good images or a kind of defect\? Rename it"):
        labels(tmp_path, "good", "crack", unclear)


def test_good_images_that_are_not_trained_on_are_named(tmp_path: Path) -> None:
    save(tmp_path / "part" / "train" / "good_day2" / "0.png")
    with pytest.warns(LeftOut, match=r"train: not judged: 1: good_day2 \(not trained on\)"):
        labels(tmp_path, "good", "crack")


def test_a_training_folder_in_other_letters(tmp_path: Path) -> None:
    for kind in ("train/Good", "test/good", "test/crack"):
        save(tmp_path / "part" / kind / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mvtec_layout(tmp_path, "part", dataset="mine").train.names == ("Good/0.png",)


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_the_largest_image_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = tmp_path / "scan.png"
    Image.new("1", (20_000, 10_000)).save(scan)
    with pytest.raises(ValueError, match=r"scan\.png: has more than 180 million pixels; .*KDLIB_MAX_PIXELS"):
        as_images(tmp_path)
    monkeypatch.setenv("KDLIB_MAX_PIXELS", "3e8")
    assert as_images(tmp_path).size == (20_000, 10_000)
    monkeypatch.setenv("KDLIB_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match="KDLIB_MAX_PIXELS: expected a number of pixels, found 'many'"):
        as_images(tmp_path)
