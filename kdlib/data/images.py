"""`Images`: pictures on demand with labels, masks, names and a fingerprint. One small type for every data set."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kdlib.data.reading import image_size, list_images, read_image, read_mask
from kdlib.files import keep_array, work_folder


@dataclass(frozen=True, eq=False)
class Images:
    """Images in memory or on disk."""

    content: np.ndarray | tuple[Path, ...]  # 8-bit pixels, (N, H, W) or (N, H, W, 3), or the files to read
    names: tuple[str, ...]  # what to call each image
    labels: np.ndarray | None = None  # 0 normal, 1 anomalous, (N,); None where unknown
    masks: tuple[Path | None, ...] | None = None  # one file or None (no defect) per image; None where there are none
    size: tuple[int, int] | None = None  # width and height, pixels, of every image; None where they differ or unknown

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
        """One image as 8-bit RGB; ValueError where the file is not a readable image."""
        if isinstance(self.content, np.ndarray):
            return Image.fromarray(self.content[index]).convert("RGB")
        return read_image(self.content[index])

    def pixels(self, size: int, *, crop: int | None = None, keep: bool = False) -> Tensor:
        """All images resized to ``size`` x ``size``, then centre-cropped: 8-bit, (N, 3, S, S).

        Where they are to be kept, they are mapped from the work folder: the next who asks does not decode again.
        Raises a ValueError that names every file that cannot be read, and an OSError where the disk is full.
        """
        if keep:
            path = work_folder() / "pixels" / f"{self.fingerprint}-{size}-{crop or size}.npy"
            return torch.from_numpy(keep_array(path, lambda: self.pixels(size, crop=crop).numpy()))
        side = crop or size
        out = torch.empty((len(self), 3, side, side), dtype=torch.uint8)

        def one(index: int) -> str | None:
            try:
                image = _resize(self.image(index), size, crop, Image.Resampling.BILINEAR)
            except ValueError as error:
                return str(error)
            out[index] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            return None

        with ThreadPoolExecutor() as pool:
            problems = [p for p in pool.map(one, range(len(self))) if p]
        if problems:
            raise ValueError(f"{len(problems)} of {len(self)} images cannot be read:\n" + "\n".join(problems))
        return out

    def mask_pixels(self, size: int, *, crop: int | None = None) -> np.ndarray:
        """Masks at the same working size, True where defective: (N, S, S); all False without masks."""
        side = crop or size
        out = np.zeros((len(self), side, side), dtype=bool)
        for index, path in enumerate(self.masks or ()):
            if path is not None:
                out[index] = np.array(_resize(read_mask(path), size, crop, Image.Resampling.NEAREST)) > 0
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


def as_images(images: "Images | str | Path | np.ndarray | Tensor") -> Images:
    """What a user has, as `Images`.

    Args:
        images: a folder; an array (N, H, W) or (N, H, W, 3) of 8-bit values; a float tensor (N, 3, H, W) in [0, 1].

    Raises ValueError: another shape or type, values outside [0, 1], NaN, no image; files of mixed sizes or unreadable;
    OSError: no such folder, or no image in it.
    """
    if isinstance(images, Images):
        return images
    if isinstance(images, str | Path):
        files = list_images(Path(images))
        sizes = {image_size(path): path for path in files}
        if len(sizes) > 1:
            (a, first), (b, second), *_ = sizes.items()
            what = f"{first.name} is {a[0]}x{a[1]}, {second.name} is {b[0]}x{b[1]}"
            raise ValueError(f"{images}: images of mixed sizes: {what}; crop or resize them to one size first")
        return Images(files, tuple(path.name for path in files), size=next(iter(sizes)))
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    expected = "8-bit (N, H, W) or (N, H, W, 3), or float (N, 3, H, W) in [0, 1]"
    if array.dtype.kind == "f" and array.ndim == 4 and array.shape[1] == 3:
        if not np.isfinite(array).all():
            bad = np.unique(np.nonzero(~np.isfinite(array))[0])
            raise ValueError(f"images: NaN or infinite pixels in {len(bad)} of {len(array)}, first in number {bad[0]}")
        if array.size and (array.min() < 0 or array.max() > 1):
            raise ValueError(f"images: expected {expected}; found values from {array.min():.3g} to {array.max():.3g}")
        array = np.round(array * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    if array.dtype != np.uint8 or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)):
        raise ValueError(f"images: expected {expected}; found {array.dtype} {tuple(array.shape)}")
    if not array.size:
        raise ValueError("images: there are none")
    return Images(array, tuple(str(i) for i in range(len(array))), size=(array.shape[2], array.shape[1]))


def _resize(image: Image.Image, size: int, crop: int | None, resample: Image.Resampling) -> Image.Image:
    if image.size != (size, size):
        image = image.resize((size, size), resample)
    if crop is None:
        return image
    start = (size - crop) // 2
    return image.crop((start, start, start + crop, start + crop))
