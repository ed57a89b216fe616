"""`Images`: pictures on demand with labels, masks, names and a fingerprint. One small type for every data set."""

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from kdlib.data import reading
from kdlib.data.reading import Levels, own_levels
from kdlib.files import keep_array, work_folder

OUTSIDE = 1e-4  # of an image's values may lie outside of given levels before that is said: a few dead pixels


@dataclass(frozen=True, eq=False)
class Images:
    """Images in memory or on disk."""

    # Pixels (N, H, W) or (N, H, W, 3), 8-bit, grey ones of any other depth too; or the files to read.
    content: np.ndarray | tuple[Path, ...]
    names: tuple[str, ...]  # what to call each image
    labels: np.ndarray | None = None  # 0 normal, 1 anomalous, (N,); None where unknown
    masks: tuple[Path | None, ...] | None = None  # one file or None (no defect) per image; None where there are none
    size: tuple[int, int] | None = None  # width and height, pixels, of every image; None where they differ or unknown
    where: str = "images"  # what errors call them

    def __post_init__(self) -> None:
        for what in (self.names, self.labels, self.masks):
            if what is not None and len(what) != len(self.content):
                raise ValueError(f"images: {len(self.content)} images, but {len(what)} names, labels or masks")

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, chosen: int | slice | Sequence[int] | np.ndarray) -> Self:
        """The chosen images, as `Images` again."""
        which, content = np.atleast_1d(np.arange(len(self))[chosen]), self.content
        return replace(
            self,
            content=content[which] if isinstance(content, np.ndarray) else tuple(content[i] for i in which),
            names=tuple(self.names[i] for i in which),
            labels=None if self.labels is None else self.labels[which],
            masks=None if self.masks is None else tuple(self.masks[i] for i in which),
        )

    def image(self, index: int) -> Image.Image:
        """One image as 8-bit RGB, to look at, as `reading.read_image` has it; ValueError where it cannot be read."""
        content = self.content[index]
        return reading.read_image(content) if isinstance(content, Path) else reading.shown(content)

    @cached_property
    def deep(self) -> bool:
        """Whether these have more than 8 bits; ValueError where some have and some do not, or cannot be read."""
        if isinstance(self.content, np.ndarray):
            return self.content.dtype != np.uint8
        with ThreadPoolExecutor() as pool:
            each = [found.deep for found in pool.map(reading.header, self.content)]
        if len(set(each)) == 2:
            what = f"{sum(each)} of {len(each)} have more than 8 bits, the others have 8"
            raise ValueError(f"{self.where}: {what}, such as {self.names[each.index(False)]}; save all of them alike")
        return any(each)

    @cached_property
    def levels(self) -> Levels | None:
        """Black and white where images are `deep`, else None: nearly all values lie between, with a margin."""
        if not self.deep:
            return None
        with ThreadPoolExecutor() as pool:
            lows, highs = zip(*pool.map(lambda index: own_levels(self._values(index)), range(len(self))), strict=True)
        low, high = min(lows), max(highs)
        margin = (high - low) / 4 or 1.0  # an anomaly may be darker or brighter
        return low - margin, high + margin

    def _values(self, index: int) -> np.ndarray:
        content = self.content[index]
        return reading.read_values(content) if isinstance(content, Path) else content

    def pixels(self, size: int, *, crop: int | None = None, levels: Levels | None = None, keep: bool = False) -> Tensor:
        """All images resized to ``size`` x ``size``, then centre-cropped: 8-bit, (N, 3, S, S).

        Where images are `deep`, ``levels`` become black and white, and a warning says what lies outside; by default
        those of these images. What is to be kept is mapped from the work folder: the next who asks does not decode
        again. Raises a ValueError that names every file that cannot be read, and an OSError where the disk is full.
        """
        used = (levels or self.levels) if self.deep else None
        if keep:
            name = f"{self.fingerprint}-{size}-{crop or size}" + ("-{:g}-{:g}".format(*used) if used else "")
            path = work_folder() / "pixels" / f"{name}.npy"
            return torch.from_numpy(keep_array(path, lambda: self.pixels(size, crop=crop, levels=levels).numpy()))
        start, side = (size - (crop or size)) // 2, crop or size
        out, outside = np.empty((len(self), 3, side, side), dtype=np.uint8), np.zeros(len(self))

        def one(index: int) -> str | None:
            try:
                if used:
                    values = self._values(index)
                    outside[index] = np.mean((values < used[0]) | (values > used[1]))
                image = reading.shown(values, used) if used else self.image(index)
            except ValueError as error:
                return str(error)
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            out[index] = np.array(image)[start : start + side, start : start + side].transpose(2, 0, 1)
            return None

        with ThreadPoolExecutor() as pool:
            problems = [p for p in pool.map(one, range(len(self))) if p]
        if problems:
            raise ValueError(f"{len(problems)} of {len(self)} images cannot be read:\n" + "\n".join(problems))
        if levels and used and (found := np.count_nonzero(outside > OUTSIDE)):
            what = "values outside the levels {:g} to {:g}".format(*used)
            worst = f"the worst {100 * outside.max():.2g} % of its pixels; they become black or white"
            warnings.warn(f"{self.where}: {found} of {len(self)} images have {what}, {worst}", stacklevel=2)
        return torch.from_numpy(out)

    def mask_pixels(self, size: int, *, crop: int | None = None) -> np.ndarray:
        """Masks at the same working size, True where defective: (N, S, S); all False without masks."""
        side = crop or size
        out = np.zeros((len(self), side, side), dtype=bool)
        for index, path in enumerate(self.masks or ()):
            if path is not None:
                image = None if isinstance(self.content, np.ndarray) else self.content[index]
                out[index] = _small_mask(np.array(reading.read_mask(path, image)) > 0, size, crop)
                edges = out[index, [0, -1]].all() and out[index, :, [0, -1]].all()
                if edges and (marked := out[index].mean()) > 0.5:
                    what = f"marks {marked:.0%} of its image as defective, the whole border among it"
                    warnings.warn(f"{path}: {what}; if white means good there, invert it", stacklevel=2)
        return out

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all content, file names and masks, the first 16 digits; labels are not part of it."""
        digest = hashlib.sha256()
        if isinstance(self.content, np.ndarray):
            digest.update(repr(self.content.shape).encode() + np.ascontiguousarray(self.content).data)
        else:
            files = (*self.content, *(m for m in self.masks or () if m))
            with ThreadPoolExecutor() as pool:
                hashes = pool.map(lambda path: hashlib.sha256(path.read_bytes()).digest(), files)
                for path, found in zip(files, hashes, strict=True):
                    digest.update(path.name.encode() + found)
        return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Split:
    """What an experiment needs: normal images to train on, labelled images to test with."""

    dataset: str
    normal: str  # the normal class, or the category
    train: Images
    test: Images
    has_masks: bool = False
    copy_note: str = ""  # how this copy of the data differs from the original


Picture = str | Path | Image.Image | np.ndarray | Tensor
ImagesLike = Images | Picture | Iterable[Picture]  # an 8-bit tensor (N, 3, S, S) may hold pixels at working size


def as_images(images: ImagesLike) -> Images:
    """What a user has, as `Images`: one picture is one, and what could be one or many is refused.

    That is a folder, an image file, a PIL image, or any number of image files, PIL images or arrays of one size; an
    array (N, H, W, C), (N, C, H, W), (N, H, W), (H, W, C) or (H, W) with 1, 3 or 4 channels C; a tensor of these shapes
    or (C, H, W). 8-bit values; floating-point ones in [0, 1]; grey ones of more bits, see `Images.levels`. Raises
    ValueError: another shape or type, values outside [0, 1], NaN, no image; files of mixed sizes or unreadable;
    OSError: no such folder, or no image in it.
    """
    if isinstance(images, Images):
        if not len(images):
            raise ValueError("images: there are none")
        return images
    if isinstance(images, str | Path):
        path = Path(images).expanduser()
        return _from_files([path] if path.is_file() else reading.list_images(path), str(images), given=path.is_file())
    if isinstance(images, Image.Image):
        return as_images(np.array(reading.upright(images) if images.mode[0] in "IF" else reading.as_rgb(images)))
    if isinstance(images, np.ndarray | Tensor):
        return _from_array(images)
    if not (pictures := list(images)):
        raise ValueError("images: there are none")
    files = [Path(each).expanduser() for each in pictures if isinstance(each, str | Path)]
    if len(files) == len(pictures):
        return _from_files(files, "images", given=True)
    if files:
        raise ValueError(f"images: {len(files)} of {len(pictures)} are files, the others are pictures; give either")
    arrays = [np.asarray(as_images(picture).content) for picture in pictures]
    if len(kinds := {f"{array.dtype} {array.shape[1:]}" for array in arrays}) > 1:
        raise ValueError(f"images: pictures of mixed sizes or types: {', '.join(sorted(kinds))}")
    return as_images(np.concatenate(arrays))


def _from_files(files: Sequence[Path], where: str, *, given: bool) -> Images:
    if folder := next((path for path in files if path.is_dir()), None):
        raise ValueError(f"{folder}: is a folder among files; give one folder, or files alone")
    if missing := next((path for path in files if not path.is_file()), None):
        raise FileNotFoundError(f"{missing}: no such file")
    if given:
        reading.warn_of_left_out(where, reading.frames_left_out(files))
    return Images(tuple(files), tuple(path.name for path in files), size=reading.common_size(files, where), where=where)


def _from_array(images: np.ndarray | Tensor) -> Images:
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    expected = "(N, H, W, C), (N, C, H, W), (N, H, W), (H, W, C) or (H, W) with 1, 3 or 4 channels"
    shape, channels = tuple(array.shape), (1, 3, 4)
    if array.ndim not in (2, 3, 4) or not (array.dtype.kind == "f" or array.dtype in (np.uint8, np.uint16)):
        raise ValueError(f"images: expected {expected}, uint8, uint16 or floating; found {array.dtype} {shape}")
    if not array.size:
        raise ValueError("images: there are none")
    if array.ndim == 2 or (array.ndim == 3 and (shape[2] in channels or shape[0] in channels)):
        if len(shape) == 3 and shape[2] not in channels and shape[0] != 1 and not isinstance(images, Tensor):
            either = f"{shape[0]} grey images or one with channels first"
            raise ValueError(f"images: {shape} may be {either}; give (N, H, W, 1) or (H, W, C)")
        array = array[None]  # one picture
    if array.ndim == 4 and array.shape[3] not in channels:
        if array.shape[1] not in channels:
            raise ValueError(f"images: expected {expected}; found {array.dtype} {shape}")
        array = array.transpose(0, 2, 3, 1)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            bad = np.unique(np.nonzero(~np.isfinite(array))[0])
            raise ValueError(f"images: NaN or infinite pixels in {len(bad)} of {len(array)}, first in number {bad[0]}")
        low, high = array.min(), array.max()
        if low < 0 or high > 1:
            raise ValueError(f"images: expected floating-point values in [0, 1]; found {low:.3g} to {high:.3g}")
        array = np.round(array * 255).astype(np.uint8)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 and array.ndim == 4:
        raise ValueError(f"images: colours are expected in 8 bits; found {array.dtype} {shape}")
    if array.ndim == 4 and array.shape[3] == 4:  # on white where it is transparent, as files are
        alpha = array[..., 3:] / 255
        array = np.round(array[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return Images(array, tuple(str(i) for i in range(len(array))), size=(array.shape[2], array.shape[1]))


def _small_mask(mask: np.ndarray, size: int, crop: int | None) -> np.ndarray:
    """A mask at working size; a region that would vanish, small or thin, keeps the pixels that it touches."""
    rows_and_columns = (Image.fromarray(np.arange(length, dtype=np.int32)[None]) for length in mask.shape)
    nearest = np.ix_(*(np.array(n.resize((size, 1), Image.Resampling.NEAREST))[0] for n in rows_and_columns))
    regions, count = ndimage.label(mask, np.ones((3, 3)))
    out = mask[nearest]
    for number in set(range(1, count + 1)) - set(np.unique(regions[nearest]).tolist()):
        rows, columns = np.nonzero(regions == number)
        out[rows * size // mask.shape[0], columns * size // mask.shape[1]] = True
    start = (size - (crop or size)) // 2
    return out[start : size - start, start : size - start] if crop else out
