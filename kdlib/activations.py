"""The source's activations of a data set: computed once and kept, as the source is frozen and nothing is augmented."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from kdlib import weights
from kdlib.files import ensure_folder, whole_folder, work_folder
from kdlib.networks import Source, half_precision
from kdlib.recipe import Recipe
from kdlib.tiles import cut

WORKSPACE = 4e9  # bytes of a GPU that a training step, or a map of a batch, needs at most


def make_source(recipe: Recipe, device: torch.device) -> Source:
    """The recipe's source on a device, in the precision that the recipe asks for."""
    source = Source.pretrained(recipe.weights, critical_points=recipe.critical_points)
    dtype = torch.bfloat16 if half_precision(recipe.precision, device) else torch.float32
    return source.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)


def prepare(pixels: Tensor, recipe: Recipe, device: torch.device) -> Tensor:
    """What the networks see: 8-bit pixels (B, 3, H, W) as floats in [0, 1], normalised where the recipe says so."""
    x = pixels.to(device).contiguous(memory_format=torch.channels_last).float().div_(255)
    if recipe.normalize:
        mean, std = (torch.tensor(v, dtype=x.dtype, device=device).view(3, 1, 1) for v in weights.IMAGENET)
        x = x.sub_(mean).div_(std)
    return x


def batch_length(recipe: Recipe, device: torch.device) -> int:
    """Images of a forward pass: as many pixels as 32 of 128 px, which a processor's cache likes best; 128 on a GPU."""
    return max(1, (32 if device.type == "cpu" else 128) * 128**2 // recipe.input_size**2)


def part_length(recipe: Recipe) -> int:
    """Images that are in memory at once where any number is judged: as many as take 32 MiB of pixels."""
    return max(1, 2**25 // (3 * recipe.side**2))


def fits(size: float, device: torch.device) -> bool:
    """Whether so many bytes may stay on a GPU for good: `WORKSPACE` is left free beside them; never on a processor."""
    return device.type == "cuda" and size + WORKSPACE <= torch.cuda.mem_get_info(device)[0]


def source_activations(source: Source, pixels: Tensor, recipe: Recipe, *, key: str = "") -> dict[str, Tensor]:
    """The source's activations of all images, {point: (N, C, H, W)}, in the source's precision.

    Pixels are 8-bit, (N, 3, H, W); where the recipe has tiles, all of their tiles count as images. They stay on the
    source's GPU where they fit (`fits`): there a pass takes less than reading its result from a disk. Where a ``key``
    names the images, they are kept in the work folder and found again. Where they would take more than half of the
    memory that is free, they go to mapped files. Raises OSError: the work folder cannot be written, or its disk is too
    small.
    """
    pixels = cut(pixels, recipe.tile)
    with torch.inference_mode():
        first = source(prepare(pixels[:1], recipe, source.device))
    shapes = {p: (len(pixels), a.shape[2], a.shape[3], a.shape[1]) for p, a in first.items()}
    size = sum(math.prod(shape) for shape in shapes.values()) * source.dtype.itemsize
    on_gpu = fits(size, source.device)
    if on_gpu or (not key and size <= _free_memory() / 2):
        where = source.device if on_gpu else None
        empty = {p: torch.empty(shape, dtype=source.dtype, device=where) for p, shape in shapes.items()}
        return _fill({p: a.permute(0, 3, 1, 2) for p, a in empty.items()}, source, pixels, recipe)

    def mapped(folder: Path, *, write: bool = False) -> dict[str, Tensor]:
        sizes = {p: math.prod(shape) for p, shape in shapes.items()}
        flat = {p: torch.from_file(str(folder / p), write, n, dtype=source.dtype) for p, n in sizes.items()}
        return {p: a.view(shapes[p]).permute(0, 3, 1, 2) for p, a in flat.items()}

    folder = kept_folder(recipe, key, source.dtype)
    parent = ensure_folder(folder.parent)
    if key and folder.is_dir():
        return mapped(folder)
    if (free := shutil.disk_usage(parent).free) < size:
        raise OSError(f"{parent}: the source's activations need {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
    with whole_folder(folder, keep=bool(key)) as scratch:  # an unlinked file stays mapped until nobody uses it
        return _fill(mapped(scratch, write=True), source, pixels, recipe)


def _fill(kept: dict[str, Tensor], source: Source, pixels: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    step = batch_length(recipe, source.device)
    with torch.inference_mode(), progress(len(pixels), "source") as bar:
        for start in range(0, len(pixels), step):
            x = prepare(pixels[start : start + step], recipe, source.device)
            for point, activation in source(x).items():
                kept[point][start : start + step] = activation
            bar.update(len(x))
    return kept


def kept_folder(recipe: Recipe, key: str, dtype: torch.dtype) -> Path:
    """Where the activations of the images that ``key`` names are kept, or will be."""
    settings = [recipe.size, recipe.crop, recipe.levels, recipe.normalize, recipe.critical_points, str(dtype)]
    settings += [recipe.tile] if recipe.tile else []  # folders of before stay found
    name = hashlib.sha256(json.dumps([weights.CHECKSUMS[recipe.weights], *settings, key]).encode()).hexdigest()[:16]
    return work_folder() / "activations" / name


def _free_memory() -> float:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # macOS does not tell
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2


def take(activations: Mapping[str, Tensor], chosen: Tensor | slice, device: torch.device) -> dict[str, Tensor]:
    """A batch of kept activations."""
    return {p: a.permute(0, 2, 3, 1)[chosen].to(device).permute(0, 3, 1, 2) for p, a in activations.items()}


def progress(total: int, what: str, *, done: int = 0) -> tqdm:
    """A progress bar over images; none in a file, nor where ``KDLIB_PROGRESS`` is 0, as in executed notebooks."""
    hidden = os.environ.get("KDLIB_PROGRESS") == "0" or None  # None: where nobody looks at a screen
    return tqdm(total=total, initial=done, desc=what, unit="image", disable=hidden, leave=False)
