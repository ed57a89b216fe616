"""``python -m kdlab``: ``run`` experiments, ``status`` of the paper's tables, what ``data`` is here."""

import argparse
import os
import sys
import time
from itertools import product
from typing import Any

from kdlab import coverage
from kdlab.experiments import choose, estimate, run_many
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, late, record_path, records
from kdlab.originals import inventory, normals
from kdlab.presets import PRESETS, PROFILES, VGG16S
from kdlab.studies.catalogue import STUDIES
from kdlib.__main__ import finish
from kdlib.data import ABOUT, DATASETS
from kdlib.files import results_folder
from kdlib.networks import default_device


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; 1 where an experiment failed, else as `kdlib.__main__.finish`."""
    parser = argparse.ArgumentParser(prog="python -m kdlab", description="Multiresolution knowledge distillation.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run experiments that have no record yet")
    run.add_argument("--table", type=int, help="a table of the paper: its entries are the experiments")
    run.add_argument("--study", help=f"an ablation: one of {', '.join(STUDIES)}")
    run.add_argument("--dataset", help=f"one of {', '.join(DATASETS)}")
    run.add_argument("--normal-class", "--category", dest="normal", nargs="+", help="one or more; all by default")
    run.add_argument("--seed", type=int, nargs="+", help="0 by default, or those of the study")
    run.add_argument("--preset", help=f"one of {', '.join(PRESETS)}; paper by default")
    run.add_argument("--profile", help=f"one of {', '.join(PROFILES)}; paper by default, or that of the study")
    run.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="such as lam=1")
    run.add_argument("--workers", type=int, help="processes; one per processor by default, one with a GPU")
    run.add_argument("--scheduler", default="", metavar="ADDRESS", help="of a Dask cluster")
    run.add_argument("--dry-run", action="store_true", help="list the experiments, their records, and time")
    data = commands.add_parser("data", help="what data is there, against the originals; damaged files")
    data.add_argument("dataset", nargs="*", help=f"some of {', '.join(ABOUT)}; all by default")
    status = commands.add_parser("status", help="how much of the paper has records, by preset")
    status.add_argument("--weights", default=VGG16S[0], choices=VGG16S, help="of the source in the records that count")
    status.add_argument("--json", action="store_true")
    for command, action in ((run, _run), (data, _data), (status, _status)):
        command.set_defaults(action=action)
    options = parser.parse_args(arguments)
    return finish(options, options.action)


def _run(options: argparse.Namespace) -> int:
    if options.workers is not None and options.workers < 1:
        raise ValueError(f"--workers: expected 1 or more, found {options.workers}")
    if options.workers and options.scheduler:
        raise ValueError("--workers and --scheduler: a cluster has its own workers; leave one of the two out")
    experiments = _experiments(options)
    for dataset in dict.fromkeys(e.dataset for e in experiments if e.dataset in ABOUT):
        print(f"{ABOUT[dataset].title}: {ABOUT[dataset].terms}", file=sys.stderr)
    known = records()
    estimates = dict(zip(experiments, estimate.seconds(experiments, known), strict=True))
    waiting = [e for e in experiments if not record_path(e).exists()]
    work = sum(estimates[e] for e in waiting)
    if options.dry_run:
        _say_folder(len(known))
        earlier = {Experiment.from_dict(record["experiment"]): record["id"] for record in known}
        for experiment in experiments:
            other = earlier.get(experiment)
            note = f" (record {other} is of other data or weights)" if other else ""
            state = f"to do, {estimate.duration(estimates[experiment])}{note}" if experiment in waiting else "done"
            print(_name(experiment), state)
        print(f"{len(waiting)} to do: {estimate.duration(work)} of work")
        return 0
    # One thread each, see `run_one.run`; on a GPU every process more takes of its memory.
    by_default = 1 if default_device().type == "cuda" else os.cpu_count() or 1
    workers = min(options.workers or by_default, max(1, len(waiting)))
    done, failed, begin = 0, 0, time.monotonic()
    for outcome in run_many.run_all(experiments, workers=workers, scheduler=options.scheduler):
        done, failed = done + bool(outcome.record), failed + (not outcome.record)
        if outcome.experiment in waiting:
            waiting.remove(outcome.experiment)
        left = sum(estimates[e] for e in waiting)
        time_left = (time.monotonic() - begin) * left / (work - left) if work > left else left
        running = "" if options.scheduler else f"{min(workers, len(waiting))} running, "
        state = f"{done} of {len(experiments)} done, {running}{failed} failed, {estimate.duration(time_left)} left"
        if outcome.record:
            print(f"{_name(outcome.experiment)}: image AUROC {_percent(outcome.record)} ({state})", flush=True)
        else:
            print(f"{_name(outcome.experiment)} FAILED: {outcome.error} ({state})", file=sys.stderr, flush=True)
    return 1 if failed else 0


def _percent(record: Record) -> str:
    found, count = record["metrics"]["image_auroc"], len(late(record["metrics"]["evaluations"]))
    what = f"mean of the last {count} evaluations" if count > 1 else "last evaluation"
    return f"{100 * found['mean_last_10']:.2f} ({what})" if found else "undefined"


def _experiments(options: argparse.Namespace) -> list[Experiment]:
    """The chosen experiments; their data is found, or the error raised, before any work."""
    chosen: dict[str, Any] = {"dataset": options.dataset, "normals": options.normal}
    settings = {"preset": options.preset or "paper", "profile": options.profile or "paper", **options.settings}
    seeds = options.seed or [0]
    if options.study is not None:
        if both := [name for name in ("table", "preset") if getattr(options, name) is not None]:
            raise ValueError(f"--study and --{both[0]}: a study has its own settings; leave one of the two out")
        chosen |= {"seeds": options.seed, "profile": options.profile}
        experiments = choose.of_study(options.study, **chosen, **options.settings)
    elif options.table is not None:
        experiments = choose.of_table(options.table, **chosen, seeds=seeds, **settings)
    elif options.dataset:
        places = product(seeds, options.normal or normals(options.dataset))
        experiments = [Experiment.of(options.dataset, normal, seed=seed, **settings) for seed, normal in places]
    else:
        raise ValueError("run: expected --table, --study, or --dataset")
    if not experiments:
        raise ValueError(f"run: no category of {options.dataset} is here; python -m kdlab data tells what is expected")
    for experiment in experiments:
        _ = experiment.id
    return experiments


def _name(experiment: Experiment) -> str:
    return f"{experiment.dataset} {experiment.normal} seed {experiment.seed} {experiment.id}"


def _data(options: argparse.Namespace) -> int:
    texts, problems = zip(*map(inventory, options.dataset or ABOUT), strict=True)
    print("\n\n".join(texts))
    return 1 if any(problems) else 0


def _say_folder(count: int) -> None:
    print(f"{results_folder().absolute()} holds {count or 'no'} record{'s' * (count > 1)}", file=sys.stderr, flush=True)


def _status(options: argparse.Namespace) -> int:
    _say_folder(len(records()))
    found = coverage.status(weights=options.weights)
    print(found.to_json(orient="records", indent=1) if options.json else found.to_string(index=False, na_rep=""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
