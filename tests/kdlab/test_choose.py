"""From tables to experiments, and from experiments to the command that lists them and no others."""

import math
from collections.abc import Callable

import pytest

from kdlab import paper
from kdlab.experiments import choose
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlab.presets import recipe_for

DryRun = Callable[[str], list[Experiment]]
POINTS = ("pool3", "pool4")


@pytest.mark.parametrize(
    "experiments",
    [
        [Experiment.of("mnist", "3")],
        [Experiment.of("mnist", normal, seed=seed) for normal in "30" for seed in (2, 0)],
        [Experiment.of("mnist", "3", seed=0), Experiment.of("mnist", "4", seed=1)],
        [Experiment.of("mvtec_ad", "bottle", preset="reference", profile="laptop", lam=None, stretch=False)],
        [Experiment.of("mvtec_ad", "bottle", lam=lam, map_lam=lam) for lam in (0.0, 1e-05, math.inf)],
        [Experiment.of("cifar10", "dog", critical_points=POINTS, score_points=POINTS[1:], map_points=POINTS)],
        [Experiment.of("head_ct", "head_ct", augment=True, cloner="equal", train_limit=64, crop=96)],
    ],
)
def test_a_command_lists_the_experiments_and_no_others(experiments: list[Experiment], dry_run: DryRun) -> None:
    said = run_command([*experiments, experiments[0]])
    assert sorted(map(repr, dry_run(said))) == sorted(map(repr, experiments))


def test_experiments_alike_share_a_line() -> None:
    alike = [Experiment.of("mnist", normal, seed=seed) for normal in ("3", "0") for seed in (1, 0)]
    assert run_command(alike) == "python -m kdlab run --dataset mnist --normal-class 3 0 --seed 0 1"
    assert run_command([*alike, Experiment.of("mnist", "3", lam=1.0)]).splitlines()[1].endswith("3 --set lam=1.0")
    assert run_command([]) == ""


def test_a_table_is_its_own_entries() -> None:
    found = choose.of_table(2, dataset="fashion_mnist", seeds=(0, 1))
    assert [(e.normal, e.seed) for e in found] == [(str(n), s) for s in (0, 1) for n in range(10)]
    assert {e.recipe for e in found} == {recipe_for("fashion_mnist")}


def test_rows_of_a_table_are_settings() -> None:
    found = {e.recipe.critical_points for e in choose.of_table(8, normals=["3"])}
    assert found == {("pool5",), ("pool4", "pool5"), ("pool3", "pool4", "pool5")}
    assert {(e.recipe.cloner, e.recipe.lam) for e in choose.of_table(9, normals=["bottle"])} == {
        ("small", None),
        ("equal", None),
        ("small", 0.0),
        ("small", float("inf")),
    }


def test_a_table_of_means_is_what_they_are_the_means_of() -> None:
    assert {*choose.of_table(1)} == {*choose.of_table(11)}
    assert len(choose.of_table(1, normals=["bottle"])) == 6


def test_every_entry_that_we_remake_is_known_by_its_row() -> None:
    assert set(paper.entries()["method"]) == set(paper.VARIANTS)
