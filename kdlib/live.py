"""Ablation studies in small, for a page that runs them while one waits; the terms of a score; what a cloner costs."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdlib.activations import batch_length, prepare
from kdlib.data import Images
from kdlib.detector import Detector
from kdlib.experiment import Experiment
from kdlib.losses import loss_terms
from kdlib.metrics import auroc
from kdlib.networks import CLONERS, Cloner, parameter_count
from kdlib.studies import study
from kdlib.verdicts import COLUMNS

SIZES = {"textures": 64}  # pixels; 32 for the others


def small(name: str, label: str, dataset: str, normal: str, *, seed: int, epochs: int) -> Experiment:
    """A setting of a study on at most 100 training images of `SIZES` pixels."""
    experiment = study(name).experiment(label, dataset, normal, seed=seed, profile="smoke")
    size = SIZES.get(dataset, 32)
    recipe = experiment.recipe.replace(size=size, epochs=epochs, batch_size=16, train_limit=100, test_limit=None)
    return replace(experiment, recipe=recipe)


def studied(
    name: str, cells: Sequence[tuple[str, str]], labels: Sequence[str], *, seeds: Sequence[int] = (0,), epochs: int
) -> pd.DataFrame:
    """Settings of a study run now, each an experiment of `small`, in profile ``"live"``.

    Columns as of `verdicts.frame`, then lam (of the training), good and bad: mean score of normal and anomalous images.
    """
    rows = []
    for (dataset, normal), seed, label in product(cells, seeds, labels):
        experiment = small(name, label, dataset, normal, seed=seed, epochs=epochs)
        test = experiment.data.test
        assert test.labels is not None
        detector = Detector(experiment.recipe, seed=seed).fit(experiment.data.train, held_out=0, cache=True)
        scores = detector.score(test)
        means = [float(scores[test.labels == kind].mean()) for kind in (0, 1)]
        area = 100 * (auroc(test.labels, scores) or np.nan)
        place = (dataset, normal, seed, "live", label, "image_auroc")
        rows.append((*place, area, detector.training.lam, *means))
    return pd.DataFrame(rows, columns=[*COLUMNS, "lam", "good", "bad"])


def costs(size: int = 128) -> pd.DataFrame:
    """Learned values and multiply-adds (GMAC) of one image of ``size`` pixels, a row a cloner of `CLONERS`."""
    rows = {}
    for name in CLONERS:
        cloner = Cloner(name).eval()
        weightless = copy.deepcopy(cloner).to("meta")  # shapes without numbers: counts, and computes nothing
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            weightless(torch.zeros(1, 3, size, size, device="meta"))
        rows[name] = {"parameters": parameter_count(cloner), "gmac": counter.get_total_flops() / 2e9}
    return pd.DataFrame(rows).T


def terms(detector: Detector, images: Images, points: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """L_val and L_dir of each image (Eq. 1 and 3), (N,) each, over all critical points or some."""
    pixels, found = images.pixels(detector.recipe.size, crop=detector.recipe.crop), []
    with torch.inference_mode():
        for part in pixels.split(batch_length(detector.recipe)):
            x = prepare(part, detector.recipe, detector.device)
            found.append(torch.stack(loss_terms(detector.source(x), detector.cloner(x), points)))
    value, direction = torch.cat(found, dim=1).float().cpu().numpy()
    return value, direction
