"""`Detector`: the one object a user needs. Fit it on good images; score, localize and threshold any others."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from kdlib import saved
from kdlib.activations import batch_length, make_source, prepare, progress, source_activations, take
from kdlib.data import Images, as_images
from kdlib.distill import Training, distill, make_cloner
from kdlib.files import ensure_folder
from kdlib.localize import localization_map
from kdlib.losses import Activations, discrepancy
from kdlib.networks import Cloner, Source, default_device, half_precision
from kdlib.recipe import Recipe

# For images of one's own: normalised as the source was trained, which the paper does for photographs only.
# Folders of one's own are small: batches of 16 give more steps.
DEFAULT = Recipe(size=128, normalize=True, epochs=50, batch_size=16, attribution="best")

ImagesLike = Images | str | Path | np.ndarray | Tensor  # an 8-bit (N, 3, S, S) holds pixels at working size


class Detector:
    """Anomaly detection by multiresolution knowledge distillation.

    Args:
        recipe: all settings of the method.
        seed: of the cloner's weights and the order of training.
        device: ``"cuda"`` where there is one, else ``"cpu"``, by default.

    >>> detector = Detector().fit("photos/good")            # doctest: +SKIP
    >>> detector.score("photos/new") > detector.threshold()  # doctest: +SKIP
    """

    def __init__(self, recipe: Recipe = DEFAULT, *, seed: int = 0, device: str | torch.device | None = None) -> None:
        self.recipe, self.seed = recipe, seed
        self.device = torch.device(device) if device else default_device()
        if self.device.type == "cuda" and not half_precision(recipe.precision, self.device):
            torch.backends.cudnn.allow_tf32 = False  # torch's default rounds to 10 bits: single precision is 23
        self.cloner: Cloner = make_cloner(recipe, self.device, seed=seed).eval()
        self.training = Training()
        self.held_out_scores: np.ndarray | None = None  # of normal images, for `threshold`: (N,)
        self.image_size: tuple[int, int] | None = None  # of the images it was fitted on, where all had one
        self._source: Source | None = None

    @property
    def source(self) -> Source:
        """The frozen source, loaded when first needed."""
        if self._source is None:
            with torch.inference_mode(False):  # what is made in inference mode has no gradients, which localize needs
                self._source = make_source(self.recipe, self.device)
        return self._source

    @property
    def lam(self) -> float:
        """Weight of the direction loss in the score (Eq. 4): the recipe's ``score_lam``, or that of the training.

        Raises:
            ValueError: not fitted.
        """
        if not self.training.epoch:
            raise ValueError("detector: not fitted; call fit with normal images, or load one")
        return self.training.lam if self.recipe.score_lam is None else self.recipe.score_lam

    def fit(
        self,
        images: ImagesLike,
        *,
        held_out: float = 0.1,
        evaluate: Callable[[int], dict[str, float] | None] | None = None,
        checkpoint: Path | None = None,
        cache: bool = False,
    ) -> Self:
        """Distil the source into the cloner on normal images.

        Args:
            images: a folder, `Images`, an 8-bit array (N, H, W[, 3]) or a float tensor (N, 3, H, W) in [0, 1].
            held_out: part of the images that is not trained on but scored, for `threshold`.
            evaluate, checkpoint: see `distill`.
            cache: keep decoded images and the source's activations in the work folder, for the next detector on them.

        Raises:
            ValueError, OSError: the images are not usable, or a folder is not writable; nothing was begun then.
        """
        images = as_images(images)
        if not 0 <= held_out < 1:
            raise ValueError(f"fit: held_out is {held_out}, expected a part of the images from 0 to below 1")
        order = np.random.default_rng(self.seed).permutation(len(images))
        count = int(np.ceil(held_out * len(images)))
        train, kept = np.sort(order[count:]), np.sort(order[:count])
        if len(train) < 2:
            raise ValueError(f"fit: {len(train)} of {len(images)} images left to train on, at least 2 are needed")
        if checkpoint:
            ensure_folder(checkpoint.parent)
        pixels = images.pixels(self.recipe.size, crop=self.recipe.crop, keep=cache)
        chosen = pixels[torch.from_numpy(train)] if count else pixels
        key = (images[train] if count else images).fingerprint if cache else ""
        activations = (
            self.source if self.recipe.augment else source_activations(self.source, chosen, self.recipe, key=key)
        )
        self.cloner = make_cloner(self.recipe, self.device, seed=self.seed)
        self.training, self.held_out_scores, self.image_size = Training(), None, images.size
        try:
            distill(
                self.cloner,
                chosen,
                activations,
                self.recipe,
                seed=self.seed,
                training=self.training,
                evaluate=evaluate,
                checkpoint=checkpoint,
            )
        except BaseException:
            self.training = Training()  # half a training is none
            raise
        self.held_out_scores = self.score_pixels(pixels[torch.from_numpy(kept)]) if count else None
        return self

    def calibrate(self, images: ImagesLike) -> Self:
        """Draw `threshold` from these normal images instead of the held-out ones, from now on; `save` keeps it.

        Images of another day tell what good images to come will score. Held-out ones are often near copies of those
        trained on, and a threshold from them is too low then.

        Raises:
            ValueError, OSError: not fitted, or the images are not usable.
        """
        self.held_out_scores = self.score(images)
        return self

    def score(self, images: ImagesLike) -> np.ndarray:
        """Discrepancy of each image (Eq. 4), higher is more anomalous: (N,)."""
        return self.score_pixels(self._pixels(images))

    def score_pixels(self, pixels: Tensor, activations: Activations | None = None) -> np.ndarray:
        """`score` of 8-bit pixels at working size (N, 3, S, S), with the source's activations where they are known."""
        lam, points, scores = self.lam, self.recipe.score_points, []
        with torch.inference_mode(), progress(len(pixels), "score") as bar:
            for source, cloner in self.activations(pixels, activations):
                scores.append(discrepancy(source, cloner, lam=lam, points=points).cpu())
                bar.update(len(scores[-1]))
        return torch.cat(scores).numpy()

    def activations(
        self, pixels: Tensor, source: Activations | None = None
    ) -> Iterator[tuple[Activations, Activations]]:
        """Those of the source, unless they are known, and of the cloner, a batch of `score_pixels` at a time."""
        half, step = half_precision(self.recipe.precision, self.device), batch_length(self.recipe, self.device)
        was_training = self.cloner.training
        self.cloner.eval()
        for start in range(0, len(pixels), step):
            part = slice(start, start + step)
            with torch.inference_mode():  # not around the yield: it would hold for the caller too
                x = prepare(pixels[part], self.recipe, self.device)
                known = take(source, part, self.device) if source else self.source(x)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                    found = self.cloner(x)
            yield known, found
        self.cloner.train(was_training)

    def localize(self, images: ImagesLike) -> np.ndarray:
        """Localization map of each image (Eq. 5 and 6), higher is more anomalous: (N, S, S) at working size S."""
        return localization_map(self.attribute(images), self.recipe)

    def attribute(self, images: ImagesLike) -> np.ndarray:
        """Attribution map of each image, before smoothing and opening (Eq. 5): (N, S, S)."""
        from kdlib.attributions import attribution  # a second, as Captum brings pictures with it

        pixels, lam = self._pixels(images), self.lam
        maps, step = [], max(1, batch_length(self.recipe, self.device) // 2)
        was_training = self.cloner.training
        self.cloner.eval()
        with progress(len(pixels), "localize") as bar:
            for batch in pixels.split(step):
                x = prepare(batch, self.recipe, self.device)
                maps.append(attribution(self.source, self.cloner, x, lam=lam, recipe=self.recipe))
                bar.update(len(batch))
        self.cloner.train(was_training)
        return np.concatenate(maps)

    def threshold(self, quantile: float = 0.99) -> float:
        """The score that a part ``quantile`` of the normal images held out, or given to `calibrate`, stays at or below.

        Raises:
            ValueError: no such quantile, or no such images.
        """
        if not 0 <= quantile <= 1:
            raise ValueError(f"threshold: quantile is {quantile}, expected 0 to 1")
        if self.held_out_scores is None:
            raise ValueError("threshold: no held-out images; fit with held_out above 0, such as 0.1, or calibrate")
        return float(np.quantile(self.held_out_scores, quantile, method="higher"))

    def save(self, path: str | Path) -> None:
        """Write the fitted detector as one safetensors file; the source is named by checksum, not stored."""
        _ = self.lam
        saved.write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device | None = None) -> Self:
        """Read a detector that `save` wrote.

        Raises:
            ValueError: another kind of file, a damaged one, or one made with other source weights.
            OSError: no such file.
        """
        return saved.read(Path(path), lambda recipe, seed: cls(recipe, seed=seed, device=device))

    def _pixels(self, images: ImagesLike) -> Tensor:
        side = self.recipe.input_size
        if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.shape[1:] == (3, side, side):
            return images
        return as_images(images).pixels(self.recipe.size, crop=self.recipe.crop)
