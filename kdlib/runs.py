"""Experiments and their records: `run` makes one entry of a table, and finds it when it is there already."""

import hashlib
import json
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import safetensors.torch
import torch

from kdlib import weights
from kdlib.activations import source_activations
from kdlib.data import ONE_VS_REST, Split, load
from kdlib.detector import Detector
from kdlib.distill import Training
from kdlib.files import ensure_folder, keep_array, results_folder, work_folder, write_atomically
from kdlib.localize import localization_map
from kdlib.metrics import aupro, auroc
from kdlib.networks import half_precision
from kdlib.provenance import data_provenance, provenance
from kdlib.recipe import MAP, Recipe, recipe_for

SCHEMA = 1
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One entry of a table: a recipe, a data set with its normal class or category, a seed."""

    dataset: str
    normal: str
    seed: int = 0
    preset: str = "paper"
    profile: str = "paper"
    recipe: Recipe

    @classmethod
    def of(
        cls, dataset: str, normal: str, *, seed: int = 0, preset: str = "paper", profile: str = "paper", **changes: Any
    ) -> "Experiment":
        """The experiment of a preset and a profile, with some settings of the recipe changed."""
        recipe = recipe_for(dataset, preset=preset, profile=profile).replace(**changes)
        return cls(dataset=dataset, normal=normal, seed=seed, preset=preset, profile=profile, recipe=recipe)

    @cached_property
    def data(self) -> Split:
        """The images, reduced to the recipe's limits by a choice that depends on the data set's size only."""
        split = load(self.dataset, self.normal, seed=self.seed)
        limits = ((split.train, self.recipe.train_limit), (split.test, self.recipe.test_limit))
        train, test = (images if limit is None else images[_spread(len(images), limit)] for images, limit in limits)
        return Split(split.dataset, split.normal, train, test, split.has_masks, split.copy_note)

    @cached_property
    def id(self) -> str:
        """Hash of recipe, data, seed and source weights: 16 digits.

        Settings at their default are left out, so that a setting that the library learns later changes no id.
        """
        defaults = Recipe().to_dict()
        parts = {
            "recipe": {k: v for k, v in self.recipe.to_dict().items() if v != defaults[k]},
            "data": [self.dataset, self.normal, self.data.train.fingerprint, self.data.test.fingerprint],
            "seed": self.seed,
            "weights": weights.checksum(self.recipe.weights),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Experiment":
        """The experiment of a record."""
        normal = plain.get("normal_class", plain.get("category"))
        settings = {key: plain[key] for key in ("dataset", "seed", "preset", "profile")}
        return cls(normal=normal, recipe=Recipe.from_dict(plain["recipe"]), **settings)

    def to_dict(self) -> dict[str, Any]:
        """As the record has it; the paper's tables call `normal` a class or a category."""
        normal = "normal_class" if self.dataset in ONE_VS_REST else "category"
        return {
            "dataset": self.dataset,
            normal: self.normal,
            "seed": self.seed,
            "preset": self.preset,
            "profile": self.profile,
            "recipe": self.recipe.to_dict(),
        }


def run(experiment: Experiment, *, results: Path | None = None) -> Record:
    """The record of an experiment: read where it exists, made and written otherwise.

    An experiment that was killed goes on from its checkpoint in the work folder and ends with the same figures. One
    that differs from an earlier one in scoring or localization only evaluates that one's cloners, which are kept.
    """
    path = record_path(experiment, results)
    if path.exists():
        return read_record(path)
    ensure_folder(path.parent)
    recipe, data = experiment.recipe, experiment.data
    begin, detector = time.monotonic(), Detector(recipe, seed=experiment.seed)
    test = data.test.pixels(recipe.size, crop=recipe.crop, keep=True)
    known = source_activations(detector.source, test, recipe, key=data.test.fingerprint)
    masks = data.test.mask_pixels(recipe.size, crop=recipe.crop) if data.has_masks else None
    labels = data.test.labels
    assert labels is not None
    folder = training_folder(experiment, detector.device)
    settings = [{name: recipe.to_dict()[name] for name in MAP}, data.test.fingerprint]
    attributions = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    evaluating = 0.0

    def evaluate(epoch: int) -> dict[str, float]:
        nonlocal evaluating
        start = time.monotonic()
        found = {"image_auroc": auroc(labels, detector.score_pixels(test, known))}
        if masks is not None and is_late(epoch, recipe.epochs):
            raw = keep_array(folder / f"{epoch}-{attributions}.npy", lambda: detector.attribute(test))
            maps = localization_map(raw, recipe)
            found["pixel_auroc_all"] = auroc(masks, maps)
            found["pixel_auroc_defective"] = auroc(masks[labels == 1], maps[labels == 1])
            found["aupro"] = aupro(masks, maps)
        evaluating += time.monotonic() - start
        return {name: value for name, value in found.items() if value is not None}

    train(detector, experiment, folder, evaluate)
    scores = detector.score_pixels(test, known)
    training = detector.training
    record = {
        "schema": SCHEMA,
        "id": experiment.id,
        "experiment": experiment.to_dict(),
        "metrics": summary(training.evaluations),
        "cost": {
            "seconds": round(time.monotonic() - begin, 1),
            "training_seconds": round(training.seconds, 1),
            "training_images_per_second": round(recipe.epochs * len(data.train) / training.seconds, 1),
            "evaluation_seconds": round(evaluating, 1),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            * (1 if sys.platform == "darwin" else 1024),
        },
        "training": {"lam": "inf" if training.lam == math.inf else training.lam, "losses": training.losses},
        "provenance": provenance(recipe, detector.device) | {"data": data_provenance(data)},
    }
    record["sha256"] = digest(record)
    marks = labels.astype(np.int8)
    write_atomically(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, scores=scores, labels=marks))
    write_atomically(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    return record


def training_folder(experiment: Experiment, device: torch.device) -> Path:
    """Where the checkpoint, the cloners and the attribution maps of a training are kept, in the work folder."""
    recipe = experiment.recipe
    precision = "bf16" if half_precision(recipe.precision, device) else "fp32"
    settings = [recipe.training_settings(), experiment.data.train.fingerprint, experiment.seed]
    settings += [weights.checksum(recipe.weights), precision]
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return ensure_folder(work_folder() / "trainings" / name)


def train(
    detector: Detector, experiment: Experiment, folder: Path, evaluate: Callable[[int], dict[str, float]]
) -> None:
    """Fit a detector and evaluate it on the way; or evaluate the cloners that an earlier training of the kind kept.

    ``detector.training`` holds the evaluations of ``evaluate``, called at the epochs of `is_evaluated`.
    """
    recipe, data = experiment.recipe, experiment.data
    epochs = [epoch for epoch in range(1, recipe.epochs + 1) if is_evaluated(epoch, recipe.epochs)]

    def keep_and_evaluate(epoch: int) -> dict[str, float] | None:
        if epoch not in epochs:
            return None
        state = {k: v.cpu().contiguous() for k, v in detector.cloner.state_dict().items()}
        write_atomically(folder / f"{epoch}.safetensors", safetensors.torch.save(state))
        return evaluate(epoch)

    with filelock.FileLock(folder / ".lock"):  # who waits for a training of the same kind finds it done
        finished = folder / "training.json"
        if finished.is_file():
            detector.training = Training(**json.loads(finished.read_text()))
            for epoch in epochs:
                detector.cloner.load_state_dict(safetensors.torch.load_file(folder / f"{epoch}.safetensors"))
                detector.training.evaluations.append({"epoch": epoch, **evaluate(epoch)})
        else:
            checkpoint = folder / "checkpoint.safetensors"
            detector.fit(data.train, held_out=0, evaluate=keep_and_evaluate, checkpoint=checkpoint, cache=True)
            write_atomically(finished, json.dumps(vars(detector.training) | {"evaluations": []}).encode())


def record_path(experiment: Experiment, results: Path | None = None) -> Path:
    """Where the record of an experiment is, or will be."""
    return (results or results_folder()) / experiment.dataset / f"{experiment.id}.json"


def is_evaluated(epoch: int, epochs: int) -> bool:
    """Whether an epoch is evaluated: the last ten that are a 60th of the training apart, and every fifth before.

    On MVTec AD that is every 10 epochs at the end, as in the paper.
    """
    step, left = max(1, epochs // 60), epochs - epoch
    return left % step == 0 and (is_late(epoch, epochs) or left % (5 * step) == 0)


def is_late(epoch: int, epochs: int) -> bool:
    """Whether an evaluation is one of the last ten, whose maps are measured too."""
    return epochs - epoch < 10 * max(1, epochs // 60)


def summary(evaluations: list[dict[str, float]]) -> dict[str, Any]:
    """Image AUROC as last, mean of the last ten and best; pixel AUROC and AUPRO as mean of the last ten; and all."""
    values = {name: [e[name] for e in evaluations if name in e] for e in evaluations[-1:] for name in e}
    means = {name: float(np.mean(found[-10:])) for name, found in values.items()}
    metrics: dict[str, Any] = {"image_auroc": None}
    if found := values.get("image_auroc"):
        metrics["image_auroc"] = {"last": found[-1], "mean_last_10": means["image_auroc"], "best": max(found)}
    if "aupro" in means:
        metrics["pixel_auroc"] = {part: means.get(f"pixel_auroc_{part}") for part in ("all", "defective")}
        metrics["aupro"] = means["aupro"]
    return metrics | {"evaluations": evaluations}


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

    Warns of a file that is no record, and of a record that a later one of the same experiment replaces, as data or
    weights have changed; both are left out.
    """
    found: dict[str, Record] = {}
    for path in sorted((results or results_folder()).glob(f"{wanted.get('dataset', '*')}/*.json")):
        try:
            record = read_record(path)
        except ValueError as error:
            warnings.warn(str(error), stacklevel=2)
            continue
        experiment = record["experiment"]
        normal = experiment.get("normal_class", experiment.get("category"))
        known = experiment["recipe"] | experiment | {"normal": normal}
        if not all(known.get(key) == value for key, value in wanted.items()):
            continue
        settings = json.dumps(Experiment.from_dict(experiment).to_dict(), sort_keys=True)
        other = found.get(settings)
        if other:
            record, other = sorted((record, other), key=lambda r: r["provenance"]["date"], reverse=True)
            warnings.warn(
                f"{experiment['dataset']}: record {other['id']} is of the same experiment as {record['id']}, but "
                "older, of other data or weights; remove it",
                stacklevel=2,
            )
        found[settings] = record
    return list(found.values())


def _spread(length: int, limit: int) -> np.ndarray:
    """At most ``limit`` indices, a random choice that is the same everywhere, in order."""
    return np.sort(np.random.default_rng(0).permutation(length)[:limit])
