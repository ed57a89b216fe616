"""Image files: which ones a folder holds, their size, and their pixels as 8-bit RGB, upright; masks of them."""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

# By suffix, as far as PIL reads them. A file of another suffix is one of them if PIL recognises its content.
SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp")
SUFFIXES += (".gif", ".avif", ".pgm", ".ppm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx")
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "AVIF", "PPM", "JPEG2000", "HEIF")  # HEIF by a plug-in
WITH_FRAMES = (".tif", ".tiff", ".gif", ".webp", ".avif")
NOTES: tuple[str, ...] = (".txt", ".csv", ".tsv", ".json", ".xml", ".md", ".yaml", ".yml")
NOTES += (".toml", ".ini", ".log", ".html", ".py", ".ipynb")
MASK = re.compile(r"(.+?)[-_ .]?(?:mask|label|gt|seg|segmentation|annotation|ground_?truth)s?", re.IGNORECASE)
ORIENTATION, PHOTOMETRIC, BITS = 274, 262, 258  # tags of EXIF and TIFF
WHITE_IS_ZERO = 0
DEEP = "IF"  # first letters of the modes that PIL has for grey images with more than 8 bits
Levels = tuple[float, float]  # values that are shown black and white, of images with more than 8 bits


class LeftOut(UserWarning):
    """Something in a folder that may be a picture is not read."""


def read_image(path: Path) -> Image.Image:
    """An 8-bit RGB image, upright as its EXIF note says, on white where it is transparent.

    Grey images with more than 8 bits, and floating-point ones, have `own_levels`, which is right for looking at it and
    for nothing else. Raises ValueError: not a whole image; values that are not finite; 16-bit colours of which a small
    part of the range is used, as PIL keeps 8 bits of them.
    """
    with _opened(path) as file:
        if file.mode[0] in DEEP:
            return shown(_values(file, path))
        deep = ";16" in str(file.tile) and file.format != "BMP"  # BMP's 16 bits are three colours of 5
        image = as_rgb(file)
        if deep and np.ptp(np.array(image)) < 64:
            raise ValueError(f"{path}: 16-bit colours of which a small range is used; stretch and save it with 8 bits")
        return image


def as_rgb(image: Image.Image) -> Image.Image:
    """An image of 8 bits as RGB, upright, on white where it is transparent."""
    image = upright(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """A decoded image, turned as its EXIF note says."""
    image.load()
    with suppress(Exception):  # a damaged note is taken for none
        return ImageOps.exif_transpose(image)
    return image


def read_values(path: Path) -> np.ndarray:
    """The values of an image that `is_deep`, upright, higher is brighter: (H, W), double."""
    with _opened(path) as file:
        return _values(file, path)


def shown(values: np.ndarray, levels: Levels | None = None) -> Image.Image:
    """Pixels (H, W) or (H, W, 3) as RGB: of 8 bits as they are, of more with ``levels`` as black and white."""
    if values.dtype != np.uint8:
        low, high = levels or own_levels(values)
        scaled = (values - low) * (255 / max(high - low, float(np.finfo(np.float32).tiny)))
        values = np.round(scaled).clip(0, 255).astype(np.uint8)  # what lies outside is black or white
    return Image.fromarray(values).convert("RGB")


def own_levels(values: np.ndarray) -> Levels:
    """Black and white for one image: all but a thousandth of its values at either end, so that no hot pixel decides."""
    low, high = np.percentile(values, 0.1, method="lower"), np.percentile(values, 99.9, method="higher")
    return float(low), float(high)


def read_mask(path: Path, image: Path | None = None) -> Image.Image:
    """A mask as 8-bit grey, upright, non-zero where defective.

    Whatever is not black counts, of JPEG what is nearer to white, as its black is not exact. Where transparency
    varies, what is seen counts. Where EXIF turns its ``image``, and the mask was drawn before that, the mask is turned
    as well. Raises ValueError: not an image, or nobody can tell how a turned image and its mask belong together.
    """
    with _opened(path) as file:
        lossy = file.format in ("JPEG", "MPO")
        drawn = upright(file)
        if drawn.mode[0] in DEEP:
            marked = np.array(drawn) != 0
        elif lossy:
            grey = np.array(drawn.convert("L"))
            marked = grey > max(int(np.max(grey)), 64) // 2
        else:
            rgba = np.array(drawn.convert("RGBA"))
            marked, seen = rgba[..., :3].any(2), rgba[..., 3] > 0
            if drawn.mode == "P" and marked.all():  # number 0 is background, whatever its colour
                marked = np.array(drawn) != 0
            if not seen.all():
                marked = marked & seen if (marked & seen).any() else seen
    mask = Image.fromarray(marked).convert("L")
    if image is None or header(path).turn != 1:
        return mask
    size, turn, _ = header(image)
    if turn == 1:
        return mask
    if turn < 5 or size[0] == size[1]:
        what = f"is turned by its EXIF note, and nobody can tell whether {path.name} was drawn before or after"
        raise ValueError(f"{image}: {what}; save the image upright, without the note")
    if mask.size == size[::-1]:  # drawn before the image was turned
        mask.getexif()[ORIENTATION] = turn
    return upright(mask)


class Header(NamedTuple):
    """What is known of an image before it is decoded."""

    size: tuple[int, int]  # width and height of the upright image
    turn: int  # by its EXIF note: 1 for upright, from 5 on width and height change places
    deep: bool  # grey, with more than 8 bits


def header(path: Path) -> Header:
    """Of an image file; ValueError: it is none."""
    with _opened(path) as file:
        turn, size = 1, file.size
        with suppress(Exception):  # what a damaged note raises depends on its bytes; it is taken for none
            found = int(file.getexif().get(ORIENTATION, 1))
            turn = found if found in range(1, 9) else 1
        if turn > 4 and file.format != "TIFF":  # of a TIFF PIL gives the size of the upright image
            size = size[::-1]
        return Header(size, turn, file.mode[0] in DEEP)


def common_size(files: Iterable[Path], where: str) -> tuple[int, int]:
    """Width and height of all these images, upright; ValueError: two that differ, or a file that is no image."""
    sizes = {header(path).size: path for path in files}
    if len(sizes) > 1:
        first, second, *_ = ("{} is {}x{}".format(path, *size) for size, path in sizes.items())
        raise ValueError(f"{where}: images of mixed sizes: {first}, {second}; crop or resize them to one size first")
    return next(iter(sizes))


def list_images(folder: Path) -> tuple[Path, ...]:
    """Image files of a folder, sorted by name, so that every machine sees one order.

    Warns, as `LeftOut`, of what may be a picture and is not among them: sub-folders with files, formats that PIL does
    not read, further pages or frames of a file, masks beside their images. Raises FileNotFoundError,
    NotADirectoryError: no such folder, or no image in it; tells what is there instead.
    """
    if folder.is_file():
        raise NotADirectoryError(f"{folder}: is a file, expected a folder of images")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    entries = sorted(p for p in folder.iterdir() if not is_litter(p.name))
    found = [p for p in entries if not p.is_dir() and _is_image(p)]
    stems = {p.stem.lower() for p in found}
    masks = {p for p in found if (name := MASK.fullmatch(p.stem)) and name[1].lower() in stems - {p.stem.lower()}}
    found = [p for p in found if p not in masks]
    if not found:
        raise FileNotFoundError(f"{folder}: no images in it; {_instead(folder)}")
    others = {f"{p.name}/": "a folder" for p in entries if p.is_dir() and any(map(_matters, p.rglob("*")))}
    others |= {p.name: "a mask" for p in entries if p in masks}
    known = {*found, *masks}
    others |= {p.name: "not read" for p in entries if p not in known and not p.is_dir() and _matters(p)}
    warn_of_left_out(str(folder), others | frames_left_out(found))
    return tuple(found)


def frames_left_out(files: Iterable[Path]) -> dict[str, str]:
    """Which further pages or frames of files are not read."""
    found = {}
    for path in files:
        if path.suffix.lower() in WITH_FRAMES:
            with suppress(ValueError), _opened(path) as file:  # a file that cannot be read is an error later
                if (count := getattr(file, "n_frames", 1)) > 1:
                    found[path.name] = f"the first of {count} pages or frames is read"
    return found


def warn_of_left_out(where: str, others: dict[str, str]) -> None:
    """One warning that names what is not read and why."""
    if others:
        named = ", ".join(f"{name} ({why})" for name, why in list(others.items())[:10])
        more = f" and {len(others) - 10} more" if len(others) > 10 else ""
        warnings.warn(f"{where}: not judged: {len(others)}: {named}{more}", LeftOut, stacklevel=3)


def is_litter(name: str) -> bool:
    """Whether a file or folder is there for a program's sake: hidden ones, ``__MACOSX``, ``@eaDir``, ``Thumbs.db``."""
    return name.startswith((".", "@", "__", "$", "~")) or name.lower() in ("thumbs.db", "desktop.ini", "lost+found")


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix.lower() in NOTES or not path.is_file():  # nobody may ever write to a pipe
        return False
    with suppress(Exception), Image.open(path, formats=_formats()):
        return True
    return False


def _matters(path: Path) -> bool:
    """Whether a file may hold a picture: anything that is no note beside pictures and no program's own."""
    return path.is_file() and not is_litter(path.name) and path.suffix.lower() not in NOTES


def _instead(folder: Path) -> str:
    """What to do about a folder without images."""
    if (folder / "train" / "good").is_dir():
        return f"it has train/good: give {folder / 'train' / 'good'}"
    below = sorted(p for p in folder.iterdir() if not is_litter(p.name))
    if holders := [p.name for p in below if p.is_dir() and any(q.suffix.lower() in SUFFIXES for q in p.iterdir())]:
        return f"its subfolders {', '.join(holders[:5])}{' …' * (len(holders) > 5)} hold images: name one of them"
    other = sorted({p.suffix for p in below if p.suffix and p.is_file()})
    found = f", found {', '.join(other)}" if other else ""
    return f"expected files that end in {', '.join(SUFFIXES)}{found}"


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """The file, header read; what PIL raises on broken files, here or while it decodes, as ValueError."""
    try:
        # Not by name: PIL would map an uncompressed TIFF into memory, and scramble it where EXIF turns it.
        with path.open("rb") as stream, Image.open(stream, formats=_formats()) as file:
            yield file
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # repeats the path
        reason = "of no known format" if unknown else getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: not a readable image ({reason}); replace or remove it") from error


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _values(file: ImageFile.ImageFile, path: Path) -> np.ndarray:
    tags = getattr(file, "tag_v2", {})
    inverted, bits = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and file.mode != "F", int(tags.get(BITS, (16,))[0])
    values = np.array(upright(file)).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: {np.count_nonzero(~np.isfinite(values))} values are not finite; replace them")
    return 2**bits - 1 - values if inverted else values
