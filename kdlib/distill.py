"""Distillation: the cloner learns to imitate the source on normal images (Sec. 3.1 and 3.2)."""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from kdlib import weights
from kdlib.activations import fits, prepare, progress, take
from kdlib.files import read_safetensors, write_atomically
from kdlib.losses import discrepancy, loss_terms
from kdlib.networks import Cloner, Source, half_precision
from kdlib.recipe import Recipe

CHECKPOINT = "kdlib.checkpoint/2"


def make_cloner(recipe: Recipe, device: torch.device, *, seed: int) -> Cloner:
    """An untrained cloner; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        biases = {"norm_shift": recipe.norm_shift, "conv_bias": recipe.conv_bias}
        cloner = Cloner(recipe.cloner, critical_points=recipe.critical_points, **biases)
    return cloner.to(device).to(memory_format=torch.channels_last)


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


def augment(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Each 8-bit image (B, 3, H, W) turned by up to 20 degrees and scaled by 0.9 to 1.05 ("+AUG"), black around it."""
    from torchvision.transforms.v2 import functional  # two seconds, as torchvision's models come with it

    bilinear = functional.InterpolationMode.BILINEAR
    empty = torch.empty(2, len(pixels))
    angles, scales = empty[0].uniform_(-20, 20, generator=random), empty[1].uniform_(0.9, 1.05, generator=random)
    drawn = zip(pixels, angles.tolist(), scales.tolist(), strict=True)
    return torch.stack([functional.affine(x, angle, [0, 0], scale, [0.0, 0.0], bilinear) for x, angle, scale in drawn])


@dataclass
class Training:
    """How far a distillation is: what a checkpoint holds beside the tensors."""

    lam: float = math.nan
    epoch: int = 0  # epochs done
    losses: list[float] = field(default_factory=list)  # mean L_total of each epoch
    evaluations: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0  # of training, without evaluations
    evaluation_seconds: float = 0.0


def distill(
    cloner: Cloner,
    pixels: Tensor,
    activations: Mapping[str, Tensor] | Source,
    recipe: Recipe,
    *,
    seed: int,
    training: Training | None = None,
    evaluate: Callable[[int], dict[str, float] | None] | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30,
) -> Training:
    """Train the cloner in place with Adam on the mean discrepancy (Eq. 4).

    Args:
        pixels: 8-bit normal images (N, 3, H, W).
        activations: the source's; or the source itself, which sees each batch, as it must where the recipe augments.
        training: what to fill, for who wants to look at it meanwhile; a new one by default.
        evaluate: called after each epoch with the number of epochs done; what it returns is kept.
        checkpoint: file to go on from, as if never stopped, and to write every ``checkpoint_seconds`` and at the end.
    """
    if recipe.augment and not isinstance(activations, Source):
        raise ValueError("distill: the recipe augments; expected the source instead of its activations")
    device = next(cloner.parameters()).device
    half = half_precision(recipe.precision, device)
    adam = torch.optim.Adam(cloner.parameters(), recipe.learning_rate, fused=True)

    def batches(epoch: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        random = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        for chosen in torch.randperm(len(pixels), generator=random).split(recipe.batch_size):
            batch = augment(pixels[chosen], random) if recipe.augment else pixels[chosen]
            x = prepare(batch, recipe, device)
            yield x, activations(x) if isinstance(activations, Source) else take(activations, chosen, device)

    state, identity = training or Training(), ""
    if checkpoint:  # it is of use to no training in which anything else decides
        settings = json.dumps([recipe.training_settings(), seed, weights.CHECKSUMS[recipe.weights]]).encode()
        identity = hashlib.sha256(settings + pixels.contiguous().numpy().tobytes()).hexdigest()[:16]
    if checkpoint and checkpoint.exists():
        vars(state).update(_load_checkpoint(checkpoint, cloner, adam, identity))
    elif recipe.lam is None:
        first = (batch for batch, _ in zip(batches(0), range(8), strict=False))
        state.lam = balanced_lambda(cloner, first, half)
    else:
        state.lam = recipe.lam
    if fits(pixels.nbytes, device):
        pixels = pixels.to(device)
    saved = time.monotonic()
    with progress(recipe.epochs * len(pixels), "distill", done=state.epoch * len(pixels)) as bar:
        while state.epoch < recipe.epochs:
            begin, total = time.monotonic(), torch.zeros((), device=device)  # a GPU is not waited for in each step
            cloner.train()
            for x, source in batches(state.epoch):
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    found = cloner(x)
                loss = discrepancy(source, found, lam=state.lam).mean()
                adam.zero_grad()
                loss.backward()
                adam.step()
                total += loss.detach() * len(x)
                bar.update(len(x))
            state.epoch += 1
            state.losses.append(total.item() / len(pixels))
            state.seconds += time.monotonic() - begin
            bar.set_postfix(epoch=state.epoch, loss=f"{state.losses[-1]:.4f}")
            if not math.isfinite(state.losses[-1]):
                raise FloatingPointError(f"distillation: the loss of epoch {state.epoch} is {state.losses[-1]}")
            begin = time.monotonic()
            if evaluate and (found_metrics := evaluate(state.epoch)):
                state.evaluations.append({"epoch": state.epoch, **found_metrics})
            state.evaluation_seconds += time.monotonic() - begin
            if checkpoint and (state.epoch == recipe.epochs or time.monotonic() - saved > checkpoint_seconds):
                _save_checkpoint(checkpoint, cloner, adam, state, identity)
                saved = time.monotonic()
    cloner.eval()
    return state


def _save_checkpoint(path: Path, cloner: Cloner, adam: torch.optim.Adam, state: Training, identity: str) -> None:
    tensors = {f"cloner.{k}": v for k, v in cloner.state_dict().items()}
    tensors |= {f"adam.{n}.{k}": v for n, each in adam.state_dict()["state"].items() for k, v in each.items()}
    about = {"format": CHECKPOINT, "experiment": identity, "training": json.dumps(asdict(state))}
    write_atomically(path, safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, about))


def _load_checkpoint(path: Path, cloner: Cloner, adam: torch.optim.Adam, identity: str) -> dict[str, object]:
    tensors, found = read_safetensors(path, format=CHECKPOINT, experiment=identity)
    cloner.load_state_dict({k.removeprefix("cloner."): v for k, v in tensors.items() if k.startswith("cloner.")})
    moments: dict[int, dict[str, Tensor]] = {}
    for number, parameter in enumerate(cloner.parameters()):
        kept = {k: tensors[f"adam.{number}.{k}"] for k in ("step", "exp_avg", "exp_avg_sq")}
        # The fused form goes through moments and parameter in the order of memory: both must lie there alike.
        moments[number] = {k: torch.empty_like(parameter).copy_(v) if v.dim() else v for k, v in kept.items()}
    adam.load_state_dict(adam.state_dict() | {"state": moments})
    return dict(json.loads(found["training"]))
