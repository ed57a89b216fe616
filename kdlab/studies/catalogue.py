"""Ablation studies: which settings are set side by side, and on what.

A study is to our ablations what a table is to the paper: `kdlab.experiments.run_many.of_study` makes its experiments.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.presets import reference
from kdlab.studies.one_factor import MAPS
from kdlib.data.textures import CATEGORIES
from kdlib.errors import unknown
from kdlib.networks import CLONERS, CRITICAL_POINTS
from kdlib.recipe import BEST
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

    ``settings`` are changes of the recipe by label, the paper's own first; where they depend on the data set, a
    function of its name; ``"preset"`` may be among them. ``rows`` are those of the paper's tables that print a setting:
    method by table, as in `paper.published`.
    """

    title: str
    settings: Mapping[str, Changes | Callable[[str], Changes]]
    cells: tuple[Cell, ...]
    rows: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def changes(self, label: str, dataset: str) -> Changes:
        """What a setting changes in the recipe of a data set."""
        found = self.settings[label]
        return found(dataset) if callable(found) else found

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
ALL = (*CLASSES, *OTHERS, *DEFECTS, PHOTOGRAPHS, MORE)  # cheap ones first


def _as_reference(*names: str) -> Callable[[str], Changes]:
    """Some settings as in the reference code, on any data set."""
    return lambda dataset: {name: getattr(reference(dataset), name) for name in names}


def _smoothgrad(**changes: Any) -> Changes:
    return {"attribution": "smoothgrad", "samples": 10, **changes}  # 50 samples would take five times as long


STUDIES: Mapping[str, Study] = {
    "critical_points": Study(
        title="How many critical points",
        settings={
            "last 4": {},
            **{
                f"last {n}": {"critical_points": CRITICAL_POINTS[-n:], "score_points": CRITICAL_POINTS[-n:]}
                for n in (3, 2, 1)
            },
            **{f"last 4, scored with last {n}": {"score_points": CRITICAL_POINTS[-n:]} for n in (3, 2, 1)},
        },
        cells=ALL,
        rows={
            "last 1": {7: "last-1", 8: "last-1"},
            "last 2": {7: "last-2", 8: "last-2"},
            "last 3": {8: "last-3"},
            "last 4": {3: paper.OURS},  # Table 7 prints this row under the headings of other categories
        },
    ),
    "cloner_size": Study(
        title="How large a cloner",
        settings={"small": {}, **{name: {"cloner": name} for name in CLONERS if name != "small"}},
        cells=ALL,
        rows={name: {9: f"cloner={name}", 10: f"cloner={name}"} for name in ("small", "equal")},
    ),
    "loss_terms": Study(
        title="Value, direction, and how much of each",
        settings={
            "total": {},
            "value": {"lam": 0.0},
            "direction": {"lam": math.inf},
            **{f"lambda = {lam:g}": {"lam": lam} for lam in (0.01, 0.1, 1.0, 10.0, 100.0)},
        },
        cells=ALL,
        rows={
            label: {9: method, 10: method}
            for label, method in (("total", "loss=total"), ("value", "loss=val"), ("direction", "loss=dir"))
        },
    ),
    "bias": Study(
        title="Bias in the cloner",
        settings={
            "BatchNorm shift": {},
            "no bias at all": {"norm_shift": False},
            "convolution bias": {"norm_shift": False, "conv_bias": True},
            "both": {"conv_bias": True},
        },
        cells=ALL,
    ),
    "source": Study(
        title="What the source knows",
        settings={
            "as the paper": {},
            "normalised or not": lambda dataset: {"normalize": dataset != "cifar10"},  # the other way round
            "random": {"weights": "random"},
            "release": {"weights": "vgg-release"},
        },
        cells=ALL,
    ),
    "paper_or_code": Study(
        title="What the paper says and what its code does",
        settings={
            "as the paper": {},
            "lambda of the code": _as_reference("lam"),
            "scored with lambda of the code": lambda dataset: {"score_lam": reference(dataset).lam},
            "scored with last 3": _as_reference("score_points"),
            "stretched maps": _as_reference("stretch"),
            "SmoothGrad": _smoothgrad(),
            "SmoothGrad, noise of the code": lambda dataset: _smoothgrad(**_as_reference("noise")(dataset)),
            "reference": {"preset": "reference"},
        },
        cells=ALL,
    ),
    "localization_gap": Study(
        title="What moves the maps",
        settings={
            "as the paper": {},
            "map of the value loss": {"map_lam": 0.0},
            "map of the direction loss": {"map_lam": math.inf},
            **{f"map of {point} alone": {"map_points": (point,)} for point in CRITICAL_POINTS},
            "map without pool5": {"map_points": CRITICAL_POINTS[:3]},
            "gradient of the cloner": {"attribution": "cloner_gradients"},
            "discrepancy": {"attribution": "discrepancy"},
            "discrepancy at pool3": {"attribution": "discrepancy", "map_points": ("pool3",)},
            "product at pool2 and pool3": BEST,
            "normalised, product at pool2 and pool3": {"normalize": True, **BEST},
            "normalised, value loss alone": {"normalize": True, "map_lam": 0.0},
            "normalised, without pool5": {"normalize": True, "map_points": CRITICAL_POINTS[:3]},
            "normalised, discrepancy": {"normalize": True, "attribution": "discrepancy"},
            "sigma = 2": {"sigma": 2.0},
            "sigma = 8": {"sigma": 8.0},
            "no opening": {"opening": 0},
            "stretched maps": {"stretch": True},
            "normalised": {"normalize": True},
            "single precision": {"precision": "fp32"},
            "201 epochs": {"epochs": 201},
        },
        cells=(DEFECTS[0], replace(MORE, profile="paper", seeds=(0, 1, 2))),
    ),
}


def study(name: str) -> Study:
    """A study by its name.

    Raises:
        ValueError: there is none of that name; says which there are.
    """
    if name not in STUDIES:
        raise ValueError(unknown("no study", name, STUDIES))
    return STUDIES[name]
