"""Records: what an experiment measured and where that comes from, one JSON file each, its last scores beside it."""

import hashlib
import json
import platform
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdlab.experiments.experiment import Experiment
from kdlib import weights
from kdlib.data import SPLIT_BY_SEED, Split
from kdlib.files import results_folder
from kdlib.networks import half_precision
from kdlib.recipe import Recipe

SCHEMA = 2
Record = dict[str, Any]


def late(evaluations: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The last ten evaluations, as the paper counts: what the figure of an experiment is the mean of.

    Of a short training only those in its last quarter: the mean of a curve that still rises is no result.
    """
    end = evaluations[-1]["epoch"]
    return [each for each in evaluations[-10:] if 4 * (end - each["epoch"]) < end]


def record_path(experiment: Experiment, results: Path | None = None) -> Path:
    """Where the record of an experiment is, or will be."""
    return (results or results_folder()) / experiment.dataset / f"{experiment.id}.json"


def read_record(path: Path) -> Record:
    """One record.

    Raises:
        ValueError: not a record of this schema, or not as it was written.
    """
    try:
        record: Record = json.loads(path.read_text())
        if record["schema"] != SCHEMA or record["id"] != path.stem:
            raise ValueError(f"schema {record['schema']}, id {record['id']}")
        if missing := {"experiment", "metrics"} - record.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
        if record.get("sha256") != digest(record):
            raise ValueError("its checksum differs: it was edited or damaged after it was written")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not a record of schema {SCHEMA} ({error}); restore or remove it, and run the experiment again"
        ) from error
    return record


def digest(record: Record) -> str:
    """SHA-256 over all of a record but this very entry: tells whether it is as it was written."""
    rest = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def records(results: Path | None = None, **wanted: Any) -> list[Record]:
    """All records whose experiment has the wanted settings, such as ``dataset="fashion_mnist", profile="paper"``.

    Warns of a file that is no record, of one whose settings no recipe can have any more, and of one that a later one of
    the same experiment replaces, as data or weights have changed; all three are left out.
    """
    found: dict[Experiment, Record] = {}
    dataset = wanted.get("dataset", "*")
    for path in sorted((results or results_folder()).glob(f"{dataset}/*.json")):
        try:
            record = read_record(path)
            experiment = Experiment.from_dict(record["experiment"])
        except ValueError as error:
            warnings.warn(str(error) if str(path) in str(error) else f"{path}: {error}", stacklevel=2)
            continue
        plain = experiment.to_dict()
        known = plain | {"normal": experiment.normal} | plain["recipe"]
        if not all(known.get(key) == value for key, value in wanted.items()):
            continue
        if other := found.get(experiment):
            record, other = sorted((record, other), key=lambda r: r["provenance"]["date"], reverse=True)
            warnings.warn(
                f"{experiment.dataset}: record {other['id']} is of the same experiment as {record['id']}, but older, "
                "of other data or weights; remove it",
                stacklevel=2,
            )
        found[experiment] = record
    return list(found.values())


def last_scores(record: Record, results: Path | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores and labels of a record's last evaluation, (N,) each, from the ``.npz`` beside it; None without one."""
    dataset = record["experiment"]["dataset"]
    path = (results or results_folder()) / dataset / f"{record['id']}.npz"
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return arrays["scores"], arrays["labels"]


def provenance(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """What a record says of the program and the machine that made it."""
    machine = {"device": str(device), "processor": processor(), "threads": torch.get_num_threads()}
    if device.type == "cuda":
        machine["gpu"] = torch.cuda.get_device_name(device)
    packages = "torch", "torchvision", "numpy", "scipy", "scikit-learn", "captum"
    name = recipe.weights
    return {
        "versions": {package: metadata.version(package) for package in packages},
        "python": platform.python_version(),
        "commit": commit(),
        "machine": machine,
        "precision": "bf16" if half_precision(recipe.precision, device) else "fp32",
        "weights": {"name": name, "checksum": weights.CHECKSUMS[name], "file": weights.origin(name)},
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
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
