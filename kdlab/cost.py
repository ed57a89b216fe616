"""What the method costs: arithmetic counted in the networks themselves, time and memory from records and benchmarks."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdlab.experiments.records import Record, made_on
from kdlib.networks import CRITICAL_POINTS, VGG16, Cloner
from kdlib.recipe import Recipe

BENCHMARKS = Path(__file__).parent.parent / "benchmarks" / "measured.jsonl"  # not there in an installed package
BASELINES = BENCHMARKS.with_name("baselines.jsonl")  # made by notebooks/ablations/baselines
REAL_TIME = 25  # images/s: the pace of film, which this book calls real time


def passes(size: int, cloner: str = "small") -> dict[str, int]:
    """Multiply-accumulates of convolutions for one image of ``size`` pixels a side, by pass through a network.

    ``source``, ``cloner``: forward. ``cloner, weights`` and ``source, weights``: back, to the gradient of the weights;
    the source's is computed, and unused, by a program that leaves its weights trainable. ``source, image`` and
    ``cloner, image``: back, to the gradient of the image (Eq. 5).
    """

    def call(channels: str, *, learn: bool = False, image: bool = False) -> int:
        with torch.device("meta"):  # counted, not run
            network = Cloner(channels).eval().requires_grad_(learn)
            x = torch.empty(1, 3, size, size, requires_grad=image)
        with FlopCounterMode(display=False) as counter:
            answer = torch.stack([a.sum() for a in network(x).values()]).sum()
            if learn or image:
                answer.backward()
        return int(counter.get_total_flops()) // 2

    source, own = call("equal"), call(cloner)  # the equal cloner has the convolutions of the source
    return {
        "source": source,
        "cloner": own,
        "cloner, weights": call(cloner, learn=True) - own,
        "source, weights": call("equal", learn=True) - source,
        "source, image": call("equal", image=True) - source,
        "cloner, image": call(cloner, image=True) - own,
    }


# Passes of one image, by what is done with it.
TRAIN = {
    "activations kept (kdlib)": ("cloner", "cloner, weights"),
    "source in each step": ("source", "cloner", "cloner, weights"),
    "reference code": ("source", "source, weights", "cloner", "cloner, weights"),
}
TEST = {"score": ("source", "cloner"), "localize, gradients": ("source", "cloner", "source, image", "cloner, image")}


def of_records(records: Iterable[Record]) -> pd.DataFrame:
    """What records cost: a row each, with dataset, profile, machine, side (pixels), epochs, images trained on, tested.

    seconds, training_rate (images/s): of the training alone, over all its starts. test_rate (images/s): evaluations
    whose source activations were kept; NaN where there are masks, as maps are in it, and where the experiment was
    resumed or used an earlier training, as the record counts its last start only. memory: peak of the process, GB; NaN
    where a GPU did the work, as its own memory is not in it.
    kept: GB that the source's activations of the training images take, in the record's precision.
    """
    rows = []
    for record in records:
        experiment, cost, data = record["experiment"], record["cost"], record["provenance"]["data"]
        recipe, images, tested = Recipe.from_dict(experiment["recipe"]), data["train"]["images"], data["test"]["images"]
        whole = cost["seconds"] >= cost["training_seconds"] and "pixel_auroc" not in record["metrics"]
        evaluated = len(record["metrics"]["evaluations"]) * tested
        width = 2 if record["provenance"]["precision"] == "bf16" else 4
        made = experiment["dataset"], experiment["profile"], made_on(record), recipe.input_size, recipe.epochs
        trained = images, tested, cost["training_seconds"], cost["training_images_per_second"]
        test_rate = evaluated / cost["evaluation_seconds"] if whole else np.nan
        memory = np.nan if "gpu" in record["provenance"]["machine"] else cost["peak_memory_bytes"] / 1e9
        rows.append((*made, *trained, test_rate, memory, width * images * activation_values(recipe) / 1e9))
    names = "dataset profile machine side epochs images tested seconds training_rate test_rate memory kept"
    return pd.DataFrame(rows, columns=names.split())


def activation_values(recipe: Recipe) -> int:
    """Numbers in the source's activations of one image."""
    blocks = dict(zip(("pool1", *CRITICAL_POINTS), enumerate(VGG16, start=1), strict=True))
    chosen = (blocks[point] for point in recipe.critical_points)
    return sum(channels[-1] * (recipe.input_size // 2**halvings) ** 2 for halvings, channels in chosen)


def benchmarks(path: Path = BENCHMARKS) -> dict[str, dict[str, Any]]:
    """The last measurement of each benchmark that the repository keeps, by name; none where the file is not there.

    Those of a GPU are apart: ``"localization"``, ``"localization, GPU"``.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.is_file() else []
    return {line["benchmark"] + (", GPU" if "gpu" in line else ""): line for line in lines}


def claims(step: Mapping[str, int], measured: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The paper's claims of cost (Sec. 1), judged by `passes` and `benchmarks`.

    ``inexpensive``: compared to earlier work. ``one more pass``: training needs one more forward pass, through the
    source, than a standard training. ``real-time``: localization, at `REAL_TIME` images/s.
    """
    share = step["source"] / (step["source"] + step["cloner"] + step["cloner, weights"])
    lines = [line for name, line in measured.items() if name.split(",")[0] == "localization"]
    rates = {
        line.get("gpu") or f"{line['threads']} threads of {line['processor']}": 1000
        / line["gradients, milliseconds an image"]
        for line in lines
    }
    fast = [rate >= REAL_TIME for rate in rates.values()]
    said = "holds: " if all(fast) else "holds in part: " if any(fast) else "not decided: "
    fastest_first = sorted(rates.items(), key=lambda item: item[1], reverse=True)
    said += " and ".join(f"{rate:.1f} images/s on {place}" for place, rate in fastest_first)
    if not all(fast):
        said += f"; {REAL_TIME} would be real time"
        said += "" if any("gpu" in line for line in measured.values()) else "; no GPU was timed"
    return {
        "inexpensive": "not decided: no earlier method was timed here, and the paper prints no time",
        "one more pass": f"holds: as a count of passes; this one is {share:.0%} of the multiplications of a step",
        "real-time": said if rates else "not decided: no benchmark is here",
    }
