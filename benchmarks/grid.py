"""What many experiments cost beside their training: `python benchmarks/grid.py [overhead workers decoding memory]`.

`memory` needs CIFAR-10 and takes minutes. Run it with nothing else running. The last line of each benchmark is JSON.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kdlab.experiments import run_many
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import commit, processor
from kdlib import load
from kdlib.files import ensure_folder, work_folder

SMOKE = [
    Experiment.of("fashion_mnist", str(normal), seed=seed, profile="smoke") for seed in (0, 1) for normal in range(10)
]


def fresh() -> Path:
    return Path(tempfile.mkdtemp())


def forget_trainings() -> None:
    """Images and activations stay; cloners that the run before kept would be evaluated instead of trained."""
    shutil.rmtree(work_folder() / "trainings", ignore_errors=True)


def run(workers: int) -> float:
    """Seconds of the 20 smoke experiments, their caches warm."""
    forget_trainings()
    start = time.perf_counter()
    outcomes = list(run_many.run_all(SMOKE, workers=workers, results=fresh()))
    assert all(outcome.record for outcome in outcomes), [outcome.error for outcome in outcomes]
    return time.perf_counter() - start


def workers() -> dict[str, Any]:
    """20 smoke experiments on two workers, alternating with one worker."""
    ways = {"one": 1, "two": 2}
    run(2)  # warms the caches
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(3):
        for way, found in times.items():
            found.append(run(ways[way]))
    seconds = {way: round(statistics.median(found), 1) for way, found in times.items()}
    ratio = {"two / one, times as fast": round(seconds["one"] / seconds["two"], 2)}
    return {f"{way}, s": found for way, found in seconds.items()} | ratio


def overhead() -> dict[str, float]:
    """Seconds of an experiment beside its training and evaluation: in a fresh process, and the next in the same one."""
    code = (
        "import sys, time; begin = time.perf_counter()\n"
        "from pathlib import Path; from kdlab.experiments.experiment import Experiment\n"
        "from kdlab.experiments.run_one import run\n"
        "for normal in ('0', '1'):\n"
        "    made = run(Experiment.of('fashion_mnist', normal, profile='smoke'), results=Path(sys.argv[1]))['cost']\n"
        "    print(time.perf_counter() - begin - made['training_seconds'] - made['evaluation_seconds'])\n"
        "    begin = time.perf_counter()\n"
    )
    found = []
    for _ in range(4):  # the first warms the caches
        forget_trainings()
        output = subprocess.run(
            [sys.executable, "-c", code, fresh()], capture_output=True, text=True, check=True
        ).stdout
        found.append([float(line) for line in output.split()])
    first, second = (statistics.median(times) for times in zip(*found[1:], strict=True))
    return {"fresh_process": round(first, 2), "same_process": round(second, 2)}


def decoding() -> dict[str, float]:
    """Seconds to get MVTec AD's bottle at working size: decoded, and kept from an earlier experiment."""
    os.environ["KDLIB_WORK"] = str(fresh())
    times = []
    for _ in range(2):
        start = time.perf_counter()
        load("mvtec_ad", "bottle").train.pixels(128, keep=True)
        times.append(time.perf_counter() - start)
    return {"decoded": round(times[0], 2), "kept": round(times[1], 2)}


def memory() -> dict[str, float]:
    """Peak of what a CIFAR-10 class at 224 px takes from the machine, GiB: the full data, one epoch.

    Pages of mapped files do not count: the kernel takes them back when somebody else needs memory.
    """
    code = (
        "import sys; from pathlib import Path; from kdlab.experiments.experiment import Experiment\n"
        "from kdlab.experiments.run_one import run\n"
        "run(Experiment.of('cifar10', 'automobile', epochs=1), results=Path(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, fresh()])
    peak = {"RssAnon": 0, "VmRSS": 0}
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except OSError:
            break
        for line in lines:
            name, _, value = line.partition(":")
            if name in peak:
                peak[name] = max(peak[name], int(value.split()[0]))
        time.sleep(0.2)
    assert process.wait() == 0
    return {
        "anonymous_gib": round(peak["RssAnon"] / 2**20, 2),
        "with_mapped_files_gib": round(peak["VmRSS"] / 2**20, 2),
    }


BENCHMARKS = {"overhead": overhead, "workers": workers, "decoding": decoding, "memory": memory}

if __name__ == "__main__":
    os.environ["KDLIB_PROGRESS"] = "0"
    with tempfile.TemporaryDirectory(dir=ensure_folder(work_folder())) as own:  # cloners kept outside of it stay
        for name in sys.argv[1:] or BENCHMARKS:
            os.environ["KDLIB_WORK"] = own
            about = {"benchmark": name, "commit": commit(), "processor": processor(), "cores": os.cpu_count()}
            print(json.dumps(about | BENCHMARKS[name]()), flush=True)
