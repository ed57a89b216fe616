"""`Memory`: the same interface without a cloner: remember positions of good images, and compare others with them.

The idea is PatchCore's (Roth et al., CVPR 2022). Left out: its coreset (positions are drawn at random), the weight by a
neighbour's neighbours, a wider network than the source.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlib.activations import batch_length, prepare, progress, take
from kdlib.data.images import ImagesLike
from kdlib.detector import DEFAULT, Detector, plain_torch
from kdlib.losses import Activations
from kdlib.recipe import Recipe

MEMORY = DEFAULT.replace(critical_points=("pool3", "pool4"), score_points=("pool3", "pool4"))
USED = {"weights", "size", "crop", "levels", "normalize", "critical_points", "score_points", "precision"}
USED |= {"sigma", "opening", "stretch"}


class Memory(Detector):
    """As `Detector`, by the distance to the nearest of ``positions`` of good images; refuses settings of a cloner."""

    format = "kdlib.memory/1"

    def __init__(self, recipe: Recipe = MEMORY, *, positions: int = 5000, **more: Any) -> None:
        for name, value in vars(recipe).items():
            if name not in USED and value not in (getattr(MEMORY, name), getattr(Recipe, name)):
                raise ValueError(f"memory: {name} is a setting of the cloner; a memory has {', '.join(sorted(USED))}")
        if positions < 1:
            raise ValueError(f"memory: {positions} positions, expected 1 or more")
        super().__init__(recipe, **more)
        del self.cloner
        self.positions, self.memory = positions, torch.empty(0)  # (positions, C)

    def _learn(self, pixels: Tensor, known: Any, **how: Any) -> None:
        if any(how.values()):
            raise ValueError(f"fit: a memory has no epochs, so no {' and no '.join(how)}")
        random, each = np.random.default_rng(self.seed), -(-self.positions // len(pixels))
        rows = (image.flatten(0, 1) for image in self._vectors(pixels, known))  # one at a time: all take gigabytes
        found = torch.cat([image[random.permutation(len(image))[:each]] for image in rows])
        self.memory, self.training.epoch = found[random.permutation(len(found))[: self.positions]], 1

    def _vectors(self, pixels: Tensor, known: Activations | None = None) -> Iterator[Tensor]:
        """Of all critical points together, at each position of the finest, image by image: (h, w, C)."""
        with progress(len(pixels), "memory") as bar:
            for part in torch.arange(len(pixels)).split(batch_length(self.recipe, self.device)):
                x = prepare(pixels[part], self.recipe, self.device)
                seen = (take(known, part, self.device) if known else self.source(x)).values()
                mean = [F.avg_pool2d(activation.float(), 3, 1, 1) for activation in seen]  # of the neighbourhood
                fine = [F.interpolate(each, mean[0].shape[2:], mode="bilinear") for each in mean]
                yield from torch.cat(fine, 1).permute(0, 2, 3, 1)
                bar.update(len(x))

    def _distances(self, pixels: Tensor, known: Activations | None = None) -> Tensor:
        """Of each position to the nearest one remembered: (N, h, w)."""
        _, how = self.lam, "use_mm_for_euclid_dist"  # lam: refuses where not fitted
        images = ((v.flatten(0, 1), v.shape[:2]) for v in self._vectors(pixels, known))
        return torch.stack([torch.cdist(v, self.memory, compute_mode=how).amin(1).view(s).cpu() for v, s in images])

    @plain_torch()
    def score_pixels(self, pixels: Tensor, activations: Activations | None = None) -> np.ndarray:
        """Distance of the farthest position of each image: (N,)."""
        return self._distances(pixels, activations).amax((1, 2)).numpy()

    @plain_torch()
    def attribute(self, images: ImagesLike) -> np.ndarray:
        """Distance of each position, enlarged, before smoothing and opening: (N, S, S)."""
        pixels = self._pixels(images)
        return F.interpolate(self._distances(pixels)[:, None], pixels.shape[2:], mode="bilinear")[:, 0].numpy()

    def _tensors(self) -> dict[str, Tensor]:
        return {"memory": self.memory.cpu()}

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.memory = tensors["memory"].to(self.device)
