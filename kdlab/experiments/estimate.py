"""How long experiments will take, from earlier records, before they run."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.experiments.run_one import FINISHED, evaluated, training_folder, with_maps
from kdlib.networks import default_device
from kdlib.recipe import MANY_PASSES, Recipe

Counts = tuple[int, int, bool]  # training images, test images, whether these have masks

# Passes through a small cloner that each step is worth, by its multiplications: a pass back costs two forward.
TRAIN, EVALUATE, SOURCE = 3, 1, 22
GRADIENT = 3 * (SOURCE + 1)  # through both networks


def seconds(experiments: Sequence[Experiment], known: Iterable[Record]) -> list[float]:
    """Estimated seconds of each experiment, (N,): the median of earlier trainings, scaled by their arithmetic.

    Records of the same data set count where there are any, else all of the same cloner; NaN where there is none. Where
    a GPU will do the work, those that one made; else the others. They were made on some machine, at some load, which
    those of one training share. A training that several experiments share counts for the first, and for none where its
    cloners are kept.
    """
    device = default_device()
    rates: dict[tuple[str, str], dict[object, float]] = {}
    for record in known:
        if ("gpu" in record["provenance"]["machine"]) != (device.type == "cuda"):
            continue
        earlier, data = Experiment.from_dict(record["experiment"]), record["provenance"]["data"]
        masks = "pixel_auroc" in record["metrics"]
        counts = data["train"]["images"], data["test"]["images"], masks
        rate = record["cost"]["seconds"] / work(earlier.recipe, counts)
        training = earlier.dataset, earlier.normal, earlier.seed, str(earlier.recipe.training_settings())
        for name in (earlier.dataset, ""):
            rates.setdefault((name, earlier.recipe.cloner), {})[training] = rate
    found, trained = [], set()
    for experiment in experiments:
        folder = training_folder(experiment, device)
        trains = folder not in trained and not (folder / FINISHED).is_file()
        trained.add(folder)
        cloner = experiment.recipe.cloner
        known_rates = rates.get((experiment.dataset, cloner)) or rates.get(("", cloner)) or {"": math.nan}
        data_counts = len(experiment.data.train), len(experiment.data.test), experiment.data.has_masks
        found.append(float(np.median([*known_rates.values()])) * work(experiment.recipe, data_counts, trains=trains))
    return found


def work(recipe: Recipe, counts: Counts, *, trains: bool = True) -> float:
    """Arithmetic of an experiment in passes of one pixel through a cloner; without training, of its evaluations."""
    train, test, masks = counts
    epochs, maps = len(evaluated(recipe)), len(with_maps(recipe)) if masks else 0
    gradient = GRADIENT * (recipe.samples if recipe.attribution in MANY_PASSES else 1)
    training = (TRAIN + (SOURCE if recipe.augment else 0)) * recipe.epochs * train if trains else 0
    return recipe.input_size**2 * (training + (EVALUATE * epochs + gradient * maps + SOURCE) * test)


def duration(seconds: float) -> str:
    """ "about 12 min"; "time unknown" where no record tells."""
    if math.isnan(seconds):
        return "time unknown"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {seconds:.0f} s"
