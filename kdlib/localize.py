"""Localization: which pixels raise the discrepancy (Eq. 5), smoothed and opened (Eq. 6)."""

import numpy as np
import torch
from captum.attr import Saliency
from scipy import ndimage
from skimage.morphology import disk
from torch import Tensor

from kdlib.losses import discrepancy
from kdlib.networks import Cloner, Source, half_precision
from kdlib.recipe import Recipe


def attribution(source: Source, cloner: Cloner, x: Tensor, *, lam: float, recipe: Recipe) -> np.ndarray:
    """|d L_total / d x|, summed over colour channels, through both networks (Eq. 5): (B, H, W) from (B, 3, H, W)."""
    half = half_precision(recipe.precision, x.device)

    def score(images: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            found = cloner(images)
        return discrepancy(source(images), found, lam=lam, points=recipe.score_points)

    gradient = Saliency(score).attribute(x.clone().requires_grad_(), abs=True)
    return gradient.sum(1).detach().cpu().numpy()


def localization_map(attributions: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Gaussian, then grey opening with a cross (Eq. 6): (N, H, W) from (N, H, W).

    The 3x3 ellipse of Sec. 4.2.2 is a cross, the disk of radius 1. Opening a grey map and then thresholding it is the
    same as the other way round.
    """
    maps = attributions
    if recipe.stretch:  # as the reference: [minimum, 99th percentile] of each map becomes [0, 1]
        low, high = maps.min((1, 2), keepdims=True), np.percentile(maps, 99, (1, 2), keepdims=True)
        maps = ((maps - low) / np.maximum(high - low, np.finfo(maps.dtype).tiny)).clip(0, 1)
    if recipe.sigma:
        maps = ndimage.gaussian_filter(maps, sigma=(0, recipe.sigma, recipe.sigma))
    if recipe.opening:
        maps = ndimage.grey_opening(maps, footprint=disk(recipe.opening // 2)[None])
    return maps
