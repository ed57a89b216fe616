"""`run`: make the record of an experiment, or find it when it is there already."""

import hashlib
import json
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import safetensors.torch
import torch

from kdlab.experiments import records
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, late, read_record, record_path
from kdlab.localization import localization_metrics
from kdlib import weights
from kdlib.activations import source_activations
from kdlib.detector import Detector
from kdlib.distill import Training
from kdlib.files import ensure_folder, keep_array, work_folder, write_atomically
from kdlib.localize import localization_map
from kdlib.metrics import auroc
from kdlib.networks import half_precision
from kdlib.recipe import MANY_PASSES, MAP, Recipe

FINISHED = "training.json"  # in the folder of a training that is done


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread, then as before: more of them add in another order, and the last digits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def run(experiment: Experiment, *, results: Path | None = None) -> Record:
    """The record of an experiment: read where it exists, made and written otherwise.

    An experiment that was killed goes on from its checkpoint in the work folder and ends with the same figures. One
    that differs from an earlier one in scoring or localization only evaluates that one's cloners, which are kept. It
    runs on one thread, so that its figures do not depend on how many there are.
    """
    path = record_path(experiment, results)
    if path.exists():
        return read_record(path)
    ensure_folder(path.parent)
    recipe, data = experiment.recipe, experiment.data
    memory_unit = 1 if sys.platform == "darwin" else 1024
    begin, detector = time.monotonic(), Detector(recipe, seed=experiment.seed)
    levels = (recipe.levels or data.train.levels) if data.test.deep else None  # those of the good images, as in use
    test = data.test.pixels(recipe.size, crop=recipe.crop, levels=levels, keep=True)
    key = data.test.fingerprint + (f" {levels}" if levels else "")
    known = source_activations(detector.source, test, recipe, key=key)
    masks = data.test.mask_pixels(recipe.size, crop=recipe.crop) if data.has_masks else None
    labels = data.test.labels
    assert labels is not None
    if not 0 < np.count_nonzero(labels) < len(labels):
        kind = "anomalous" if labels.any() else "normal"
        warnings.warn(f"{experiment.normal}: all test images are {kind}; image AUROC is undefined", stacklevel=2)
    if masks is not None and not masks.any():
        warnings.warn(f"{experiment.normal}: all masks are empty; pixel metrics are undefined", stacklevel=2)
    folder = ensure_folder(training_folder(experiment, detector.device))

    def evaluate(epoch: int) -> dict[str, float]:
        found = {"image_auroc": auroc(labels, detector.score_pixels(test, known))}
        if masks is not None and epoch in with_maps(recipe):
            raw = keep_array(folder / attribution_file(experiment, epoch), lambda: detector.attribute(test))
            maps = localization_map(raw, recipe)
            parts = localization_metrics(masks, maps, labels)
            found |= {f"pixel_auroc_{part}": values["pixel_auroc"] for part, values in parts.items()}
            found["aupro"] = parts["all"]["aupro"]
        return {name: value for name, value in found.items() if value is not None}

    prepared = time.monotonic() - begin
    train(detector, experiment, folder, evaluate)
    scores = detector.score_pixels(test, known)
    training = detector.training
    record = {
        "schema": records.SCHEMA,
        "id": experiment.id,
        "experiment": experiment.to_dict(),
        "metrics": summary(training.evaluations),
        "cost": {  # as if nothing had been interrupted, or trained before by another experiment
            "seconds": round(prepared + training.seconds + training.evaluation_seconds, 1),
            "training_seconds": round(training.seconds, 1),
            "training_images_per_second": round(recipe.epochs * len(data.train) / training.seconds, 1),
            "evaluation_seconds": round(training.evaluation_seconds, 1),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * memory_unit,
        },
        "training": {"lam": "inf" if training.lam == math.inf else training.lam, "losses": training.losses},
        "provenance": records.provenance(recipe, detector.device) | {"data": records.data_provenance(data)},
    }
    record["sha256"] = records.digest(record)
    marks = labels.astype(np.int8)
    write_atomically(path.with_suffix(".npz"), lambda file: np.savez_compressed(file, scores=scores, labels=marks))
    write_atomically(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    return record


def training_folder(experiment: Experiment, device: torch.device) -> Path:
    """Where the checkpoint, the cloners and the attribution maps of a training are kept, in the work folder."""
    recipe = experiment.recipe
    precision = "bf16" if half_precision(recipe.precision, device) else "fp32"
    settings = [recipe.training_settings(), experiment.data.train.fingerprint, experiment.seed]
    settings += [weights.CHECKSUMS[recipe.weights], precision]
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return work_folder() / "trainings" / name


def attribution_file(experiment: Experiment, epoch: int) -> str:
    """What the attribution maps of an evaluation are called in the folder of their training: (N, S, S), single."""
    settings = [{name: experiment.recipe.to_dict()[name] for name in MAP}, experiment.data.test.fingerprint]
    return f"{epoch}-{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]}.npy"


def train(
    detector: Detector, experiment: Experiment, folder: Path, evaluate: Callable[[int], dict[str, float]]
) -> None:
    """Fit a detector and evaluate it on the way; or evaluate the cloners that an earlier training of the kind kept.

    ``detector.training`` holds the evaluations of ``evaluate``, called at the epochs of `evaluated`.
    """
    recipe, data = experiment.recipe, experiment.data
    epochs = evaluated(recipe)

    def keep_and_evaluate(epoch: int) -> dict[str, float] | None:
        if epoch not in epochs:
            return None
        state = {k: v.cpu().contiguous() for k, v in detector.cloner.state_dict().items()}
        write_atomically(folder / f"{epoch}.safetensors", safetensors.torch.save(state))
        return evaluate(epoch)

    finished = folder / FINISHED
    with filelock.FileLock(folder / ".lock"):  # who waits for a training of the same kind finds it done
        if was_finished := finished.is_file():
            detector.training = Training(**json.loads(finished.read_text()) | {"evaluation_seconds": 0.0})
        else:
            checkpoint = folder / "checkpoint.safetensors"
            detector.fit(data.train, held_out=0, evaluate=keep_and_evaluate, checkpoint=checkpoint, cache=True)
            write_atomically(finished, json.dumps(vars(detector.training) | {"evaluations": []}).encode())
    if was_finished:  # outside the lock: any number of experiments may evaluate the same cloners at once
        begin = time.monotonic()
        for epoch in epochs:
            detector.cloner.load_state_dict(safetensors.torch.load_file(folder / f"{epoch}.safetensors"))
            detector.training.evaluations.append({"epoch": epoch, **evaluate(epoch)})
        detector.training.evaluation_seconds = time.monotonic() - begin


def evaluated(recipe: Recipe) -> list[int]:
    """The epochs that are evaluated: the last ten that are a 60th of the training apart, and every fifth before.

    On MVTec AD that is every 10 epochs at the end, as in the paper.
    """
    step = max(1, recipe.epochs // 60)
    left = [*range(0, 10 * step, step), *range(10 * step, recipe.epochs, 5 * step)]
    return [recipe.epochs - each for each in reversed(left) if each < recipe.epochs]


def with_maps(recipe: Recipe) -> list[int]:
    """Those of `evaluated` that measure maps: the last ten; of a method that takes many passes only the very last."""
    return evaluated(recipe)[-1:] if recipe.attribution in MANY_PASSES else evaluated(recipe)[-10:]


def summary(evaluations: list[dict[str, float]]) -> dict[str, Any]:
    """Image AUROC as last, mean of the `late` ones and best; pixel AUROC and AUPRO as mean of these; and all."""
    names = evaluations[-1] if evaluations else ()
    means = {name: float(np.mean([e[name] for e in late(evaluations) if name in e])) for name in names}
    metrics: dict[str, Any] = {"image_auroc": None}
    if "image_auroc" in means:
        found = [e["image_auroc"] for e in evaluations]
        metrics["image_auroc"] = {"last": found[-1], "mean_last_10": means["image_auroc"], "best": max(found)}
    if "aupro" in means:
        metrics["pixel_auroc"] = {part: means.get(f"pixel_auroc_{part}") for part in ("all", "defective")}
        metrics["aupro"] = means["aupro"]
    return metrics | {"evaluations": evaluations}
