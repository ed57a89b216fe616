"""Ablation studies: which settings are set side by side, and on what.

A study is to our ablations what a table is to the paper: `kdlab.experiments.choose.of_study` makes its experiments.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kdlab.experiments.experiment import Experiment
from kdlab.presets import paper, reference
from kdlab.studies.one_factor import MAPS
from kdlib.errors import unknown
from kdlib.weights import available

Changes = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """On what a study runs: classes or categories of a data set, a profile, seeds."""

    dataset: str
    normals: tuple[str, ...]
    profile: str = "laptop"
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Study:
    """Settings side by side.

    ``settings`` are changes of the recipe by label, the paper's own first. ``rows`` are those of the paper's tables
    that print a setting: method by table. ``studies.toml`` says more of both.
    """

    settings: Mapping[str, Changes]
    cells: tuple[Cell, ...]
    rows: Mapping[str, Mapping[str, str]]

    def changes(self, label: str, dataset: str) -> Changes:
        """What a setting changes in the recipe of a data set."""
        found = dict(self.settings[label])
        code = found.pop("code", {})
        own = {name: not getattr(paper(dataset), name) for name in found.pop("flipped", ())}
        return found | own | {name: getattr(reference(dataset), of) for name, of in code.items()}

    def labels(self, dataset: str) -> list[str]:
        """Settings that can change a figure of a data set: those of maps need masks, weights must be there."""
        found = {label: self.changes(label, dataset) for label in self.settings}
        return [
            label
            for label, changes in found.items()
            if (not changes or dataset in MASKED or not changes.keys() <= MAPS)
            and ("weights" not in changes or available(changes["weights"]))
        ]

    def experiment(self, label: str, dataset: str, normal: str, *, seed: int, profile: str, **more: Any) -> Experiment:
        """The experiment of a setting, with ``more`` changes of the recipe."""
        return Experiment.of(dataset, normal, seed=seed, profile=profile, **{**self.changes(label, dataset), **more})


MASKED = ("textures", "mvtec_ad")


def _tuples(found: Any) -> Any:
    """What TOML has, its lists as tuples: they can be hashed."""
    if isinstance(found, dict):
        return {name: _tuples(value) for name, value in found.items()}
    return tuple(map(_tuples, found)) if isinstance(found, list) else found


def _study(about: Mapping[str, Any]) -> Study:
    cells = SHARED[about["cells"]] if isinstance(about["cells"], str) else about["cells"]
    cells = tuple(Cell(**each) for each in cells)
    return Study(settings=about["settings"], cells=cells, rows=about.get("rows", {}))


with resources.files("kdlab.studies").joinpath("studies.toml").open("rb") as _file:
    WRITTEN: dict[str, Any] = _tuples(tomllib.load(_file))  # what there is of each study
SHARED = WRITTEN.pop("cells")  # those of many studies, by name
STUDIES: Mapping[str, Study] = {name: _study(about) for name, about in WRITTEN.items()}


def study(name: str) -> Study:
    """A study by its name.

    Raises:
        ValueError: there is none of that name; says which there are.
    """
    if name not in STUDIES:
        raise ValueError(unknown("no study", name, STUDIES))
    return STUDIES[name]
