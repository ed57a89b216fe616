"""How sure our records are: each entry with its spreads, and the verdict on the paper's claim of stability."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, last_scores, late
from kdlab.studies import statistics
from kdlab.studies.one_factor import BASE, changes, label, weights_of
from kdlab.studies.statistics import SEEDS, bootstrap_interval, of_units, spread, standard_error

STABLE = 1.0  # points of AUROC: how far apart what this book calls stable may be
PLACE = ["dataset", "normal", "profile", "settings"]
ENTRY = [
    *(*PLACE, "seed", "seeds", "same_images", "good", "bad", "last", "mean", "best", "optimism"),
    *("evaluations", "between_seeds", "images", "low", "high", "published", "plus_minus", "weights", "experiments"),
]


def settings(record: Record) -> str:
    """How a record differs from the paper's preset: `one_factor.BASE`, or such as ``"preset=reference, lam=1.0"``."""
    preset = record["experiment"]["preset"]
    return label(({"preset": preset} if preset != "paper" else {}) | changes(record))


def by_entry(records: Iterable[Record], *, pool: bool = True, samples: int = 2000) -> pd.DataFrame:
    """What seeds, evaluations and test images do to each entry, AUROC in %: a row a class, settings and source.

    Columns `ENTRY`; the seeds of an entry are one row, or with ``pool=False`` a row each. seed: the first one.
    same_images: all seeds were tested on one set; good, bad: test images of the first. last, mean (of those of
    `records.late`), best: means over seeds; optimism: best - mean. evaluations, between_seeds: standard deviations of
    `statistics.spread`; images: DeLong's standard error, root mean square over seeds. low, high: BCa interval of the
    first seed's last evaluation, from ``samples`` test sets. published, plus_minus: as printed, of the paper's own
    settings. weights: those of the source. experiments: behind the row. NaN where there is nothing to tell from.
    """
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in sorted(records, key=lambda r: r["experiment"]["seed"]):
        experiment = record["experiment"]
        if record["metrics"]["image_auroc"]:
            place = experiment["dataset"], paper.normal_of(experiment), experiment["profile"], settings(record)
            groups.setdefault((*place, weights_of(record), 0 if pool else experiment["seed"]), []).append(record)
    rows = [dict(zip(PLACE, place, strict=False)) | _entry(groups[place], samples) for place in sorted(groups)]
    printed = paper.published(task="detection", method=paper.OURS).dropna(subset="plus_minus")
    printed = printed.rename(columns={"column": "normal", "auroc": "published"}).assign(settings=BASE)
    keys = ["dataset", "normal", "settings"]
    frame = pd.DataFrame(rows, columns=[name for name in ENTRY if name not in ("published", "plus_minus")])
    frame = frame.merge(printed[[*keys, "published", "plus_minus"]], on=keys, how="left")
    return frame.astype({"same_images": bool})


def _entry(group: list[Record], samples: int) -> dict[str, Any]:
    image = [record["metrics"]["image_auroc"] for record in group]
    last, mean, best = (100 * float(np.mean([m[name] for m in image])) for name in ("last", "mean_last_10", "best"))
    found = [[100 * e["image_auroc"] for e in late(r["metrics"]["evaluations"])] for r in group]
    between, within = spread([each[-min(map(len, found)) :] for each in found])
    row = {
        "seed": group[0]["experiment"]["seed"],
        "seeds": len(group),
        "same_images": len({record["provenance"]["data"]["test"]["fingerprint"] for record in group}) == 1,
        "last": last,
        "mean": mean,
        "best": best,
        "optimism": best - mean,
        "evaluations": within,
        "between_seeds": between,
        "weights": weights_of(group[0]),
        "experiments": tuple(Experiment.from_dict(record["experiment"]) for record in group),
    }
    if scored := [pair for pair in map(last_scores, group) if pair]:
        scores, labels = scored[0]
        low, high = bootstrap_interval(labels, scores, samples=samples)
        errors = [100 * standard_error(y, s) for s, y in scored]
        row |= {"images": math.sqrt(np.mean(np.square(errors))), "low": 100 * low, "high": 100 * high}
        row |= {"good": int((labels == 0).sum()), "bad": int((labels != 0).sum())}
    return row


def verdict(entries: pd.DataFrame) -> str:
    """The claim "our training is highly stable" (Sec. 1), judged by `by_entry`: the paper's settings, profile paper.

    By the rule of `statistics`, units being classes and categories of all data sets. Three deviations are compared
    with `STABLE` points: that of the last evaluations, the distance of their mean to the best of all, and that between
    `SEEDS` seeds or more on the same images.
    """
    own = entries[(entries["settings"] == BASE) & (entries["profile"] == "paper")]
    seeded = own["between_seeds"].where((own["seeds"] >= SEEDS) & own["same_images"])
    names = {"last evaluations": own["evaluations"], "best": own["optimism"], "seeds": seeded}
    known = {name: column.dropna() for name, column in names.items() if column.notna().any()}
    parts, text = statistics.family({name: (of_units(x), of_units(0 * x + STABLE)) for name, x in known.items()})
    parts += [None] * (len(names) - len(known))
    below = (f"{name} {(x <= STABLE).sum()} of {len(x)}" for name, x in known.items())
    said = f"within {STABLE:g} point: {', '.join(below)}; below it by: {text}" if known else "no record of the settings"
    return f"{statistics.verdict(parts)}: {said}"
