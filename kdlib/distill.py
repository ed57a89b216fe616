"""Distillation: the cloner learns to imitate the source on normal images (Sec. 3.1 and 3.2).

The source is frozen and nothing is augmented, so its activations are computed once and kept: exact, and 96 % of the
arithmetic of a step saved.
"""

import copy
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from tqdm.auto import tqdm

from kdlib import weights
from kdlib.files import ensure_folder, work_folder, write_atomically
from kdlib.losses import discrepancy, loss_terms
from kdlib.networks import Cloner, Source, half_precision
from kdlib.recipe import Recipe

CHECKPOINT = "kdlib.checkpoint/1"


def make_source(recipe: Recipe, device: torch.device) -> Source:
    """The recipe's source on a device, in the precision that the recipe asks for."""
    source = Source.pretrained(recipe.weights, critical_points=recipe.critical_points, scaling=recipe.scaling)
    dtype = torch.bfloat16 if half_precision(recipe.precision, device) else torch.float32
    return source.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)


def make_cloner(recipe: Recipe, device: torch.device, *, seed: int) -> Cloner:
    """An untrained cloner; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        cloner = Cloner(
            recipe.cloner,
            critical_points=recipe.critical_points,
            norm_shift=recipe.norm_shift,
            conv_bias=recipe.conv_bias,
        )
    return cloner.to(device=device, memory_format=torch.channels_last)


def prepare(pixels: Tensor, recipe: Recipe, device: torch.device) -> Tensor:
    """What the networks see: 8-bit pixels (B, 3, H, W) as floats in [0, 1], normalised where the recipe says so."""
    x = pixels.to(device).contiguous(memory_format=torch.channels_last).float().div_(255)
    if recipe.normalize:
        mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (weights.IMAGENET_MEAN, weights.IMAGENET_STD))
        x = x.sub_(mean).div_(std)
    return x


def batch_length(recipe: Recipe) -> int:
    """Images of a forward pass: as many pixels as 32 images of 128 px, which the processor's cache likes best."""
    return max(1, 32 * 128**2 // recipe.input_size**2)


def source_activations(
    source: Source, pixels: Tensor, recipe: Recipe, *, key: str = "", memory: float | None = None
) -> dict[str, Tensor]:
    """The source's activations of all images, {point: (N, C, H, W)}, in the source's precision.

    Args:
        pixels: 8-bit, (N, 3, H, W).
        key: names the images; where given, the activations are kept in the work folder and found again.
        memory: bytes that they may take before they go to a file that is mapped into memory; half of what is free by
            default.
    """
    device = source.conv1_1_weight.device
    folder = _activation_folder(recipe, key) if key else None
    if folder and folder.is_dir():
        shapes = json.loads((folder / "shapes.json").read_text())
        return {p: _mapped(folder / p, s, source.conv1_1_weight.dtype, write=False) for p, s in shapes.items()}
    with torch.inference_mode():
        first = source(prepare(pixels[:1], recipe, device))
    shapes = {p: (len(pixels), a.shape[2], a.shape[3], a.shape[1]) for p, a in first.items()}
    dtype = source.conv1_1_weight.dtype
    size = sum(math.prod(s) for s in shapes.values()) * dtype.itemsize
    scratch = None
    if folder or size > (_free_memory() / 2 if memory is None else memory):
        parent = ensure_folder(work_folder() / "activations")
        if (free := shutil.disk_usage(parent).free) < size:
            raise OSError(f"{parent}: the source's activations need {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=".part-"))
    try:
        kept = {p: _mapped(scratch / p, s, dtype) if scratch else torch.empty(s, dtype=dtype) for p, s in shapes.items()}
        kept = {p: k if scratch else k.permute(0, 3, 1, 2) for p, k in kept.items()}
        step = batch_length(recipe)
        with torch.inference_mode(), progress(len(pixels), "source", "image") as bar:
            for start in range(0, len(pixels), step):
                for point, a in source(prepare(pixels[start : start + step], recipe, device)).items():
                    kept[point][start : start + step] = a.cpu()
                bar.update(min(step, len(pixels) - start))
        if scratch and folder:
            (scratch / "shapes.json").write_text(json.dumps(shapes))
            try:
                scratch.rename(folder)
            except OSError:
                if not folder.is_dir():  # another process may have been faster: its files are the same
                    raise
    finally:
        if scratch:  # on POSIX an unlinked file stays mapped until nobody uses it
            shutil.rmtree(scratch, ignore_errors=True)
    return kept


def _activation_folder(recipe: Recipe, key: str) -> Path:
    settings = [recipe.weights, recipe.scaling, recipe.size, recipe.crop, recipe.normalize, recipe.critical_points]
    settings += [half_precision(recipe.precision, torch.device("cpu")), weights.checksum(recipe.weights), key]
    return work_folder() / "activations" / hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def _mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype, *, write: bool = True) -> Tensor:
    flat = torch.from_file(str(path), shared=write, size=math.prod(shape), dtype=dtype)
    return flat.view(tuple(shape)).permute(0, 3, 1, 2)


def _free_memory() -> float:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # macOS does not tell
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2


def take(activations: Mapping[str, Tensor], chosen: Tensor | slice, device: torch.device) -> dict[str, Tensor]:
    """A batch of kept activations."""
    return {p: a.permute(0, 2, 3, 1)[chosen].to(device).permute(0, 3, 1, 2) for p, a in activations.items()}


def balanced_lambda(cloner: Cloner, batches: Iterator[tuple[Tensor, dict[str, Tensor]]], half: bool) -> float:
    """lambda of Eq. 4: L_val / L_dir of the untrained cloner, so that both terms begin with one size."""
    untrained, value, direction = copy.deepcopy(cloner).train(), 0.0, 0.0
    with torch.no_grad():
        for x, source in batches:
            with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
                found = untrained(x)
            v, d = loss_terms(source, found)
            value, direction = value + v.sum().item(), direction + d.sum().item()
    return value / direction


@dataclass
class Training:
    """How far a distillation is: what a checkpoint holds beside the tensors."""

    lam: float = math.nan
    epoch: int = 0  # epochs done
    losses: list[float] = field(default_factory=list)  # mean L_total of each epoch
    evaluations: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0  # of training, without evaluations


def distill(
    cloner: Cloner,
    pixels: Tensor,
    activations: Mapping[str, Tensor],
    recipe: Recipe,
    *,
    seed: int,
    evaluate: Callable[[int, float], dict[str, float] | None] | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30,
) -> Training:
    """Train the cloner in place with Adam on the mean discrepancy (Eq. 4).

    Args:
        pixels: 8-bit normal images (N, 3, H, W).
        activations: the source's, of the same images.
        evaluate: called after each epoch with the number of epochs done and lambda; what it returns is kept.
        checkpoint: file to continue from, and to write every ``checkpoint_seconds`` and at the end. A distillation that
            was killed ends with the same weights as one that was not.
    """
    device = next(cloner.parameters()).device
    half = half_precision(recipe.precision, device)
    optimizer = torch.optim.Adam(cloner.parameters(), lr=recipe.learning_rate, fused=True)

    def batches(epoch: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        for chosen in order.split(recipe.batch_size):
            yield prepare(pixels[chosen], recipe, device), take(activations, chosen, device)

    state = Training()
    if checkpoint and checkpoint.exists():
        state = _load_checkpoint(checkpoint, cloner, optimizer)
    elif recipe.lam is None:
        first = (batch for batch, _ in zip(batches(0), range(8), strict=False))
        state.lam = balanced_lambda(cloner, first, half)
    else:
        state.lam = recipe.lam
    saved = time.monotonic()
    with progress(recipe.epochs * len(pixels), "distill", "image", state.epoch * len(pixels)) as bar:
        while state.epoch < recipe.epochs:
            begin, total = time.monotonic(), torch.zeros(())
            cloner.train()
            for x, source in batches(state.epoch):
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    found = cloner(x)
                loss = discrepancy(source, found, lam=state.lam).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach().cpu() * len(x)
                bar.update(len(x))
            state.epoch += 1
            state.losses.append(total.item() / len(pixels))
            state.seconds += time.monotonic() - begin
            bar.set_postfix(epoch=state.epoch, loss=f"{state.losses[-1]:.4f}")
            if not math.isfinite(state.losses[-1]):
                raise FloatingPointError(f"distillation: the loss of epoch {state.epoch} is {state.losses[-1]}")
            if evaluate and (found_metrics := evaluate(state.epoch, state.lam)):
                state.evaluations.append({"epoch": state.epoch, **found_metrics})
            if checkpoint and (state.epoch == recipe.epochs or time.monotonic() - saved > checkpoint_seconds):
                _save_checkpoint(checkpoint, cloner, optimizer, state)
                saved = time.monotonic()
    cloner.eval()
    return state


def progress(total: int, what: str, unit: str, done: int = 0) -> tqdm:
    """A progress bar; none where ``KDLIB_PROGRESS`` is 0, as in executed notebooks."""
    return tqdm(total=total, initial=done, desc=what, unit=unit, disable=os.environ.get("KDLIB_PROGRESS") == "0", leave=False)


def _save_checkpoint(path: Path, cloner: Cloner, optimizer: torch.optim.Optimizer, state: Training) -> None:
    tensors = {f"cloner.{k}": v.contiguous() for k, v in cloner.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{k}": v.contiguous() for k, v in values.items()}
    write_atomically(path, safetensors.torch.save(tensors, {"format": CHECKPOINT, "training": json.dumps(asdict(state))}))


def _load_checkpoint(path: Path, cloner: Cloner, optimizer: torch.optim.Optimizer) -> Training:
    tensors, found = weights.read_safetensors(path, format=CHECKPOINT)
    cloner.load_state_dict({k.removeprefix("cloner."): v for k, v in tensors.items() if k.startswith("cloner.")})
    adam: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, number, name = key.split(".")
            adam.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": adam})
    return Training(**json.loads(found["training"]))
