"""Localization maps from attribution maps: smoothed and opened (Eq. 6); `attributions` makes these."""

import numpy as np
from scipy import ndimage
from skimage.morphology import disk

from kdlib.recipe import Recipe


def stretch(maps: np.ndarray) -> np.ndarray:
    """From its minimum to its 99th percentile each map becomes [0, 1], as in the reference: (N, H, W)."""
    low, high = maps.min((1, 2), keepdims=True), np.percentile(maps, 99, (1, 2), keepdims=True)
    return ((maps - low) / np.maximum(high - low, np.finfo(maps.dtype).tiny)).clip(0, 1)


def localization_map(attributions: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Gaussian, then grey opening with a cross (Eq. 6): (N, H, W) from (N, H, W).

    The 3x3 ellipse of Sec. 4.2.2 is a cross, the disk of radius 1. Opening a grey map and then thresholding it is the
    same as the other way round.
    """
    maps = stretch(attributions) if recipe.stretch else attributions
    if recipe.sigma:
        maps = ndimage.gaussian_filter(maps, sigma=(0, recipe.sigma, recipe.sigma))
    if recipe.opening:
        maps = ndimage.grey_opening(maps, footprint=disk(recipe.opening // 2)[None])
    return maps
