"""Experiments: ids, records, what is skipped, and what a killed run ends with."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import torch
from conftest import environment, keep_record
from hypothesis import given
from hypothesis import strategies as st

from kdlab.__main__ import main
from kdlab.experiments import experiment as experiment_module
from kdlab.experiments import run_one
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import SCHEMA, Record, late, read_record, records
from kdlab.experiments.run_one import evaluated, run, summary, with_maps
from kdlib import weights
from kdlib.distill import CHECKPOINT
from kdlib.files import read_safetensors
from kdlib.recipe import Recipe

RESULTS = Path(__file__).parents[2] / "results"
SMALL: dict[str, Any] = {"profile": "smoke", "train_limit": 16, "test_limit": 20}


def experiment(**changes: Any) -> Experiment:
    return Experiment.of("digits", "0", **SMALL | changes)


@pytest.fixture(scope="module")
def record(home: Path) -> Record:
    with environment(home):
        return run(experiment())


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results and work of one test."""
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "work"))
    return tmp_path / "results"


def strict(path: Path) -> Any:
    """What a file of JSON says; NaN and Infinity are none."""
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


# --- records ----------------------------------------------------------------------------------------------------------


def test_record_says_everything(record: Record, home: Path) -> None:
    assert set(record) == {"schema", "id", "experiment", "metrics", "cost", "training", "provenance", "sha256"}
    assert (record["schema"], record["id"]) == (2, experiment().id)
    named = {"dataset": "digits", "normal_class": "0", "seed": 0, "preset": "paper", "profile": "smoke"}
    assert record["experiment"] == named | {"recipe": experiment().recipe.to_dict()}
    assert set(record["metrics"]["image_auroc"]) == {"last", "mean_last_10", "best"}
    assert [set(e) for e in record["metrics"]["evaluations"]] == [{"epoch", "image_auroc"}] * 2
    assert all(0 <= e["image_auroc"] <= 1 for e in record["metrics"]["evaluations"])
    assert {"seconds", "training_images_per_second", "peak_memory_bytes"} <= set(record["cost"])
    assert 1e8 < record["cost"]["peak_memory_bytes"] < 1e11
    origin = record["provenance"]
    assert {"versions", "python", "commit", "machine", "precision", "weights", "data", "date"} <= set(origin)
    assert origin["weights"]["checksum"] == weights.CHECKSUMS["torchvision"]
    assert (origin["data"]["train"]["images"], origin["data"]["test"]["images"]) == (16, 20)
    git = ["git", "rev-parse", "HEAD"]
    there = subprocess.run(git, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    commit = origin["commit"]
    assert there.stdout.startswith(commit.removesuffix("+")) if there.returncode == 0 else commit == ""
    path = home / "results" / "digits" / f"{record['id']}.json"
    assert strict(path) == record
    with np.load(path.with_suffix(".npz")) as kept:
        assert kept["scores"].shape == kept["labels"].shape == (20,)


def test_infinite_lambda_in_strict_json(results: Path) -> None:
    run(experiment(lam=float("inf"), train_limit=4))
    (path,) = results.glob("digits/*.json")
    assert strict(path)["experiment"]["recipe"]["lam"] == "inf"


def test_masks_give_pixel_metrics(results: Path) -> None:
    made = Experiment.of("textures", "brick", **SMALL, size=32)
    record = run(made)
    assert record["experiment"]["category"] == "brick"
    assert set(record["metrics"]) == {"image_auroc", "pixel_auroc", "aupro", "evaluations"}
    assert set(record["metrics"]["pixel_auroc"]) == {"all", "defective"}
    assert all("aupro" in evaluation for evaluation in record["metrics"]["evaluations"])
    for value in (*record["metrics"]["pixel_auroc"].values(), record["metrics"]["aupro"]):
        assert 0 < value < 1


def test_undefined_metrics_are_said_and_left_out(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Experiment.of("textures", "brick", **SMALL, size=32, seed=1)
    assert made.data.test.labels is not None
    defective = np.flatnonzero(made.data.test.labels)
    test = replace(made.data.test[defective], masks=(None,) * len(defective))
    monkeypatch.setitem(vars(made), "data", replace(made.data, test=test))
    with pytest.warns(UserWarning, match="undefined") as said:
        metrics = run(made)["metrics"]
    assert metrics == {"image_auroc": None, "evaluations": []}
    texts = [str(warning.message).partition(";")[0] for warning in said]
    assert texts == ["brick: all test images are anomalous", "brick: all masks are empty"]


def test_what_is_there_is_not_run_again(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_one, "Detector", lambda *_, **__: pytest.fail("run again"))
    assert run(experiment()) == record


@pytest.mark.parametrize("threads", [1, 2])
def test_same_experiment_same_figures_with_any_number_of_threads(threads: int, record: Record, results: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        again = run(experiment())
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert again["metrics"] == record["metrics"]
    assert again["training"] == record["training"]
    assert again["provenance"]["machine"]["threads"] == 1


def test_records_are_filtered(results: Path, record: Record) -> None:
    for name, changes in (("a", {"seed": 1}), ("b", {"profile": "paper"}), ("c", {})):
        keep_record(record | {"id": name, "experiment": record["experiment"] | changes}, results)

    def found(**wanted: Any) -> str:
        return "".join(r["id"] for r in records(**wanted))

    assert found() == found(dataset="digits", normal="0", size=32) == "abc"
    assert (found(seed=1), found(profile="paper"), found(profile="smoke", seed=0)) == ("a", "b", "c")
    assert found(dataset="mnist") == found(normal="1") == found(size=64) == found(category="0") == ""
    assert records(results / "nowhere") == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: r | {"schema": 99},
        lambda r: r | {"id": "other"},
        lambda r: {k: v for k, v in r.items() if k != "schema"},
        lambda r: [r],
        lambda r: None,
        lambda r: {"schema": SCHEMA, "id": "r"},  # no experiment
        *(lambda r, content=content: content for content in (b"", b"{", b"\xff\xfe\x00")),
    ],
)
def test_foreign_or_damaged_record(edit: Callable[[Record], object], record: Record, tmp_path: Path) -> None:
    path = tmp_path / "digits" / "r.json"
    path.parent.mkdir()
    content = edit(record | {"id": "r"})
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    keep_record(record | {"id": "whole"}, tmp_path)
    message = r"r\.json: not a record of schema 2 .*; restore or remove it, and run the experiment again"
    with pytest.raises(ValueError, match=message):
        read_record(path)
    with pytest.warns(UserWarning, match=message):
        assert [r["id"] for r in records(tmp_path)] == ["whole"]


def test_record_edited_by_hand(record: Record, results: Path) -> None:
    path = keep_record(record, results)
    assert read_record(path) == record
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ValueError, match=r"its checksum differs: it was edited or damaged .*; restore or remove it"):
        run(experiment())


def test_of_two_records_of_one_experiment_the_newer_counts(record: Record, results: Path) -> None:
    for name, date in (("old", "2026-01-01T00:00:00+00:00"), ("new", "2026-02-01T00:00:00+00:00")):
        keep_record(record | {"id": name, "provenance": record["provenance"] | {"date": date}}, results)
    with pytest.warns(UserWarning, match="record old is of the same experiment as new, but older"):
        assert [r["id"] for r in records()] == ["new"]


def test_a_setting_that_is_no_more(record: Record, results: Path) -> None:
    """The record is read; it is no experiment that could be run again."""
    recipe = record["experiment"]["recipe"] | {"scaling": "critical_point", "weights": "vgg-release"}
    path = keep_record(record | {"experiment": record["experiment"] | {"recipe": recipe}}, results)
    assert read_record(path)["experiment"]["recipe"] == recipe
    with pytest.warns(UserWarning, match=rf"{path.name}: recipe: the scaling 'critical_point' of vgg-release"):
        assert records() == []


def test_unwritable_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(run_one, "Detector", lambda *_, **__: pytest.fail("worked in vain"))
    with pytest.raises(OSError, match="file/digits: cannot be written"):
        run(experiment(), results=tmp_path / "file")


# --- ids and data -----------------------------------------------------------------------------------------------------


def test_id_is_of_recipe_data_and_seed() -> None:
    first = experiment()
    assert first.id == experiment().id
    assert len(first.id) == 16
    others = experiment(seed=1), experiment(epochs=3), experiment(test_limit=21), Experiment.of("digits", "1", **SMALL)
    assert len({first.id, *(e.id for e in others)}) == 5
    assert replace(first, preset="mine", profile="mine").id == first.id  # names of settings are no settings


def test_a_setting_learned_later_changes_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Later(Recipe):
        dropout: float = 0.0

    first = experiment()
    settings = {name: getattr(first.recipe, name) for name in Recipe.__dataclass_fields__}
    monkeypatch.setattr(experiment_module, "Recipe", Later)
    assert replace(first, recipe=Later(**settings)).id == first.id
    assert replace(first, recipe=Later(**settings, dropout=0.5)).id != first.id


def test_limits_choose_the_same_images_everywhere() -> None:
    first, second = experiment().data, experiment(seed=7, epochs=1).data
    assert (len(first.train), len(first.test)) == (16, 20)
    assert (first.train.names, first.test.names) == (second.train.names, second.test.names)
    assert first.test.labels is not None
    assert set(first.test.labels) == {0, 1}
    everything = experiment(train_limit=None, test_limit=10**6).data
    assert len(everything.test) == 599
    order = [everything.test.names.index(name) for name in first.test.names]
    assert order == sorted(order)


# --- evaluations ------------------------------------------------------------------------------------------------------


@given(st.integers(1, 2000))
def test_ten_evaluations_at_the_end(epochs: int) -> None:
    found, step, last = evaluated(Recipe(epochs=epochs)), max(1, epochs // 60), min(10, epochs)
    assert found[-last:] == with_maps(Recipe(epochs=epochs)) == [epochs - step * i for i in reversed(range(last))]
    assert all(b - a == 5 * step for a, b in pairwise(found[:-10]))
    assert 0 < found[0] <= (5 * step if epochs > 10 else 1)


def test_mvtec_is_evaluated_every_ten_epochs_at_the_end() -> None:
    assert evaluated(Recipe(epochs=601)) == [*range(1, 502, 50), *range(511, 602, 10)]
    assert with_maps(Recipe(epochs=601)) == [*range(511, 602, 10)]
    assert with_maps(Recipe(epochs=601, attribution="smoothgrad")) == [601]  # fifty times as dear


def test_summary() -> None:
    evaluations = [{"epoch": e, "image_auroc": a} for e, a in enumerate([0.99, *[0.5] * 5, *[0.7] * 5], 90)]
    for part in evaluations[-2:]:  # maps are measured late, and their mean is of what was measured
        part |= {f"pixel_auroc_{name}": part["epoch"] / 100 - less for name, less in (("all", 0.0), ("defective", 0.1))}
        part["aupro"] = part["epoch"] / 200
    found = summary(evaluations)
    assert found["image_auroc"] == {"last": 0.7, "mean_last_10": pytest.approx(0.6), "best": 0.99}
    assert found["pixel_auroc"] == pytest.approx({"all": 0.995, "defective": 0.895})
    assert found["aupro"] == pytest.approx(0.4975)
    assert found["evaluations"] == evaluations
    assert summary([]) == {"image_auroc": None, "evaluations": []}
    rising = summary([{"epoch": e, "image_auroc": e / 100} for e in range(1, 11)])["image_auroc"]
    assert rising == {"last": 0.1, "mean_last_10": pytest.approx(0.09), "best": 0.1}  # epochs 8, 9 and 10


@given(st.integers(1, 2000))
def test_the_last_quarter_of_a_training_counts_and_ten_evaluations_of_a_long_one(epochs: int) -> None:
    evaluations = [{"epoch": float(e)} for e in evaluated(Recipe(epochs=epochs))]
    found = late(evaluations)
    assert found == evaluations[-len(found) :]
    assert all(each["epoch"] > 0.75 * epochs for each in found)
    assert len(found) == 10 if epochs >= 40 else len(found) <= 10


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no records")
def test_the_figures_of_committed_records_are_those_of_their_evaluations() -> None:
    for record in records(RESULTS):
        found, epochs = record["metrics"]["evaluations"], record["experiment"]["recipe"]["epochs"]
        assert found[-1]["epoch"] == epochs
        last = [e for e in found if e["epoch"] > 0.75 * epochs][-10:]
        for part, values in (("image_auroc", record["metrics"]["image_auroc"]), ("aupro", record["metrics"])):
            if part in found[-1]:
                mean = np.mean([e[part] for e in last if part in e])
                assert values["mean_last_10" if part == "image_auroc" else part] == pytest.approx(mean)


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_figures(results: Path, home: Path) -> None:
    settings = ["epochs=20", "train_limit=16", "test_limit=20"]
    arguments = ["run", "--dataset", "digits", "--normal", "0", "--set", *settings]
    program = (
        "import sys, kdlib.distill; kdlib.distill.distill.__kwdefaults__['checkpoint_seconds'] = 0\n"
        "from kdlab.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)
    checkpoints = results.parent / "work" / "trainings"
    while process.poll() is None and not list(checkpoints.glob("*/checkpoint.safetensors")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list(results.glob("*/*.json"))
    (checkpoint,) = checkpoints.glob("*/checkpoint.safetensors")
    _, about = read_safetensors(checkpoint, format=CHECKPOINT)
    assert 0 < json.loads(about["training"])["epoch"] < 20

    assert main(arguments) == 0
    (continued,) = records()
    whole = Experiment.of("digits", "0", epochs=20, train_limit=16, test_limit=20)
    assert continued["id"] == whole.id
    with environment(home):
        expected = run(whole, results=home / "whole")
    assert continued["metrics"] == expected["metrics"]
    assert continued["training"] == expected["training"]
    scores = [np.load(folder / "digits" / f"{whole.id}.npz")["scores"] for folder in (results, home / "whole")]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(
    "changes", [{"score_points": ("pool3", "pool5")}, {"score_lam": 50.0}, {"sigma": 1.0, "opening": 0}]
)
def test_experiments_that_differ_in_scoring_share_one_training(
    changes: dict[str, Any], results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {"size": 32, "epochs": 12, "train_limit": 16, "test_limit": 8, "profile": "smoke"}
    first, second = (Experiment.of("textures", "brick", **small | c) for c in ({}, changes))
    made = run(first)
    with monkeypatch.context() as patch:
        patch.setattr("kdlib.detector.distill", lambda *_, **__: pytest.fail("trained again"))
        shared = run(second)
    monkeypatch.setenv("KDLIB_WORK", str(tmp_path / "other"))
    alone = run(second, results=tmp_path / "alone")
    assert shared["metrics"] == alone["metrics"] != made["metrics"]
    assert shared["training"] == alone["training"] == made["training"]


def test_cloners_that_are_kept_are_evaluated_side_by_side(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(experiment())
    free = []

    def lock_is_free(*arguments: Any) -> float:
        for lock in (results.parent / "work" / "trainings").glob("*/.lock"):
            with filelock.FileLock(lock, timeout=0):
                free.append(lock)
        return 0.5

    monkeypatch.setattr(run_one, "auroc", lock_is_free)
    run(experiment(score_points=("pool5",)))
    assert free
    with pytest.raises(filelock.Timeout):
        run(experiment(seed=1))  # trains: who asks for the same training has to wait
