"""Ablation studies in small, for a page that runs them while one waits: scores, terms, costs, and constant answers."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kdlab.cost import passes
from kdlab.studies.catalogue import study
from kdlab.studies.sentences import COLUMNS
from kdlib.data import Images, Split
from kdlib.detector import Detector
from kdlib.losses import Activations, discrepancy, loss_terms
from kdlib.metrics import auroc
from kdlib.networks import CLONERS, Cloner, parameter_count

SIZES = {"textures": 64, "mvtec_ad": 64}  # pixels; 32 for the others


def fitted(name: str, label: str, dataset: str, normal: str, *, seed: int, epochs: int) -> tuple[Detector, Split]:
    """A detector in a setting of a study, trained on at most 100 images of `SIZES` pixels, and the images."""
    less = {"size": SIZES.get(dataset, 32), "batch_size": 16, "train_limit": 100, "test_limit": None}
    made = study(name).experiment(label, dataset, normal, seed=seed, profile="smoke", epochs=epochs, **less)
    return Detector(made.recipe, seed=seed).fit(made.data.train, held_out=0, cache=True), made.data


def studied(
    name: str, cells: Sequence[tuple[str, str]], labels: Sequence[str], *, seeds: Sequence[int] = (0,), epochs: int
) -> pd.DataFrame:
    """Settings of a study run now, each as of `fitted`, in profile ``"live"``.

    Columns as of `sentences.frame`, then lam (of the training), good, bad: mean score of normal and anomalous images.
    """
    rows = []
    for (dataset, normal), seed, label in product(cells, seeds, labels):
        detector, data = fitted(name, label, dataset, normal, seed=seed, epochs=epochs)
        test = data.test
        assert test.labels is not None
        scores = detector.score(test)
        means = [float(scores[test.labels == kind].mean()) for kind in (0, 1)]
        area = 100 * (auroc(test.labels, scores) or np.nan)
        place = (dataset, normal, seed, "live", label, "image_auroc")
        rows.append((*place, area, detector.training.lam, *means))
    return pd.DataFrame(rows, columns=[*COLUMNS, "lam", "good", "bad"])


def costs(size: int = 128) -> pd.DataFrame:
    """Learned values and multiply-adds (GMAC) of one image of ``size`` pixels, by cloner of `CLONERS`."""
    found = {name: (parameter_count(Cloner(name)), passes(size, name)["cloner"] / 1e9) for name in CLONERS}
    return pd.DataFrame(found, index=["parameters", "gmac"]).T


@torch.inference_mode()
def terms(detector: Detector, images: Images, points: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """L_val and L_dir of each image (Eq. 1 and 3), (N,) each, over all critical points or some."""
    pixels = images.pixels(detector.recipe.size, crop=detector.recipe.crop)
    both = [loss_terms(source, cloner, points) for source, cloner in detector.activations(pixels)]
    value, direction = (torch.cat(each).float().cpu().numpy() for each in zip(*both, strict=True))
    return value, direction


def activations(
    detector: Detector, images: Images, source: Activations | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What source, unless that is known, and cloner answer to images: (N, C, H, W) each, by critical point."""
    pixels = images.pixels(detector.recipe.size, crop=detector.recipe.crop)
    both = zip(*detector.activations(pixels, source), strict=True)
    known, found = ({p: torch.cat([each[p].float() for each in parts]) for p in parts[0]} for parts in both)
    return known, found


def constant_share(found: Activations) -> dict[str, float]:
    """Share of the power of activations (N, C, H, W) that their mean over images has; the rest is their variance."""
    return {point: float(a.mean(0).square().sum() * len(a) / a.square().sum()) for point, a in found.items()}


def constant(known: Activations, count: int, *, by_channel: bool = False) -> dict[str, Tensor]:
    """The answer of a cloner that does not look: the mean of known activations (N, C, H, W), for ``count`` images.

    It is the best of all constants; ``by_channel`` it has one value a channel, as a bias gives.
    """
    over = (0, 2, 3) if by_channel else (0,)
    return {p: a.mean(over, keepdim=True).expand(count, *a.shape[1:]) for p, a in known.items()}


def constants(
    cells: Sequence[tuple[str, str]], labels: Sequence[str], *, seed: int, epochs: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cloners of the bias study beside cloners that do not look.

    Returns:
        By network and critical point: data, network (``"source"``, a setting, the same with ``", untrained"``),
        point, share (`constant_share` on normal test images).
        And by scorer: data, network (also ``"constant"``, ``"constant by channel"``), auroc in %, black: power of
        the answer to a black image over that to test images, mean over critical points; NaN for constants.
    """
    rows, areas = [], []
    for dataset, normal in cells:
        data = f"{dataset} {normal}"
        trained = {label: fitted("bias", label, dataset, normal, seed=seed, epochs=epochs) for label in labels}
        first, split = trained[labels[0]]
        train, known = (activations(first, part)[0] for part in (split.train, split.test))
        answers = {"source": known}
        for label, (detector, _) in trained.items():
            before = Detector(detector.recipe, seed=seed)
            answers[f"{label}, untrained"] = activations(before, split.test, known)[1]
            answers[label] = activations(detector, split.test, known)[1]
        kinds = np.asarray(split.test.labels)
        for network, found in answers.items():
            shares = constant_share({point: a[kinds == 0] for point, a in found.items()})
            rows += [(data, network, point, share) for point, share in shares.items()]
        fixed = {"constant": constant(train, len(kinds))}
        fixed["constant by channel"] = constant(train, len(kinds), by_channel=True)
        for network, found in (fixed | {label: answers[label] for label in labels}).items():
            detector, _ = trained.get(network, (first, split))
            scores = discrepancy(known, found, lam=detector.training.lam).cpu().numpy()
            power = black(detector, found) if network in trained else np.nan
            areas.append((data, network, 100 * (auroc(kinds, scores) or np.nan), power))
    points = pd.DataFrame(rows, columns=["data", "network", "point", "share"])
    return points, pd.DataFrame(areas, columns=["data", "network", "auroc", "black"])


def black(detector: Detector, found: Activations) -> float:
    """Power of the cloner's answer to a black image over that to others, mean over critical points."""
    side = detector.recipe.input_size
    ((_, answer),) = detector.activations(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    return float(np.mean([answer[p].square().mean().cpu() / a.square().mean().cpu() for p, a in found.items()]))
