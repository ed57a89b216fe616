"""`Detector`: the one object a user needs. Fit it on good images; score, localize and threshold any others."""

import json
import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlib import weights
from kdlib.activations import batch_length, make_source, part_length, prepare, progress, source_activations, take
from kdlib.data import Images, as_images
from kdlib.data.images import ImagesLike
from kdlib.data.reading import Levels
from kdlib.distill import Training, distill, make_cloner
from kdlib.files import ensure_folder, read_safetensors, write_atomically
from kdlib.losses import Activations, discrepancy
from kdlib.networks import Cloner, Source, default_device, half_precision
from kdlib.recipe import Recipe
from kdlib.tiles import cut, join

# For images of one's own: normalised as the source was trained, which the paper does for photographs only.
# Folders of one's own are small: batches of 16 give more steps.
DEFAULT = Recipe(size=128, normalize=True, epochs=50, batch_size=16, attribution="best")

FORMAT = "kdlib.detector/1"  # of a file: one safetensors file, with recipe and training in its header
SHAPE_TOLERANCE = 0.01  # relative, of width over height
NEAR = 5  # images before and after one that may be of the same moment

# A forked process has none of its parent's threads, and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@contextmanager
def plain_torch() -> Iterator[None]:
    """Gradients, and a processor's tensors where no device is named, in any mode; MemoryError that says what to do."""
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
            yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise MemoryError(
                f"out of memory ({error}); give fewer images at once, or fit with a smaller size"
            ) from error
        raise


class Detector:
    """Anomaly detection by multiresolution knowledge distillation.

    Args:
        recipe: all settings of the method.
        seed: of the cloner's first weights, of the order of training, and of which images are held out.
        device: ``"cuda"`` where there is one, else ``"cpu"``, by default.
    """

    format: ClassVar[str] = FORMAT  # of the file that `save` writes

    @plain_torch()
    def __init__(self, recipe: Recipe = DEFAULT, *, seed: int = 0, device: str | torch.device | None = None) -> None:
        self.recipe, self.seed = recipe, seed
        self.device = torch.device(device or default_device())
        if self.device.type == "cuda" and not half_precision(recipe.precision, self.device):
            torch.backends.cudnn.allow_tf32 = False  # torch's default rounds to 10 bits: single precision is 23
        self.cloner: Cloner = make_cloner(recipe, self.device, seed=seed).eval()
        self.training = Training()
        self.held_out_scores: np.ndarray | None = None  # of normal images, for `threshold`: (N,)
        self.image_size: tuple[int, int] | None = None  # of the images it was fitted on, where all had one
        self.levels: Levels | None = None  # black and white of images with more than 8 bits
        self._source: Source | None = None

    @property
    def source(self) -> Source:
        """The frozen source, loaded when first needed."""
        if self._source is None:
            with plain_torch():  # what is made in inference mode has no gradients, which localize needs
                self._source = make_source(self.recipe, self.device)
        return self._source

    @property
    def lam(self) -> float:
        """lambda of the score (Eq. 4), the recipe's ``score_lam`` or that of the training; ValueError if not fitted."""
        self._refuse_unfitted()
        return self.training.lam if self.recipe.score_lam is None else self.recipe.score_lam

    def _refuse_unfitted(self) -> None:
        if not self.training.epoch:
            raise ValueError("detector: not fitted; call fit with normal images, or load one")

    @plain_torch()
    def fit(
        self,
        images: ImagesLike,
        *,
        held_out: float = 0.1,
        apart: ImagesLike | None = None,
        evaluate: Callable[[int], dict[str, float] | None] | None = None,
        checkpoint: Path | None = None,
        cache: bool = False,
    ) -> Self:
        """Distil the source into the cloner on normal images.

        Args:
            images: a folder, files, `Images`, arrays or tensors as for `data.as_images`.
            held_out: part of the images that is not trained on but scored, for `threshold`; warns of frames of a video.
            apart: normal images of another day, for `threshold` instead; see `calibrate`.
            evaluate, checkpoint: see `distill`.
            cache: keep decoded images and the source's activations in the work folder, for the next detector on them.

        Raises ValueError, OSError: the images are not usable, or a folder is not writable; nothing was begun then.
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
        levels = (self.recipe.levels or images.levels) if images.deep else None
        aside = None if apart is None else as_images(apart)
        if aside:
            _check_alike(aside, images.size, levels)
        recipe = self.recipe
        pixels = images.pixels(recipe.size, crop=recipe.crop, levels=recipe.levels, keep=cache)
        if count and not aside:
            _warn_of_a_sequence(pixels, images.where)
        chosen = cut(pixels[torch.from_numpy(train)] if count else pixels, recipe.tile)
        key = (images[train] if count else images).fingerprint if cache else ""
        known = self.source if recipe.augment else source_activations(self.source, chosen, recipe, key=key)
        self.training, self.held_out_scores, self.image_size, self.levels = Training(), None, images.size, levels
        try:
            self._learn(chosen, known, evaluate=evaluate, checkpoint=checkpoint)
        except BaseException:
            self.training = Training()  # half a training is none
            raise
        self.held_out_scores = self.score_pixels(pixels[torch.from_numpy(kept)]) if count else None
        return self if aside is None else self.calibrate(aside)

    def _learn(self, pixels: Tensor, known: Activations | Source, **how: Any) -> None:
        self.cloner = make_cloner(self.recipe, self.device, seed=self.seed)
        distill(self.cloner, pixels, known, self.recipe, seed=self.seed, training=self.training, **how)

    def calibrate(self, images: ImagesLike) -> Self:
        """Draw `threshold` from these normal images, of another day, instead of the held-out ones; `save` keeps it."""
        self.held_out_scores = self.score(images)
        return self

    def score(self, images: ImagesLike) -> np.ndarray:
        """Discrepancy of each image (Eq. 4), or of its worst tile, higher is more anomalous: (N,)."""
        return np.concatenate([self.score_pixels(pixels) for pixels in self._parts(images)])

    @plain_torch()
    def score_pixels(self, pixels: Tensor, activations: Activations | None = None) -> np.ndarray:
        """`score` of 8-bit pixels at working size (N, 3, S, S), with the source's activations where they are known."""
        self._refuse_unfitted()
        return self._scores(cut(pixels, self.recipe.tile), activations).view(len(pixels), -1).amax(1).numpy()

    def _scores(self, pixels: Tensor, activations: Activations | None) -> Tensor:
        lam, points, scores = self.lam, self.recipe.score_points, list[Tensor]()
        with torch.inference_mode(), progress(len(pixels), "score") as bar:
            for source, cloner in self.activations(pixels, activations):
                scores.append(discrepancy(source, cloner, lam=lam, points=points).cpu())
                bar.update(len(scores[-1]))
        return torch.cat(scores)

    def activations(self, pixels: Tensor, source: Activations | None = None) -> Iterator[tuple[Activations, ...]]:
        """Those of the source, unless they are known, and of the cloner, a batch of `score_pixels` at a time."""
        half, step = half_precision(self.recipe.precision, self.device), batch_length(self.recipe, self.device)
        self.cloner.eval()  # an epoch of training begins with train
        for part in (slice(start, start + step) for start in range(0, len(pixels), step)):
            with torch.inference_mode():  # not around the yield: it would hold for the caller too
                x = prepare(pixels[part], self.recipe, self.device)
                known = take(source, part, self.device) if source else self.source(x)
                with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                    found = self.cloner(x)
            yield known, found

    def localize(self, images: ImagesLike) -> np.ndarray:
        """Localization map of each image (Eq. 5 and 6), higher is more anomalous: (N, S, S) at working size S."""
        from kdlib.localize import localization_map  # Captum brings matplotlib: a second that only maps need

        return localization_map(self.attribute(images), self.recipe)

    @plain_torch()
    def attribute(self, images: ImagesLike) -> np.ndarray:
        """Attribution map of each image, before smoothing and opening (Eq. 5): (N, S, S)."""
        side, tile = self.recipe.side, self.recipe.tile
        return np.concatenate([join(self._maps(cut(pixels, tile)), side) for pixels in self._parts(images)])

    def _maps(self, pixels: Tensor) -> np.ndarray:
        from kdlib.localize import attribution

        maps, step = [], max(1, batch_length(self.recipe, self.device) // 2)
        self.cloner.eval()
        with progress(len(pixels), "localize") as bar:
            for batch in pixels.split(step):
                x = prepare(batch, self.recipe, self.device)
                maps.append(attribution(self.source, self.cloner, x, lam=self.lam, recipe=self.recipe))
                bar.update(len(batch))
        return np.concatenate(maps)

    def threshold(self, quantile: float = 0.99) -> float:
        """The score that a fraction ``quantile`` of normal images, held out or of `calibrate`, stays at or below.

        A UserWarning says where they are too few: 1 in n + 1 of the normal images to come exceeds all of n.
        """
        if not 0 <= quantile <= 1:
            raise ValueError(f"threshold: quantile is {quantile}, expected 0 to 1")
        if self.held_out_scores is None:
            raise ValueError("threshold: no held-out images; fit with held_out above 0, such as 0.1, or calibrate")
        count = len(self.held_out_scores)
        if quantile < 1 and count < (needed := math.ceil(1 / (1 - quantile) - 1e-6) - 1):
            what = f"{count} good images cannot give quantile {quantile:g}: expect 1 good image in {count + 1} to be"
            warnings.warn(f"{what} flagged; calibrate with {needed} or more, or lower the quantile", stacklevel=2)
        return float(np.quantile(self.held_out_scores, quantile, method="higher"))

    def save(self, path: str | Path) -> None:
        """Write the fitted detector as one safetensors file, whole or not at all; the source is named, not stored."""
        self._refuse_unfitted()
        tensors = self._tensors()
        if self.held_out_scores is not None:
            tensors["held_out_scores"] = torch.from_numpy(self.held_out_scores)
        plain: dict[str, object] = {"recipe": self.recipe.to_dict(), "training": asdict(self.training)}
        plain |= {"image_size": self.image_size, "levels": self.levels}
        about = {name: json.dumps(value) for name, value in plain.items()} | {"seed": str(self.seed)}
        about |= {"format": self.format, "checksum": weights.CHECKSUMS[self.recipe.weights]}
        write_atomically(Path(path), safetensors.torch.save(tensors, about))

    def _tensors(self) -> dict[str, Tensor]:
        return {f"cloner.{k}": v.cpu().contiguous() for k, v in self.cloner.state_dict().items()}

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.cloner.load_state_dict({k.removeprefix("cloner."): v for k, v in tensors.items()})

    def export(self, path: str | Path) -> None:
        """Write scores and maps as one ONNX graph, see `export.Graph`; ValueError where a map needs gradients."""
        from kdlib.export import export

        if type(self) is not Detector:  # one that inherits has other scores
            raise ValueError(f"export: of a Detector alone, this is a {type(self).__name__}")
        export(Path(path), self.cloner, lam=self.lam, recipe=self.recipe)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device | None = None) -> Self:
        """Read what `save` wrote, in any version. ValueError: damaged, or of another source; OSError: no file there."""
        torch.empty(0, device=device or default_device())  # torch says it where there is no such device
        advice = f"expected a file that {cls.__name__}.save wrote"
        tensors, about = read_safetensors(Path(path), format=cls.format, advice=advice)
        try:
            checksum, settings = about["checksum"], json.loads(about["recipe"])
            if made_with := [name for name, known in weights.CHECKSUMS.items() if known == checksum]:
                settings.setdefault("weights", made_with[0])  # older files leave it to their checksum
            detector = cls(Recipe.from_dict(settings), seed=int(about["seed"]), device=device)
            detector.training = Training(**json.loads(about["training"]))
            detector.held_out_scores = tensors.pop("held_out_scores").numpy() if "held_out_scores" in tensors else None
            detector._restore(tensors)
            if size := json.loads(about.get("image_size", "null")):  # older files have none
                detector.image_size = int(size[0]), int(size[1])
            if levels := json.loads(about.get("levels", "null")):
                detector.levels = float(levels[0]), float(levels[1])
        except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0].rstrip(":")
            advice = f"not a detector of this version of kdlib ({reason}); fit and save it again"
            raise ValueError(f"{path}: {advice}") from error
        if checksum != (expected := weights.CHECKSUMS[detector.recipe.weights]):
            raise ValueError(f"{path}: made with other source weights ({checksum}, here {expected}); fit it again")
        return detector

    def _parts(self, images: ImagesLike) -> Iterator[Tensor]:
        """Pixels at working size, of `part_length` images at a time."""
        self._refuse_unfitted()
        side, step = self.recipe.side, part_length(self.recipe)
        if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.shape[1:] == (3, side, side):
            yield from images.split(step)
            return
        images = as_images(images)
        _check_alike(images, self.image_size, self.levels)
        for start in range(0, len(images), step):
            yield images[start : start + step].pixels(self.recipe.size, crop=self.recipe.crop, levels=self.levels)


def _warn_of_a_sequence(pixels: Tensor, where: str) -> None:
    """Warn where most images are most like one taken shortly before or after: a random tenth of them is no test."""
    small = torch.stack([F.adaptive_avg_pool2d(image.float(), 16).flatten() for image in pixels[:2000]])
    nearest = torch.cdist(small, small).fill_diagonal_(math.inf).argmin(1)
    near = ((nearest - torch.arange(len(small))).abs() <= NEAR).double().mean().item()
    if len(small) >= 10 * NEAR and near > 0.5:  # in any order about 2 * NEAR / len(small), a fifth or less
        what = f"{near:.0%} of the images are most like one of the {NEAR} before or after them, as in a video"
        advice = "a threshold from held-out ones is too low; give good images of another day as apart, or calibrate"
        warnings.warn(f"{where}: {what}; {advice}", stacklevel=4)


def _check_alike(images: Images, size: tuple[int, int] | None, levels: Levels | None) -> None:
    """Refuse images that are not like the good ones: of another shape, which would be squeezed, or another depth."""
    if size and images.size and images.size != size:
        sizes = "{}: images of {}x{}, the good ones have {}x{}".format(images.where, *images.size, *size)
        if abs(images.size[0] * size[1] / (images.size[1] * size[0]) - 1) > SHAPE_TOLERANCE:
            raise ValueError(f"{sizes}: another shape, which would be squeezed; crop or pad them alike")
        warnings.warn(f"{sizes}; this is right if they show the same field of view", stacklevel=3)
    if images.deep != (levels is not None):
        depths = "have 8 bits, the good ones have more" if levels else "have more than 8 bits, the good ones have 8"
        raise ValueError(f"{images.where}: these {depths}; save them alike, or fit on images like these")


def is_detector(path: Path, format: str = FORMAT) -> bool:
    """Whether a file is a detector, or what else the format names, that some version of kdlib wrote."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("format", "")).startswith(format.partition("/")[0] + "/")
    except (safetensors.SafetensorError, OSError):
        return False
