"""Detectors as files: one safetensors file each, with the recipe and the training in its header."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import safetensors.torch
import torch

from kdlib import weights
from kdlib.distill import Training
from kdlib.files import write_atomically
from kdlib.recipe import Recipe

if TYPE_CHECKING:
    from kdlib.detector import Detector

FORMAT = "kdlib.detector/1"
AnyDetector = TypeVar("AnyDetector", bound="Detector")


def is_detector(path: Path) -> bool:
    """Whether a file is a detector that some version of kdlib wrote."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("format", "")).startswith(FORMAT.partition("/")[0] + "/")
    except (safetensors.SafetensorError, OSError):
        return False


def write(detector: "Detector", path: Path) -> None:
    """See `Detector.save`."""
    tensors = {f"cloner.{k}": v.cpu().contiguous() for k, v in detector.cloner.state_dict().items()}
    if detector.held_out_scores is not None:
        tensors["held_out_scores"] = torch.from_numpy(detector.held_out_scores)
    about = {
        "format": FORMAT,
        "checksum": weights.checksum(detector.recipe.weights),
        "recipe": json.dumps(detector.recipe.to_dict()),
        "seed": str(detector.seed),
        "training": json.dumps(dataclasses.asdict(detector.training)),
        "image_size": json.dumps(detector.image_size),
    }
    write_atomically(path, safetensors.torch.save(tensors, about))


def read(path: Path, make: Callable[[Recipe, int], AnyDetector]) -> AnyDetector:
    """See `Detector.load`; ``make`` gives an unfitted detector of a recipe and a seed."""
    advice = "expected a file that Detector.save wrote"
    tensors, about = weights.read_safetensors(path, format=FORMAT, advice=advice)
    try:
        recipe = Recipe.from_dict(json.loads(about["recipe"]))
        detector = make(recipe, int(about["seed"]))
        detector.training = Training(**json.loads(about["training"]))
        detector.held_out_scores = tensors.pop("held_out_scores").numpy() if "held_out_scores" in tensors else None
        detector.cloner.load_state_dict({k.removeprefix("cloner."): v for k, v in tensors.items()})
        if size := json.loads(about.get("image_size", "null")):  # older files have none
            width, height = size
            detector.image_size = int(width), int(height)
        checksum = about["checksum"]
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0].rstrip(":")
        raise ValueError(
            f"{path}: not a detector of this version of kdlib ({reason}); fit and save it again"
        ) from error
    if checksum != (expected := weights.checksum(recipe.weights)):
        raise ValueError(f"{path}: made with other source weights ({checksum}, here {expected}); fit it again")
    return detector
