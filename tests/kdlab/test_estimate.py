"""Estimates of time, and the words of errors."""

import math
from pathlib import Path
from typing import Any

import pytest

from kdlab.experiments import estimate
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.run_one import run
from kdlib.errors import unknown

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


def test_duration() -> None:
    words = {0.4: "about 0 s", 119: "about 119 s", 121: "about 2 min", 9400: "about 3 h", math.nan: "time unknown"}
    assert [*map(estimate.duration, words)] == [*words.values()]


def test_the_nearest_right_name_comes_first() -> None:
    assert (
        unknown("no class", "Shirt", ["shirt", "bag"]) == "no class 'Shirt'; did you mean 'shirt'? Known are shirt, bag"
    )
    assert unknown("no class", "xyz", ["shirt", "bag"]) == "no class 'xyz'; known are shirt, bag"
    assert unknown("no class", 3, []) == "no class 3; known are none"
