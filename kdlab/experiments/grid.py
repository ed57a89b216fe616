"""Many experiments: whole tables of the paper, a pool of processes, and how far all of it is.

Durability is in the files, not in the engine: whoever finishes writes its record, whoever starts skips what is there.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import filelock
import torch

from kdlab import paper
from kdlab.experiments.cluster import on_cluster
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.experiments.runs import run
from kdlab.studies import studies
from kdlib.errors import unknown
from kdlib.files import FOLDERS, ensure_folder, results_folder


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: its record, or why there is none."""

    experiment: Experiment
    record: Record | None = None
    error: str = ""


def of_table(
    number: int,
    *,
    dataset: str | None = None,
    normals: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    preset: str = "paper",
    profile: str = "paper",
    **changes: Any,
) -> list[Experiment]:
    """The experiments behind the entries of a printed table that are the paper's own.

    Args:
        number: of the table.
        dataset, normals: only this data set, only these classes or categories.
        changes: settings of the recipe beside those of the table's own variants.
    """
    entries = paper.entries(table=number)
    chosen = entries[entries["dataset"] == dataset] if dataset else entries
    for what, name, column in [("data set", dataset, "dataset"), *(("class", n, "column") for n in normals or ())]:
        known = (chosen if column == "column" else entries)[column].unique()
        if name is not None and name not in known:
            raise ValueError(unknown(f"table {number}: no {what}", name, known))
    if normals:
        chosen = chosen[chosen["column"].isin(normals)]
    decided = {key for entry in chosen["method"] for key in paper.VARIANTS[entry]}
    if both := decided & changes.keys():
        raise ValueError(f"table {number}: its rows decide {', '.join(sorted(both))}; it cannot be set as well")
    found = (
        Experiment.of(
            entry["dataset"],
            entry["column"],
            seed=seed,
            preset=preset,
            profile=profile,
            **paper.VARIANTS[entry["method"]] | changes,
        )
        for seed in seeds
        for entry in chosen.to_dict("records")
    )
    return list(dict.fromkeys(found))  # one experiment may stand in several rows


def of_study(
    name: str,
    *,
    dataset: str | None = None,
    normals: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    profile: str | None = None,
    **changes: Any,
) -> list[Experiment]:
    """The experiments of an ablation study of `kdlab.studies.studies`, cheap ones first.

    Args:
        dataset, normals: only this data set, only these classes or categories.
        seeds, profile: instead of those of the study.
        changes: settings of the recipe beside those that the study compares.
    """
    study = studies.study(name)
    cells = [cell for cell in study.cells if dataset in (None, cell.dataset)]
    if not cells:
        raise ValueError(unknown(f"study {name}: no data set", dataset, dict.fromkeys(c.dataset for c in study.cells)))
    known = dict.fromkeys(normal for cell in cells for normal in cell.normals)
    if strange := [normal for normal in normals or () if normal not in known]:
        raise ValueError(unknown(f"study {name}: no class", strange[0], known))
    decided = {key for cell in cells for label in study.settings for key in study.changes(label, cell.dataset)}
    if both := decided & changes.keys():
        raise ValueError(f"study {name}: its settings decide {', '.join(sorted(both))}; it cannot be set as well")
    found = (
        study.experiment(label, cell.dataset, normal, seed=seed, profile=profile or cell.profile, **changes)
        for cell in cells
        for seed in seeds or cell.seeds
        for normal in cell.normals
        if not normals or normal in normals
        for label in study.labels(cell.dataset)
    )
    return list(dict.fromkeys(found))


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
    context.set_forkserver_preload(["kdlab.experiments.runs"])
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
