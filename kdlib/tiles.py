"""Tiles: large images in overlapping pieces, each an image to the method, and maps of pieces put together again."""

import math

import numpy as np
import torch
from torch import Tensor


def corners(side: int, tile: int) -> list[tuple[int, int]]:
    """Upper and left edge of each tile, row by row: evenly, so that neighbours overlap by a quarter or more."""
    at = np.linspace(0, side - tile, 1 + math.ceil((side - tile) / (0.75 * tile))).round().astype(int).tolist()
    return [(y, x) for y in at for x in at]


def cut(pixels: Tensor, tile: int | None) -> Tensor:
    """The tiles of each image, one after the other: (N·T, C, t, t) from (N, C, S, S); without a tile the images."""
    if tile in (None, pixels.shape[-1]):
        return pixels
    pieces = [pixels[..., y : y + tile, x : x + tile] for y, x in corners(pixels.shape[-1], tile)]
    return torch.stack(pieces, 1).flatten(0, 1)


def join(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps of images from those of their tiles, the mean where tiles overlap: (N, S, S) from (N·T, t, t)."""
    if (tile := maps.shape[-1]) == side:
        return maps
    places = corners(side, tile)
    whole, count = np.zeros((len(maps) // len(places), side, side), maps.dtype), np.zeros((side, side), maps.dtype)
    for number, (y, x) in enumerate(places):
        whole[:, y : y + tile, x : x + tile] += maps[number :: len(places)]
        count[y : y + tile, x : x + tile] += 1
    return whole / count
