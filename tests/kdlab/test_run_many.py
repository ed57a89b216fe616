"""Many experiments: tables, the pool, status."""

import multiprocessing
from pathlib import Path
from typing import Any

import filelock
import pytest

from kdlab import paper
from kdlab.experiments import choose, run_many
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import record_path, records
from kdlab.presets import recipe_for

TINY: dict[str, Any] = {"epochs": 1, "train_limit": 8, "test_limit": 20}


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def tiny(*normals: str, seed: int = 0) -> list[Experiment]:
    return [Experiment.of("digits", normal, seed=seed, profile="smoke", **TINY) for normal in normals]


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


@pytest.mark.parametrize(
    ("table", "chosen", "message"),
    [
        (12, {}, "none of its own entries has table=12; its tables are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"),
        (2, {"dataset": "mvtec_ad"}, "table 2: no data set 'mvtec_ad'; known are mnist, fashion_mnist, cifar10"),
        (3, {"normals": ["botle"]}, "table 3: no class 'botle'; did you mean 'bottle'. Known are bottle"),
    ],
)
def test_what_no_table_has(table: int, chosen: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose.of_table(table, **chosen)


def test_every_entry_that_we_remake_is_known_by_its_row() -> None:
    assert set(paper.entries()["method"]) == set(paper.VARIANTS)


@pytest.mark.slow
def test_a_failure_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = tiny("0"), [Experiment.of("mvtec_ad", "bottle", profile="smoke")]
    found = {outcome.experiment.dataset: outcome for outcome in run_many.run_all([*bad, *good], workers=2)}
    assert found["digits"].record == records()[0]
    assert found["mvtec_ad"].record is None
    assert "no folder" in found["mvtec_ad"].error


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(results: Path) -> None:
    """The first outcome kills every worker; what was not done is done by new ones."""
    killed = False
    for _ in run_many.run_all(tiny("0", "1", "2", "3"), workers=2):
        if not killed:
            killed = True
            workers = multiprocessing.active_children()
            assert len(workers) == 2
            for worker in workers:
                worker.kill()
    assert {r["experiment"]["normal_class"] for r in records()} == {"0", "1", "2", "3"}


def test_what_another_program_is_at_is_left_to_it(results: Path) -> None:
    (experiment,) = tiny("0")
    path = record_path(experiment)
    path.parent.mkdir(parents=True)
    with filelock.FileLock(path.parent / f".{experiment.id}.lock"):
        assert run_many._attempt(experiment, results, patient=False) is None
    outcome = run_many._attempt(experiment, results, patient=False)
    assert outcome is not None
    assert outcome.record == records()[0]
