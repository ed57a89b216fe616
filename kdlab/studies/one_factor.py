"""One factor at a time: records sorted by the settings in which they differ from the paper's."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from kdlab import paper
from kdlab.experiments.records import Record
from kdlab.presets import VGG16S, recipe_for, reference
from kdlib.recipe import MAP, SCORE, SCORING, Recipe

BASE = "as the paper"
MAPS = {*MAP, "sigma", "opening"} - {*SCORE}  # settings that change no score


def changes(record: Record) -> dict[str, Any]:
    """The settings of a record's recipe that are not those of its data set, preset and profile, on either VGG-16."""
    experiment = record["experiment"]
    base = recipe_for(experiment["dataset"], preset=experiment["preset"], profile=experiment["profile"]).to_dict()
    recipe = Recipe.from_dict(experiment["recipe"]).to_dict()
    base["weights"] = recipe["weights"] if recipe["weights"] in VGG16S else base["weights"]
    return {name: value for name, value in recipe.items() if value != base[name]}


def weights_of(record: Record) -> str:
    """The weights of a record's source."""
    return str(Recipe.from_dict(record["experiment"]["recipe"]).weights)


def lambdas(records: Iterable[Record]) -> pd.DataFrame:
    """The lambda that balances both terms of Eq. 4 on the untrained cloner, a row a training with the paper's settings.

    Columns: dataset, normalize (whether the input was; the one setting that may be another), balanced, code: the fixed
    lambda of the reference code, and weights: those of the source, the paper's own above the release's.
    """
    found = {}
    for record in records:
        experiment, recipe = record["experiment"], Recipe.from_dict(record["experiment"]["recipe"])
        if recipe.lam is None and changes(record).keys() - set(SCORING) <= {"normalize"}:
            dataset, normal, seed = experiment["dataset"], paper.normal_of(experiment), experiment["seed"]
            training = dataset, recipe.normalize, recipe.weights, normal, seed
            balanced = float(record["training"]["lam"])
            found[training] = dataset, recipe.normalize, balanced, reference(dataset).lam, recipe.weights
    frame = pd.DataFrame(found.values(), columns=["dataset", "normalize", "balanced", "code", "weights"])
    return frame.sort_values("weights", key=lambda w: w.map(VGG16S.index), kind="stable", ignore_index=True)


def label(changed: Mapping[str, Any]) -> str:
    """Settings of `changes` in words: `BASE`, or such as ``"lam=1.0, map_points=pool2+pool3"``."""
    values = {name: "+".join(value) if isinstance(value, list) else value for name, value in changed.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items()) or BASE
