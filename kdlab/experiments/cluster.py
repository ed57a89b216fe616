"""Experiments on a Dask cluster (`dask.distributed`, an optional extra)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from kdlab.experiments.experiment import Experiment

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
