"""ONNX: score and map in one graph, for programs without torch; the extra ``kdlib[onnx]`` brings a runtime."""

import copy
import io
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from kdlib.activations import make_source, prepare
from kdlib.files import write_atomically
from kdlib.localize import positions, without_best
from kdlib.networks import Cloner
from kdlib.recipe import Recipe


class Graph(nn.Module):
    """`Detector.score_pixels` and `Detector.localize` as one function of tensors, in single precision."""

    def __init__(self, cloner: Cloner, *, lam: float, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = without_best(recipe).replace(precision="fp32")
        if recipe.tile:
            advice = f"detector.recipe = detector.recipe.replace(size={recipe.tile}, crop=None, tile=None)"
            raise ValueError(f"export: a graph of one tile; {advice}, and give it tiles: the highest score counts")
        if self.recipe.attribution not in ("discrepancy", "product") or self.recipe.stretch:
            found = "stretch" if self.recipe.stretch else f"attribution {self.recipe.attribution!r}"
            advice = 'detector.recipe = detector.recipe.replace(attribution="best", stretch=False)'
            raise ValueError(f"export: {found} is no plain graph, as gradients and percentiles are not; {advice}")
        self.lam, device = lam, torch.device("cpu")
        self.source, self.cloner = make_source(self.recipe, device), copy.deepcopy(cloner).to(device).eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N,) and maps (N, S, S) of 8-bit pixels (N, 3, S, S)."""
        x, lam, recipe, scores = prepare(pixels, self.recipe, pixels.device), self.lam, self.recipe, []
        source, cloner = self.source(x), self.cloner(x)
        for s, c in ((source[p].flatten(1), cloner[p].flatten(1)) for p in recipe.score_points):  # Eq. 1, 3 and 4
            direction = 1 - F.cosine_similarity(s, c)
            scores.append(direction if lam == float("inf") else (s - c).square().mean(1) + lam * direction)
        maps = positions(source, cloner, lam=lam if recipe.map_lam is None else recipe.map_lam, recipe=recipe)
        return torch.stack(scores).sum(0), self.smooth(maps, recipe)

    @staticmethod
    def smooth(maps: Tensor, recipe: Recipe) -> Tensor:
        """`localize.localization_map` of tensors: the Gaussian as a matrix, the opening as maxima over rectangles."""
        if recipe.sigma:
            eye = np.eye(recipe.input_size, dtype=np.float32)
            blur = torch.from_numpy(ndimage.gaussian_filter1d(eye, recipe.sigma, axis=0))
            maps = blur @ maps @ blur.T
        radius = recipe.opening // 2  # a disk is the union of rectangles
        sides = [(y, int((radius**2 - y**2) ** 0.5)) for y in range(radius + 1)]
        maps = -maps[:, None]
        for _ in range(2):  # least, then greatest, within the disk
            maps = -torch.stack([F.max_pool2d(maps, (2 * y + 1, 2 * x + 1), 1, (y, x)) for y, x in sides]).amax(0)
        return -maps[:, 0]


def export(path: Path, cloner: Cloner, *, lam: float, recipe: Recipe) -> None:
    """Write `Graph`: input ``pixels``, as `Images.pixels` gives them, any number; outputs ``scores`` and ``maps``."""
    if find_spec("onnx") is None:
        raise ModuleNotFoundError("export: no package onnx here; pip install 'kdlib[onnx]' brings it, and a runtime")
    graph, content, side = Graph(cloner, lam=lam, recipe=recipe), io.BytesIO(), recipe.input_size
    pixels, names = torch.zeros(2, 3, side, side, dtype=torch.uint8), ("pixels", "scores", "maps")
    settings = {"input_names": names[:1], "output_names": names[1:], "dynamic_axes": {n: {0: "images"} for n in names}}
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # the newer exporter needs two more packages
        torch.onnx.export(graph, (pixels,), content, dynamo=False, **settings)  # type: ignore[arg-type]
    write_atomically(path, content.getvalue())
