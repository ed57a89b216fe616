"""Ablation studies: which settings are set side by side, and on what.

A study is to our ablations what a table is to the paper: `kdlab.experiments.choose.of_study` makes its experiments.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from kdlab.experiments.experiment import Experiment
from kdlab.presets import paper, reference
from kdlab.studies.one_factor import MAPS
from kdlab.textures import CATEGORIES
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

    title: str
    settings: Mapping[str, Changes]
    cells: tuple[Cell, ...]
    rows: Mapping[str, Mapping[int, str]]

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
CLASSES = tuple(Cell(dataset=name, normals=("0", "5", last)) for name, last in (("fashion_mnist", "6"), ("mnist", "8")))
# Once each: what is said of a data set is tested over its classes, and three of ten decide little.
OTHERS = tuple(
    replace(cell, normals=tuple(str(n) for n in range(10) if str(n) not in cell.normals), seeds=(0,))
    for cell in CLASSES
)
MORE = Cell(dataset="mvtec_ad", normals=("bottle", "capsule"), seeds=(1, 2))
DEFECTS = Cell(dataset="textures", normals=CATEGORIES), replace(MORE, seeds=(0,))
PHOTOGRAPHS = Cell(dataset="cifar10", normals=("airplane", "automobile", "dog"), seeds=(0,))
CELLS = {
    "all": (*CLASSES, *OTHERS, *DEFECTS, PHOTOGRAPHS, MORE),  # cheap ones first
    "maps": (DEFECTS[0], replace(MORE, profile="paper", seeds=(0, 1, 2))),
}


def read() -> dict[str, dict[str, Any]]:
    """``studies.toml``, where the settings of each study are written down, and what the paper says of them."""
    with resources.files("kdlab.studies").joinpath("studies.toml").open("rb") as file:
        return tomllib.load(file)


def _study(about: Mapping[str, Any]) -> Study:
    rows = {label: {int(n): method for n, method in found.items()} for label, found in about.get("rows", {}).items()}
    settings = {label: _tuples(changes) for label, changes in about["settings"].items()}
    cells = about["cells"]
    cells = CELLS[cells] if isinstance(cells, str) else tuple(Cell(**_tuples(each)) for each in cells)
    return Study(title=about["title"], settings=settings, cells=cells, rows=rows)


def _tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


STUDIES: Mapping[str, Study] = {name: _study(about) for name, about in read().items()}


def study(name: str) -> Study:
    """A study by its name.

    Raises:
        ValueError: there is none of that name; says which there are.
    """
    if name not in STUDIES:
        raise ValueError(unknown("no study", name, STUDIES))
    return STUDIES[name]
