"""`Experiment`: one entry of a table, all that decides its figures, and the id that follows from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kdlab.originals import copy_note
from kdlab.presets import recipe_for
from kdlib import weights
from kdlib.data import ONE_VS_REST, Split, load
from kdlib.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One entry of a table: a recipe, a data set with its normal class or category, a seed."""

    dataset: str
    normal: str
    seed: int = 0
    preset: str = "paper"
    profile: str = "paper"
    recipe: Recipe

    @classmethod
    def of(
        cls, dataset: str, normal: str, *, seed: int = 0, preset: str = "paper", profile: str = "paper", **changes: Any
    ) -> "Experiment":
        """The experiment of a preset and a profile, with some settings of the recipe changed."""
        recipe = recipe_for(dataset, preset=preset, profile=profile).replace(**changes)
        return cls(dataset=dataset, normal=normal, seed=seed, preset=preset, profile=profile, recipe=recipe)

    @cached_property
    def data(self) -> Split:
        """The images, reduced to the recipe's limits by a choice that depends on the data set's size only."""
        split = load(self.dataset, self.normal, seed=self.seed)
        limits = ((split.train, self.recipe.train_limit), (split.test, self.recipe.test_limit))
        train, test = (images if limit is None else images[_spread(len(images), limit)] for images, limit in limits)
        return Split(split.dataset, split.normal, train, test, split.has_masks, copy_note(split))

    @cached_property
    def id(self) -> str:
        """Hash of recipe, data, seed and source weights: 16 digits.

        Settings at their default are left out, so that a setting that the library learns later changes no id. The
        weights are in it unless they are those that were the default when the first records were made.
        """
        defaults = Recipe().to_dict() | {"weights": "vgg-release"}
        parts = {
            "recipe": {k: v for k, v in self.recipe.to_dict().items() if v != defaults[k]},
            "data": [self.dataset, self.normal, self.data.train.fingerprint, self.data.test.fingerprint],
            "seed": self.seed,
            "weights": weights.CHECKSUMS[self.recipe.weights],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Experiment":
        """The experiment of a record."""
        normal = plain.get("normal_class", plain.get("category"))
        settings = {key: plain[key] for key in ("dataset", "seed", "preset", "profile")}
        return cls(normal=normal, recipe=Recipe.from_dict(plain["recipe"]), **settings)

    def to_dict(self) -> dict[str, Any]:
        """As the record has it; the paper's tables call `normal` a class or a category."""
        normal = "normal_class" if self.dataset in ONE_VS_REST else "category"
        return {
            "dataset": self.dataset,
            normal: self.normal,
            "seed": self.seed,
            "preset": self.preset,
            "profile": self.profile,
            "recipe": self.recipe.to_dict(),
        }


def _spread(length: int, limit: int) -> np.ndarray:
    """At most ``limit`` indices, a random choice that is the same everywhere, in order."""
    return np.sort(np.random.default_rng(0).permutation(length)[:limit])
