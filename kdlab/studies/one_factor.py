"""One factor at a time: records sorted by the settings in which they differ from the paper's."""

from collections.abc import Hashable, Iterable, Mapping
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


def one_source(seen: Iterable[tuple[Hashable, str, Hashable, str]], base: str = BASE) -> dict[Hashable, str]:
    """Which of `VGG16S` a group of records is told of: never both, as they give other numbers.

    The paper's own, where a setting can be compared with ``base`` on it, or none can on the release's either.

    Args:
        seen: a group, the weights, where they are compared (such as class and seed), and the setting, of each record.
    """
    settings: dict[tuple[Hashable, str], dict[Hashable, set[str]]] = {}
    for group, weights, place, setting in seen:
        settings.setdefault((group, weights), {}).setdefault(place, set()).add(setting)
    most = {key: max(len(s) * (base in s) for s in places.values()) for key, places in settings.items()}
    found = {}
    for group, _ in most:
        own, other = (most.get((group, weights), 0) for weights in VGG16S)
        found[group] = VGG16S[0] if (group, VGG16S[0]) in most and own >= min(2, other) else VGG16S[1]
    return found


def lambdas(records: Iterable[Record]) -> pd.DataFrame:
    """The lambda that balances both terms of Eq. 4 on the untrained cloner, a row a training with the paper's settings.

    Columns: dataset, normalize (whether the input was; the one setting that may be another), balanced, code: the fixed
    lambda of the reference code, and weights (of `one_source`, by data set).
    """
    found = {}
    for record in records:
        experiment, recipe = record["experiment"], Recipe.from_dict(record["experiment"]["recipe"])
        if recipe.lam is None and changes(record).keys() - set(SCORING) <= {"normalize"}:
            training = experiment["dataset"], recipe.normalize, recipe.weights
            found[*training, paper.normal_of(experiment), experiment["seed"]] = float(record["training"]["lam"])
    source = one_source((dataset, weights, 0, BASE) for dataset, _, weights, *_ in found)
    rows = [
        (dataset, normalize, lam, reference(dataset).lam, weights)
        for (dataset, normalize, weights, *_), lam in found.items()
        if weights == source[dataset]
    ]
    return pd.DataFrame(rows, columns=["dataset", "normalize", "balanced", "code", "weights"])


def label(changed: Mapping[str, Any]) -> str:
    """Settings of `changes` in words: `BASE`, or such as ``"lam=1.0, map_points=pool2+pool3"``."""
    values = {name: "+".join(value) if isinstance(value, list) else value for name, value in changed.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items()) or BASE
