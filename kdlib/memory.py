"""`Memory` and `Gaussian`: the interface of `Detector` without a cloner; each position is compared with good images."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlib.activations import batch_length, prepare, progress, take
from kdlib.detector import DEFAULT, Detector
from kdlib.losses import Activations
from kdlib.recipe import Recipe

MEMORY = DEFAULT.replace(critical_points=("pool3", "pool4"), score_points=("pool3", "pool4"))
USED = "critical_points, score_points, weights, size, crop, tile, levels, normalize, precision, sigma, opening, stretch"


class Positions(Detector):
    """What `Memory` and `Gaussian` share: scores and maps from the distance of each position to those of good images.

    The vector of a position is that of all critical points together. A score is the distance of the farthest position.
    """

    def __init__(self, recipe: Recipe = MEMORY, *, seed: int = 0, device: str | torch.device | None = None) -> None:
        self.name = type(self).__name__.lower()
        for name, value in vars(recipe).items():
            if name not in USED.split(", ") and value not in (getattr(MEMORY, name), getattr(Recipe, name)):
                raise ValueError(f"{self.name}: {name} is a setting of the cloner; a {self.name} has {USED}")
        super().__init__(recipe, seed=seed, device=device)
        del self.cloner
        self.kept: dict[str, Tensor] = {}  # what it knows of good images

    def _kept(self, pixels: Tensor, known: Activations) -> dict[str, Tensor]:
        """What to keep of good images."""
        raise NotImplementedError

    def _distances(self, vectors: Tensor) -> Tensor:
        """From what is kept: (B, h, w) from (B, h, w, C)."""
        raise NotImplementedError

    def _learn(self, pixels: Tensor, known: Any, **how: Any) -> None:
        if any(how.values()):
            raise ValueError(f"fit: a {self.name} has no epochs, so no {' and no '.join(how)}")
        self.kept, self.training.epoch = self._kept(pixels, known), 1

    def _vectors(self, pixels: Tensor, known: Activations | None = None) -> Iterator[Tensor]:
        """Of all critical points together, at each position of the finest, a batch at a time: (B, h, w, C)."""
        with progress(len(pixels), self.name) as bar:
            for part in torch.arange(len(pixels)).split(batch_length(self.recipe, self.device)):
                x = prepare(pixels[part], self.recipe, self.device)
                seen = (take(known, part, self.device) if known else self.source(x)).values()
                mean = [F.avg_pool2d(activation.float(), 3, 1, 1) for activation in seen]  # of the neighbourhood
                fine = [F.interpolate(each, mean[0].shape[2:], mode="bilinear") for each in mean]
                yield torch.cat(fine, 1).permute(0, 2, 3, 1)
                bar.update(len(x))

    def _scores(self, pixels: Tensor, activations: Activations | None) -> Tensor:
        return torch.cat([self._distances(v).amax((1, 2)).cpu() for v in self._vectors(pixels, activations)])

    def _maps(self, pixels: Tensor) -> np.ndarray:
        far = torch.cat([self._distances(v).cpu() for v in self._vectors(pixels)])
        return F.interpolate(far[:, None], pixels.shape[2:], mode="bilinear")[:, 0].numpy()

    def _tensors(self) -> dict[str, Tensor]:
        return {name: tensor.cpu() for name, tensor in self.kept.items()}

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.kept = {name: tensor.to(self.device) for name, tensor in tensors.items()}


class Memory(Positions):
    """As `Detector`, by the distance to the nearest of ``positions`` of good images, wherever in the image they were.

    The idea is PatchCore's (Roth et al., CVPR 2022). Left out: its coreset (positions are drawn at random), the weight
    by a neighbour's neighbours, a wider network than the source.
    """

    format = "kdlib.memory/1"

    def __init__(self, recipe: Recipe = MEMORY, *, positions: int = 5000, **more: Any) -> None:
        if positions < 1:
            raise ValueError(f"memory: {positions} positions, expected 1 or more")
        super().__init__(recipe, **more)
        self.positions = positions

    def _kept(self, pixels: Tensor, known: Activations) -> dict[str, Tensor]:
        random, each = np.random.default_rng(self.seed), -(-self.positions // len(pixels))
        rows = (image.flatten(0, 1) for batch in self._vectors(pixels, known) for image in batch)  # all take gigabytes
        found = torch.cat([image[random.permutation(len(image))[:each]] for image in rows])
        return {"memory": found[random.permutation(len(found))[: self.positions]]}  # (positions, C)

    def _distances(self, vectors: Tensor) -> Tensor:
        how = "use_mm_for_euclid_dist"
        far = [torch.cdist(v.flatten(0, 1), self.kept["memory"], compute_mode=how).amin(1) for v in vectors]
        return torch.stack(far).view(vectors.shape[:3])


class Gaussian(Positions):
    """As `Detector`, by the Mahalanobis distance to good vectors of the same place: for parts that lie alike.

    The idea is PaDiM's (Defard et al., ICPR 2021 workshops). At each place mean m and covariance S of good vectors, of
    ``channels`` of their channels drawn at random; the distance is √((x - m)ᵀ (S + 0.1 v I)⁻¹ (x - m)), v the mean
    variance. Left out: a residual network as the source; 0.01 in place of 0.1 v, which follows the scale of vectors.
    """

    format = "kdlib.gaussian/1"

    def __init__(self, recipe: Recipe = MEMORY, *, channels: int = 100, **more: Any) -> None:
        if recipe.tile:
            raise ValueError(f"gaussian: tile is {recipe.tile}; it compares each place by itself: raise size alone")
        if channels < 1:
            raise ValueError(f"gaussian: {channels} channels, expected 1 or more")
        super().__init__(recipe, **more)
        self.channels = channels

    def _kept(self, pixels: Tensor, known: Activations) -> dict[str, Tensor]:
        count, width = len(pixels), next(self._vectors(pixels[:1])).shape[-1]
        chosen = torch.randperm(width, generator=torch.Generator().manual_seed(self.seed))[: self.channels]
        mean, spread = torch.zeros(()), torch.zeros(())
        for v in self._vectors(pixels, known):
            mean = mean + v[..., chosen].sum(0) / count  # (h, w, c)
        for v in self._vectors(pixels, known):
            spread = spread + torch.einsum("nhwc,nhwd->hwcd", *[v[..., chosen] - mean] * 2) / (count - 1)
        variances = spread.diagonal(dim1=-2, dim2=-1)
        variances += 0.1 * variances.mean()  # fewer images than channels have no inverse
        return {"channels": chosen, "mean": mean, "inverse": spread.inverse().contiguous()}

    def _distances(self, vectors: Tensor) -> Tensor:
        away = vectors[..., self.kept["channels"]] - self.kept["mean"]
        return torch.einsum("nhwc,hwcd,nhwd->nhw", away, self.kept["inverse"], away).clamp_min(0).sqrt()
