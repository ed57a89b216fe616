"""Estimates of time and disk, and the words of errors."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from kdlab.experiments import estimate
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.run_one import evaluated, run, with_maps
from kdlib.activations import make_source, source_activations
from kdlib.data import Split
from kdlib.errors import unknown
from kdlib.networks import CRITICAL_POINTS, Cloner, parameter_count
from kdlib.recipe import Recipe

SMALL: dict[str, Any] = {"profile": "smoke", "train_limit": 16, "test_limit": 20}


@pytest.fixture(autouse=True)
def folders_of_the_test(folders: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESULTS", "WORK"):
        monkeypatch.setenv(f"KDLIB_{name}", str(tmp_path / name))


def test_time_follows_the_arithmetic_of_earlier_records_made_on_the_same_device() -> None:
    experiment = Experiment.of("digits", "0", **SMALL)
    assert math.isnan(estimate.seconds([experiment], [])[0])
    record = run(experiment)
    again, longer, equal = (
        Experiment.of("digits", "1", **SMALL | changes) for changes in ({}, {"epochs": 200}, {"cloner": "equal"})
    )
    estimates = estimate.seconds([again, longer, equal], [record])
    assert estimates[0] == pytest.approx(record["cost"]["seconds"])
    assert estimates[1] > 5 * estimates[0]
    assert math.isnan(estimates[2])  # no record has this cloner
    machine = record["provenance"]["machine"]
    assert machine.pop("gpu", None) or not machine.update(gpu="G")
    assert math.isnan(estimate.seconds([again], [record])[0])


def test_records_of_one_training_count_as_one() -> None:
    quick = run(Experiment.of("digits", "0", **SMALL))
    slow = [
        run(Experiment.of("digits", "1", **SMALL | {"score_points": (point,)})) for point in ("pool3", "pool4", "pool5")
    ]
    for record, seconds in ((quick, 10), *((record, 90) for record in slow)):
        record["cost"]["seconds"] = seconds
    assert estimate.seconds([Experiment.of("digits", "2", **SMALL)], [quick, *slow]) == pytest.approx([50])


def test_a_shared_training_counts_once() -> None:
    first, other, longer, seed = (
        Experiment.of("digits", "0", **SMALL | {"epochs": 60} | changes)
        for changes in ({}, {"score_points": ("pool5",)}, {"epochs": 61}, {"seed": 1})
    )
    known = [run(Experiment.of("digits", "1", **SMALL))]
    whole, evaluated, *rest = estimate.seconds([first, other, longer, seed], known)
    assert evaluated < whole / 2
    assert rest == pytest.approx([whole, whole], rel=0.05)
    run(first)
    assert estimate.seconds([first, other], known) == [evaluated, evaluated]


def test_disk_is_what_the_activations_take(digits: Split) -> None:
    for points in (CRITICAL_POINTS, ("pool5",), ("pool3", "pool4")):
        recipe = Recipe(size=40, critical_points=points, score_points=points)
        found = source_activations(make_source(recipe, torch.device("cpu")), digits.train[:2].pixels(40), recipe)
        assert estimate.activation_values(recipe) == sum(a[0].numel() for a in found.values())


def test_disk_counts_what_is_shared_once_and_nothing_that_is_there() -> None:
    first, second, augmented, scored = (
        Experiment.of("digits", "0", seed=seed, precision="fp32", **SMALL | changes)
        for seed, changes in ((0, {}), (1, {}), (2, {"augment": True}), (0, {"score_points": ("pool5",)}))
    )
    image = 4 * estimate.activation_values(first.recipe)
    trained = estimate.disk([first]) - 36 * image  # a training's cloners and its checkpoint
    assert trained > 4 * parameter_count(Cloner()) * (3 + len(evaluated(first.recipe)))
    assert estimate.disk([first, second]) == 36 * image + 2 * trained
    assert estimate.disk([first, scored]) == estimate.disk([first])
    assert estimate.disk([augmented]) == 20 * image + trained  # what is augmented is never kept
    run(first)
    assert estimate.disk([first, second, augmented, scored]) == 2 * trained


def test_disk_is_what_a_run_leaves_there(tmp_path: Path) -> None:
    experiment = Experiment.of("textures", "brick", **SMALL, size=32)
    expected = estimate.disk([experiment])
    run(experiment)
    folders = [tmp_path / "WORK" / name for name in ("activations", "trainings")]
    kept = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    assert expected < kept < 1.02 * expected  # and the heads of the files
    assert estimate.disk([experiment]) == 0
    maps = estimate.disk([Experiment.of("textures", "brick", **SMALL, size=32, attribution="discrepancy")])
    assert maps == 4 * 20 * 32**2 * len(with_maps(experiment.recipe))


def test_duration() -> None:
    words = {0.4: "about 0 s", 119: "about 119 s", 121: "about 2 min", 9400: "about 3 h", math.nan: "time unknown"}
    assert [*map(estimate.duration, words)] == [*words.values()]


def test_the_nearest_right_name_comes_first() -> None:
    assert (
        unknown("no class", "Shirt", ["shirt", "bag"]) == "no class 'Shirt'; did you mean 'shirt'? Known are shirt, bag"
    )
    assert unknown("no class", "xyz", ["shirt", "bag"]) == "no class 'xyz'; known are shirt, bag"
    assert unknown("no class", 3, []) == "no class 3; known are none"
