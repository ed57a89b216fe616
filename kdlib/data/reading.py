"""Image files: which ones a folder holds, their size, and their pixels as 8-bit RGB, upright."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
ORIENTATION = 274  # the EXIF tag; from 5 on width and height change places


def read_image(path: Path) -> Image.Image:
    """An 8-bit RGB image, upright as its EXIF note says; transparency is dropped.

    16-bit values are divided by 257, whatever part of their range is used. Where all of them lie below 4096 the image
    is refused: they are 12-bit values, or so dark that 16 of the 256 levels would be left.

    Raises ValueError: the file is not an image, or not a whole one, or its values have no certain range: floating
    point, 16-bit below 4096, 32-bit above 65535.
    """
    with _opened(path) as file:
        deep = ";16" in str(file.tile) and file.format != "BMP"  # PIL halves 16-bit colours itself; BMP's have 5 bits
        _turn(file)
        if file.mode == "F":
            raise ValueError(f"{path}: holds floating-point values, of no certain range; save it with 8 bits")
        if file.mode.startswith("I"):
            values = np.array(file)
            low, high = int(values.min()), int(values.max())
            if low < 0 or high > 65535:
                raise ValueError(f"{path}: values from {low} to {high}, expected 0 to 65535; save it with 8 bits")
            image = Image.fromarray((values // 257).astype(np.uint8)).convert("RGB")
        else:
            transparent = "transparency" in file.info  # PIL warns when it goes from a palette to RGB at once
            image = (file.convert("RGBA") if transparent else file).convert("RGB")
            high = 256 * max(top for _, top in image.getextrema()) if deep else 65535  # type: ignore[misc]
        if high < 4096:
            what = "16-bit, but all values lie below 4096 and would become nearly black"
            raise ValueError(f"{path}: {what}; multiply 12-bit values by 16, or save it with 8 bits")
        return image


def read_mask(path: Path) -> Image.Image:
    """A mask as 8-bit grey, non-zero where defective, whatever the values are."""
    with _opened(path) as file:
        if file.mode[0] in "IF":
            _turn(file)
            return Image.fromarray(np.array(file) != 0).convert("L")
    return read_image(path).convert("L")


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from the header alone; ValueError where the file is not an image."""
    with _opened(path) as file:
        turned = 1
        if file.format != "TIFF" and "exif" in file.info:  # PIL has turned TIFF's already
            with suppress(Exception):
                turned = file.getexif().get(ORIENTATION, 1)
        return file.size if turned not in (5, 6, 7, 8) else (file.height, file.width)


def list_images(folder: Path) -> tuple[Path, ...]:
    """Image files of a folder, sorted by name, so that every machine sees one order.

    Raises FileNotFoundError, NotADirectoryError: no such folder, or no image in it; tells what is there instead.
    """
    if folder.is_file():
        raise NotADirectoryError(f"{folder}: is a file, expected a folder of images")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    found = tuple(sorted(p for p in folder.iterdir() if _is_image(p)))
    if not found:
        raise FileNotFoundError(f"{folder}: no images in it; {_instead(folder)}")
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _instead(folder: Path) -> str:
    """What to do about a folder without images."""
    if (folder / "train" / "good").is_dir():
        return f"it has train/good: give {folder / 'train' / 'good'}"
    below = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    if holders := [p.name for p in below if p.is_dir() and any(map(_is_image, p.iterdir()))]:
        return f"its subfolders {', '.join(holders[:5])}{' …' * (len(holders) > 5)} hold images: name one of them"
    other = sorted({p.suffix for p in below if p.suffix and p.is_file()})
    found = f", found {', '.join(other)}" if other else ""
    return f"expected files that end in {', '.join(SUFFIXES)}{found}"


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """The file, header read; what PIL raises on broken files, here or while it decodes, as ValueError."""
    try:
        with Image.open(path) as file:
            yield file
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        unknown = isinstance(error, UnidentifiedImageError)  # repeats the path
        reason = "of no known format" if unknown else getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: not a readable image ({reason}); replace or remove it") from error


def _turn(file: ImageFile.ImageFile) -> None:
    """Decode, and turn as the EXIF note says."""
    file.load()
    with suppress(Exception):  # what a damaged note raises depends on its bytes; it is taken for none
        ImageOps.exif_transpose(file, in_place=True)
