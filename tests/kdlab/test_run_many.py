"""Many experiments: processes that fail and are killed, a real Dask scheduler with two workers, one that dies."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import filelock
import pytest
from distributed import Client

from kdlab import short_temporary_folder
from kdlab.__main__ import main
from kdlab.experiments import run_many
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import record_path, records

TINY: dict[str, Any] = {"epochs": 1, "train_limit": 8, "test_limit": 20}
FAST = ["--no-dashboard", "--protocol", "tcp", "--host", "127.0.0.1"]


pytestmark = pytest.mark.usefixtures("results")


def tiny(*normals: str, seed: int = 0) -> list[Experiment]:
    return [Experiment.of("digits", normal, seed=seed, profile="smoke", **TINY) for normal in normals]


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


def start(processes: ExitStack, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
    process = processes.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    processes.callback(process.kill)
    return process


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Address and process of a scheduler with two workers."""
    with ExitStack() as processes:
        file = tmp_path / "scheduler.json"
        scheduler = start(processes, "scheduler", *FAST, "--port", "0", "--scheduler-file", str(file))
        for _ in range(2):
            start(processes, "worker", *FAST, "--nthreads", "1", "--no-nanny", "--scheduler-file", str(file))
        with Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, scheduler


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_two_workers_make_the_records(cluster: tuple[str, object]) -> None:
    bad = Experiment.of("mvtec_ad", "bottle", profile="smoke")
    outcomes = list(run_many.run_all([*tiny("0", "1", "2"), bad], scheduler=cluster[0]))
    assert sorted(o.experiment.normal for o in outcomes if o.record) == ["0", "1", "2"]
    assert ["no folder" in o.error for o in outcomes if not o.record] == [True]
    assert {r["experiment"]["normal_class"] for r in records()} == {"0", "1", "2"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_dies_is_named_and_nothing_is_lost(cluster: tuple[str, "subprocess.Popen[bytes]"]) -> None:
    address, scheduler = cluster
    outcomes = run_many.run_all(
        [*tiny("0"), Experiment.of("digits", "1", profile="smoke", **TINY | {"epochs": 2000})], scheduler=address
    )
    assert next(outcomes).record
    scheduler.send_signal(signal.SIGKILL)
    with pytest.raises(ConnectionError, match=f"scheduler {address}: was lost; start it again"):
        next(outcomes)
    assert [r["experiment"]["normal_class"] for r in records()] == ["0"]


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdlab.experiments.run_many.PATIENCE", 1)
    begin = time.monotonic()
    arguments = ["run", "--dataset", "digits", "--normal-class", "0", "--profile", "smoke"]
    assert main([*arguments, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "scheduler tcp://127.0.0.1:9: cannot be reached" in capsys.readouterr().err
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("length", [20, 90])
def test_sockets_need_a_short_temporary_folder(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/" + "x" * (length - 1))
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * (length - 1))
    short_temporary_folder()
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == ("/tmp" if length == 90 else "/" + "x" * 19)
