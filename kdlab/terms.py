"""Attribution by term: Eq. 4 is a sum over critical points and terms, and the gradient of a sum is a sum of gradients.

So the signed gradient of each term is kept, and another choice of points or lambda adds arrays, then takes ``|.|``: the
maps of `localize.attribution` in milliseconds. Guided backpropagation is no sum; its cloner alone is run again.
"""

import math
import warnings
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from captum.attr import GuidedBackprop, Saliency
from captum.log import log_usage
from torch import Tensor

from kdlib.activations import batch_length
from kdlib.detector import Detector
from kdlib.localize import Score, attribution, mean_of_noisy_copies, positions
from kdlib.losses import loss_terms
from kdlib.networks import half_precision
from kdlib.recipe import Recipe

# `integrated_gradients`, `gbp_both`: not.
QUICK = ("gradients", "smoothgrad", "gbp", "cloner_gradients", "discrepancy", "product")


class Terms:
    """Attribution maps and scores of some images for any critical points and lambda.

    Args:
        detector: fitted.
        x: what its networks see, (N, 3, H, W).
    """

    def __init__(self, detector: Detector, x: Tensor) -> None:
        self.detector, self.points, self._x = detector, detector.recipe.critical_points, x
        half = half_precision(detector.recipe.precision, x.device)
        with torch.no_grad():
            self._known = detector.source(x)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
                self._found = detector.cloner(x)
        terms = [torch.stack(loss_terms(self._known, self._found, (p,)), 1) for p in self.points]
        self._losses = torch.stack(terms, 1).cpu().numpy()  # (N, P, 2)

    def scores(self, points: tuple[str, ...], lam: float) -> np.ndarray:
        """L_total of each image (Eq. 4) with these points and this lambda: (N,)."""
        return np.tensordot(self._losses, self._weights(points, lam), 2)

    def attribution(self, method: str, points: tuple[str, ...], lam: float) -> np.ndarray:
        """`localize.attribution` of all images with these ``map_points`` and ``map_lam``: (N, H, W)."""
        recipe = self.detector.recipe.replace(attribution=method, map_points=points, map_lam=lam)
        weights = self._weights(points, lam)
        if method in ("discrepancy", "product"):
            return positions(self._known, self._found, lam=lam, recipe=recipe).cpu().numpy()
        if method == "smoothgrad" and not self.detector.recipe.stretch:
            return np.abs(np.tensordot(weights, self._smooth.sum(0), 2)).sum(1)
        if method in ("gradients", "cloner_gradients", "gbp"):
            source, cloner = (np.tensordot(weights, terms, 2) for terms in self._gradients)
            if method == "gbp":
                cloner = self._guided(recipe)
            return np.abs(cloner if method == "cloner_gradients" else source + cloner).sum(1)
        networks = self.detector.source, self.detector.cloner
        return np.concatenate([attribution(*networks, x, lam=lam, recipe=recipe) for x in self._batches()])

    def signed_gradients(self) -> np.ndarray:
        """Of each term, value and direction, through both networks: (P, 2, N, 3, H, W)."""
        return self._gradients.sum(0)

    def _weights(self, points: tuple[str, ...], lam: float) -> np.ndarray:
        """Of value and direction term at each critical point: (P, 2)."""
        both = (0.0, 1.0) if lam == math.inf else (1.0, lam)
        return np.array([both if p in points else (0.0, 0.0) for p in self.points], dtype=np.float32)

    def _batches(self) -> tuple[Tensor, ...]:
        return self._x.split(max(1, batch_length(self.detector.recipe, self.detector.device) // 2))

    @cached_property
    def _gradients(self) -> np.ndarray:
        """Of each term, through the source and through the cloner: (2, P, 2, N, 3, H, W)."""
        terms = self._signed()
        return self._unpacked([terms.attribute(x) for x in self._batches()])

    @cached_property
    def _smooth(self) -> np.ndarray:
        """Means of `_gradients` of noisy copies, with the noise of `localize.attribution`."""
        recipe, terms = self.detector.recipe, self._signed()
        images = self._x.detach().clone()
        return self._unpacked([mean_of_noisy_copies(terms, image[None], recipe).detach() for image in images])

    def _signed(self) -> "_Signed":
        return _Signed(Score(self.detector.source, self.detector.cloner, lam=1, recipe=self.detector.recipe))

    def _unpacked(self, terms: list[Tensor]) -> np.ndarray:
        packed = torch.cat(terms).float().cpu().numpy()
        length, _, height, width = packed.shape
        return np.moveaxis(packed.reshape(length, 2, len(self.points), 2, 3, height, width), 0, 3).copy()

    def _guided(self, recipe: Recipe) -> np.ndarray:
        """Guided backpropagation through the cloner, the source's answers given: (N, 3, H, W)."""
        cloner, given = self.detector.cloner, cast(Any, lambda *_: self._known)
        score = Score(given, cloner, lam=1, recipe=recipe, guided=(cloner,), through_source=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting backward hooks on ReLU activations")
            gradient = GuidedBackprop(score).attribute(self._x.clone().requires_grad_())
        return gradient.detach().float().cpu().numpy()


class _Signed(Saliency):
    """Signed gradient of each term of Eq. 4 through each network, one behind the other: (B, 2 P 2 3, H, W)."""

    @log_usage()  # NoiseTunnel calls what this wraps
    def attribute(self, inputs: Tensor, **settings: object) -> Tensor:
        score: Any = self.forward_func
        source, cloner = score.networks
        ways = [inputs.detach().clone().requires_grad_() for _ in range(2)]
        with torch.enable_grad():
            half = half_precision(score.precision, inputs.device)
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=half):
                found = cloner(ways[1])
            known = source(ways[0])
            terms = [term.sum() for p in cloner.critical_points for term in loss_terms(known, found, (p,))]
            gradients = [torch.autograd.grad(term, ways, retain_graph=True) for term in terms]
        by_way = [torch.cat([g[way] for g in gradients], 1) for way in range(2)]
        return torch.cat(by_way, 1).detach()
