"""Ways to draw a localization map, side by side: the six columns of Tables 1 and 11, claims about them, their maps."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from captum.attr import GuidedBackprop
from torch import Tensor

from kdlab.studies import statistics
from kdlab.studies.statistics import of_units
from kdlib.activations import batch_length, prepare
from kdlib.detector import Detector
from kdlib.localize import Score
from kdlib.networks import Cloner

METHODS = {"gradients": "Gradients", "smoothgrad": "SmoothGrad", "gbp": "GBP"}
SIX = (*METHODS, *(f"{name}+gaussian" for name in METHODS))  # without and with the Gaussian
SAME = 1.0  # points of AUROC: what this book calls almost the same


def six(board: pd.DataFrame, value: str, profile: str | None = None) -> pd.DataFrame:
    """One value of Table 11's entries in `coverage.scoreboard`: one row per category, the columns `SIX`.

    Args:
        profile: entries of others are NaN; None: whatever there is.
    """
    rows = board[(board["table"] == 11) & (board["column"] != "mean")]
    values = rows[value].where(rows["profile"] == profile) if profile else rows[value]
    return rows.assign(**{value: values}).pivot(index="column", columns="method", values=value)[list(SIX)]


def claims(aurocs: pd.DataFrame) -> dict[str, str]:
    """What the paper says of the three methods (Sec. 3.3.4), judged by AUROC in %: rows with all of `SIX` count.

    By the rule of `kdlab.studies.statistics`; "almost the same": means at most `SAME` apart.
    """
    rows = aurocs.dropna()
    if rows.empty:
        return dict.fromkeys(("same", "smoothgrad", "gbp"), "not run")
    smooth = rows[[f"{name}+gaussian" for name in METHODS]]
    apart, before = (float(np.ptp(part.mean())) for part in (smooth, rows[list(METHODS)]))
    widest = np.ptp(smooth.to_numpy(), axis=1)
    same = f"means {apart:.2f} points apart with the Gaussian, {before:.2f} without; at most {widest.max():.2f} "
    ahead = {"smoothgrad": [("smoothgrad", "gradients")], "gbp": [("gradients", "gbp"), ("smoothgrad", "gbp")]}
    judged = {
        name: statistics.family({f"{a} over {b}": (of_units(rows[b]), of_units(rows[a])) for a, b in pairs})
        for name, pairs in ahead.items()
    }
    alike = None if len(rows) < statistics.UNITS else apart <= SAME
    judged = {"same": ([alike], same + f"({rows.index[widest.argmax()]})")} | judged
    few = f" ({len(rows)} of {len(aurocs)})"
    words = {name: statistics.verdict(parts) for name, (parts, _) in judged.items()}
    return {n: f"{word}{few if word == statistics.OPEN else ''}: {judged[n][1]}" for n, word in words.items()}


def signed_gradients(
    detector: Detector,
    pixels: Tensor,
    *,
    cloner: Cloner | None = None,
    guided: Sequence[str] = (),
    noise: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """d L_total / d x with its sign, of one noisy copy of each image: (N, 3, S, S) from 8-bit (N, 3, S, S).

    Args:
        cloner: another than the detector's.
        guided: of ``"source"`` and ``"cloner"``, those whose ReLUs pass only what is positive on the way back.
        noise: standard deviation, where white minus black is 1.
    """
    cloner = (cloner or detector.cloner).eval()
    networks = [{"source": detector.source, "cloner": cloner}[name] for name in guided]
    score = Score(detector.source, cloner, lam=detector.lam, recipe=detector.recipe, guided=networks)
    generator, found = torch.Generator().manual_seed(seed), []
    for part in pixels.split(batch_length(detector.recipe, detector.device)):
        noisy = part + 255 * noise * torch.randn(part.shape, generator=generator)
        x = prepare(noisy, detector.recipe, detector.device).requires_grad_()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting backward hooks on ReLU activations")
            found.append(GuidedBackprop(score).attribute(x) if guided else torch.autograd.grad(score(x).sum(), x)[0])
    return torch.cat(found).detach().float().cpu().numpy()
