"""Localization: which pixels raise the discrepancy, through Captum (Eq. 5), then smoothed and opened (Eq. 6)."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, IntegratedGradients, NoiseTunnel, Saliency
from captum.log import log_usage
from scipy import ndimage
from torch import Tensor, nn

from kdlib.losses import Activations, discrepancy
from kdlib.networks import Cloner, Source, half_precision
from kdlib.recipe import BEST, Recipe
from kdlib.weights import IMAGENET_STD


class Score(nn.Module):
    """The discrepancy as Captum wants it, a function of images: (B,) from (B, 3, H, W).

    Guided backpropagation may change the ReLUs of ``guided`` networks: it sees those that are modules of this one. The
    gradient goes ``through_source`` too, or takes its activations as constants.
    """

    def __init__(
        self,
        source: Source,
        cloner: Cloner,
        *,
        lam: float,
        recipe: Recipe,
        guided: Sequence[nn.Module] = (),
        through_source: bool = True,
    ) -> None:
        super().__init__()
        self.networks, self.guided = (source, cloner), nn.ModuleList(guided)
        self.lam = lam if recipe.map_lam is None else recipe.map_lam
        self.points = recipe.map_points or recipe.score_points
        self.through_source, self.precision = through_source, recipe.precision

    def activations(self, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Those of the source and of the cloner."""
        source, cloner = self.networks
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half_precision(self.precision, images.device)):
            found = cloner(images, self.points)
        with torch.set_grad_enabled(self.through_source and torch.is_grad_enabled()):
            return source(images, self.points), found

    def forward(self, images: Tensor) -> Tensor:
        """`losses.discrepancy` of each image."""
        return discrepancy(*self.activations(images), lam=self.lam, points=self.points)


def without_best(recipe: Recipe) -> Recipe:
    """The recipe with what the attribution ``best`` stands for: `recipe.BEST`, at critical points that are there."""
    if recipe.attribution != "best":
        return recipe
    known = [p for p in BEST["map_points"] if p in recipe.critical_points] or recipe.critical_points
    return recipe.replace(attribution=BEST["attribution"], map_points=recipe.map_points or tuple(known))


def attribution(source: Source, cloner: Cloner, x: Tensor, *, lam: float, recipe: Recipe) -> np.ndarray:
    """How much each pixel raises the discrepancy, by the recipe's method: (B, H, W) from (B, 3, H, W).

    - ``gradients``: ``|d L_total / d x|``, summed over colour channels, through both networks (Eq. 5).
    - ``cloner_gradients``: the same through the cloner alone.
    - ``smoothgrad``: the mean of signed gradients of noisy copies, then as above; where the recipe stretches, the mean
      of the stretched maps of the copies, as in the reference.
    - ``gbp``: guided backpropagation in the cloner, plain in the source; ``gbp_both``: guided in both.
    - ``integrated_gradients``: gradients times input along the path from zero.
    - ``discrepancy``: no gradient: L_total of the activations at each position, enlarged, summed over critical points.
    - ``product``: the same with value times direction at each position in place of Eq. 4's sum: no lambda.
    - ``best``: `recipe.BEST`, unless the recipe has other ``map_points``.

    The noise of an image depends on nothing else, so a batch gives what its images give.
    """
    recipe = without_best(recipe)
    method = recipe.attribution
    guided = {"gbp": (cloner,), "gbp_both": (source, cloner)}.get(method, ())
    score = Score(source, cloner, lam=lam, recipe=recipe, guided=guided, through_source=method != "cloner_gradients")
    x = x.detach().clone()
    if method in ("discrepancy", "product"):
        with torch.inference_mode():
            return positions(*score.activations(x), lam=score.lam, recipe=recipe).cpu().numpy()
    x.requires_grad_()
    if method == "smoothgrad":
        copies: Saliency = _StretchedSaliency(score) if recipe.stretch else Saliency(score)
        signed = {} if recipe.stretch else {"abs": False}
        gradient = torch.cat([mean_of_noisy_copies(copies, image[None], recipe, **signed) for image in x.detach()])
    elif guided:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting backward hooks on ReLU activations")
            gradient = GuidedBackprop(score).attribute(x)
    elif method == "integrated_gradients":
        length = max(1, 32 * 128**2 // (x.shape[-1] * x.shape[-2]))
        gradient = IntegratedGradients(score).attribute(x, n_steps=recipe.samples, internal_batch_size=length)
    else:
        gradient = Saliency(score).attribute(x, abs=False)
    return gradient.detach().abs().sum(1).float().cpu().numpy()


class _StretchedSaliency(Saliency):
    """The reference's map of one noisy copy: absolute, summed over channels, stretched, before the mean over copies."""

    @log_usage()  # NoiseTunnel calls what this wraps
    def attribute(self, inputs: Tensor, **settings: object) -> Tensor:
        maps = super().attribute(inputs, abs=True).sum(1)
        return torch.from_numpy(stretch(maps.detach().float().cpu().numpy()))[:, None].to(inputs.device)


def mean_of_noisy_copies(method: Saliency, image: Tensor, recipe: Recipe, **settings: bool) -> Tensor:
    """What SmoothGrad makes of a Captum method: the mean of its answers to noisy copies of one image (1, 3, H, W)."""
    # The noise is always the same, and that of the picture: where the input is normalised, so is the noise.
    count, passes = recipe.samples, math.ceil(recipe.samples * image.shape[-1] * image.shape[-2] / (32 * 128**2))
    noise = recipe.noise / (float(np.mean(IMAGENET_STD)) if recipe.normalize else 1)
    how = {"nt_type": "smoothgrad", "nt_samples": count, "nt_samples_batch_size": math.ceil(count / passes)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NoiseTunnel(method).attribute(image.requires_grad_(), stdevs=noise, **how, **settings)


def positions(source: Activations, cloner: Activations, *, lam: float, recipe: Recipe) -> Tensor:
    """Eq. 4, or the product of its terms, of the vector of channels at each position of a point's maps: (B, S, S)."""
    maps = []
    for point in recipe.map_points or recipe.score_points:
        s, c = source[point].float(), cloner[point].float()
        value, direction = (s - c).square().mean(1, keepdim=True), 1 - F.cosine_similarity(s, c, dim=1)[:, None]
        sum_of_terms = direction if lam == math.inf else value + lam * direction
        here = value * direction if recipe.attribution == "product" else sum_of_terms
        maps.append(F.interpolate(here, size=[recipe.input_size] * 2, mode="bilinear", align_corners=False)[:, 0])
    return torch.stack(maps).sum(0)


def stretch(maps: np.ndarray) -> np.ndarray:
    """From its minimum to its 99th percentile each map becomes [0, 1], as in the reference: (N, H, W)."""
    low, high = maps.min((1, 2), keepdims=True), np.percentile(maps, 99, (1, 2), keepdims=True)
    return ((maps - low) / np.maximum(high - low, np.finfo(maps.dtype).tiny)).clip(0, 1)


def localization_map(attributions: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Gaussian, then grey opening with a disk (Eq. 6): (N, H, W) from (N, H, W).

    The 3x3 ellipse of Sec. 4.2.2 is a cross, the disk of radius 1. A threshold before or after gives the same regions.
    """
    maps = stretch(attributions) if recipe.stretch else attributions
    if recipe.sigma:
        maps = ndimage.gaussian_filter(maps, sigma=(0, recipe.sigma, recipe.sigma))
    if recipe.opening:
        offset = np.arange(recipe.opening) - recipe.opening // 2
        disk = offset**2 + offset[:, None] ** 2 <= (recipe.opening // 2) ** 2
        maps = ndimage.grey_opening(maps, footprint=disk[None])
    return maps
