"""Many experiments at once, by Dask: in processes of this machine, or on a cluster that has an address.

Durability is in the files, not in the engine: whoever finishes writes its record, whoever starts skips what is there.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock

from kdlab import short_temporary_folder
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.experiments.run_one import run
from kdlib.files import FOLDERS, ensure_folder, results_folder

PATIENCE = 10  # seconds to wait for a scheduler


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
        ValueError: workers of the cluster have more than one thread.
    """
    results = ensure_folder(results or results_folder()).resolve()
    waiting = list(experiments)
    if not waiting:
        return
    workers = min(workers, len(waiting))
    client = _client(workers, scheduler) if scheduler or workers > 1 else None
    with client or nullcontext():
        for patient in (False, True):
            left = []
            for experiment, outcome in _outcomes(client, waiting, results, patient):
                if outcome:
                    yield outcome
                else:  # another program is at it
                    left.append(experiment)
            waiting = left


def _client(workers: int, scheduler: str) -> Any:
    """A client of the cluster at an address, or of one that it starts here and ends with itself."""
    import dask
    from distributed import Client  # a second, which one experiment does not need

    if not scheduler:
        short_temporary_folder()
        # Two workers start in 11 s on a busy two-core machine; "spawn" takes 16, a bare pool of processes some 5 less.
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
        return Client(
            n_workers=workers,
            threads_per_worker=1,  # experiments at a time
            env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            memory_limit=0,  # mapped files are no reason to end a worker
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    try:
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise ConnectionError(f"scheduler {scheduler}: cannot be reached ({error}); is it started?") from error
    if shared := [address for address, threads in client.nthreads().items() if threads != 1]:
        client.close()
        raise ValueError(f"scheduler {scheduler}: start its workers with --nthreads 1; {shared[0]} has more threads")
    return client


def _outcomes(
    client: Any, experiments: Sequence[Experiment], results: Path, patient: bool
) -> Iterator[tuple[Experiment, Outcome | None]]:
    if client is None:
        yield from ((experiment, _attempt(experiment, results, patient)) for experiment in experiments)
        return
    from distributed import KilledWorker, as_completed

    folders = {name: str(folder().resolve()) for name, folder in FOLDERS.items()}
    # A copy of an experiment leaves the images behind that the original has in memory.
    futures = {client.submit(_attempt, replace(e), results, patient, folders, pure=False): e for e in experiments}
    for future in as_completed(futures):
        if future.cancelled():
            address = client.scheduler.address
            raise ConnectionError(f"scheduler {address}: was lost; start it again, and repeat the command for the rest")
        experiment, error = futures[future], future.exception()
        killed = "its process was killed, and so were those that tried again; is there enough memory?"
        reason = killed if isinstance(error, KilledWorker) else str(error)
        yield experiment, Outcome(experiment, error=reason) if error else future.result()


def _attempt(
    experiment: Experiment, results: Path, patient: bool, folders: Mapping[str, str] | None = None
) -> Outcome | None:
    """The outcome of one experiment; None where another program is at it and we do not wait."""
    os.environ.update(folders or {})  # those of who asked
    try:
        folder = ensure_folder(results / experiment.dataset)
        with filelock.FileLock(folder / f".{experiment.id}.lock", timeout=-1 if patient else 0):
            return Outcome(experiment, run(experiment, results=results))
    except filelock.Timeout:
        return None
    except Exception as error:  # whatever it is: the others go on
        return Outcome(experiment, error=f"{type(error).__name__}: {error}")
