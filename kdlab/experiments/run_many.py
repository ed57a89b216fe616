"""Many experiments"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import filelock
import torch

from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.experiments.run_one import run
from kdlib.files import FOLDERS, ensure_folder, results_folder

PATIENCE = 10  # seconds to wait for a scheduler
Answer = TypeVar("Answer")


def on_cluster(
    attempt: Callable[..., Answer], experiments: Sequence[Experiment], *arguments: object, scheduler: str
) -> Iterator[tuple[Experiment, Answer | BaseException]]:
    """Each experiment with what ``attempt(experiment, *arguments)`` gives on the cluster, or raises, as it comes.

    Raises:
        ConnectionError: the scheduler is not there, or was lost.
        ValueError: Dask is not installed, or workers have more than one thread.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ValueError("scheduler: Dask is not installed; pip install 'kdlib[dask]'") from error
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise ConnectionError(f"scheduler {scheduler}: cannot be reached ({error}); is it started?") from error
    with client:
        if shared := [address for address, threads in client.nthreads().items() if threads != 1]:
            raise ValueError(
                f"scheduler {scheduler}: start its workers with --nthreads 1; {shared[0]} has more threads"
            )
        # A copy of an experiment leaves the images behind that the original has in memory.
        futures = {client.submit(attempt, replace(e), *arguments, pure=False): e for e in experiments}
        for future in as_completed(futures):
            if future.cancelled():
                raise ConnectionError(
                    f"scheduler {scheduler}: was lost; start it again, and repeat the command for the rest"
                )
            yield futures[future], future.exception() or future.result()


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: its record, or why there is none."""

    experiment: Experiment
    record: Record | None = None
    error: str = ""


def run_all(
    experiments: Sequence[Experiment], *, workers: int = 1, scheduler: str = "", results: Path | None = None
) -> Iterator[Outcome]:
    """Run what has no record yet, in so many processes or on a Dask cluster, and hand out each outcome as it comes.

    A failed experiment does not stop the others. An experiment whose process was killed is tried again, from its
    checkpoint. What another program on the same results folder is at is left to it, and waited for at the end.

    Args:
        scheduler: address of a Dask scheduler whose workers see the same folders, such as ``"tcp://10.0.0.1:8786"``.

    Raises:
        ConnectionError: the scheduler is not there, or was lost; what finished until then has its record.
    """
    results = ensure_folder(results or results_folder()).resolve()
    waiting, patient = list(experiments), False
    while waiting:
        left, killed = list(waiting), False
        try:
            for experiment, outcome in _attempts(waiting, results, patient, workers, scheduler):
                if outcome:  # None: another program is at it
                    left.remove(experiment)
                    yield outcome
        except BrokenProcessPool:
            killed = True
        if killed and len(left) == len(waiting):
            reason = "its process was killed, and no other finished meanwhile; is there enough memory?"
            yield from (Outcome(experiment, error=reason) for experiment in left)
            return
        waiting, patient = left, not killed


def _attempts(
    experiments: Sequence[Experiment], results: Path, patient: bool, workers: int, scheduler: str
) -> Iterator[tuple[Experiment, Outcome | None]]:
    if scheduler:
        settings = {name: str(folder().resolve()) for name, folder in FOLDERS.items()}, results, patient
        for experiment, found in on_cluster(_attempt_there, experiments, *settings, scheduler=scheduler):
            yield experiment, Outcome(experiment, error=str(found)) if isinstance(found, BaseException) else found
        return
    if workers == 1:
        yield from ((experiment, _attempt(experiment, results, patient)) for experiment in experiments)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = get_context("forkserver")  # its processes come from one that has torch and kdlib imported, once
    context.set_forkserver_preload(["kdlab.experiments.run_one"])
    with ProcessPoolExecutor(
        min(workers, len(experiments)),
        mp_context=context,
        initializer=_begin,
        initargs=(threads, dict(os.environ)),
    ) as pool:
        # A copy of an experiment leaves the images behind that the original has in memory.
        futures = {pool.submit(_attempt, replace(e), results, patient): e for e in experiments}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _begin(threads: int, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)  # the fork server's is that of its own start
    torch.set_num_threads(threads)


def _attempt_there(experiment: Experiment, folders: Mapping[str, str], results: Path, patient: bool) -> Outcome | None:
    os.environ.update(folders)
    return _attempt(experiment, results, patient)


def _attempt(experiment: Experiment, results: Path, patient: bool) -> Outcome | None:
    """The outcome of one experiment; None where another program is at it and we do not wait."""
    try:
        folder = ensure_folder(results / experiment.dataset)
        with filelock.FileLock(folder / f".{experiment.id}.lock", timeout=-1 if patient else 0):
            return Outcome(experiment, run(experiment, results=results))
    except filelock.Timeout:
        return None
    except Exception as error:  # whatever it is: the others go on
        return Outcome(experiment, error=f"{type(error).__name__}: {error}")
