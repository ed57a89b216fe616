"""Where figures come from: versions, commit, machine, weights, data."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from kdlib import weights
from kdlib.data import SPLIT_BY_SEED, Split
from kdlib.networks import half_precision
from kdlib.recipe import Recipe


def provenance(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """What a record says of the program and the machine that made it."""
    machine = {"device": str(device), "processor": processor(), "threads": torch.get_num_threads()}
    if device.type == "cuda":
        machine["gpu"] = torch.cuda.get_device_name(device)
    return {
        "versions": {
            p: metadata.version(p) for p in ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "captum")
        },
        "python": platform.python_version(),
        "commit": commit(),
        "machine": machine,
        "precision": "bf16" if half_precision(recipe.precision, device) else "fp32",
        "weights": {
            "name": recipe.weights,
            "checksum": weights.checksum(recipe.weights),
            "file": weights.origin(recipe.weights),
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def made_on(record: Mapping[str, Any]) -> str:
    """What computed a record: the GPU's name, or the processor's where there was none."""
    machine = record["provenance"]["machine"]
    return str(machine.get("gpu") or machine["processor"])


def data_provenance(data: Split) -> dict[str, Any]:
    """What a record says of its images."""
    known: dict[str, Any] = {
        "train": {"images": len(data.train), "fingerprint": data.train.fingerprint},
        "test": {"images": len(data.test), "fingerprint": data.test.fingerprint},
        "copy_note": data.copy_note,
    }
    if data.dataset in SPLIT_BY_SEED and data.test.labels is not None:  # the manifest of the split
        known["held_out"] = [name for name, bad in zip(data.test.names, data.test.labels, strict=True) if not bad]
    return known


def commit() -> str:
    """The commit of this repository, with "+" where files differ from it; empty outside git."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--abbrev=12",
        "--dirty=+",
        "--exclude=*",
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
