"""Intervals, paired tests and spreads, against their equations written out; the verdict, from the records again."""

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import keep_record, record_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from kdlab import cost, paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, records
from kdlab.studies import statistics
from kdlab.studies.one_factor import BASE
from kdlab.studies.statistics import (
    SEEDS,
    UNITS,
    VERDICTS,
    bootstrap_interval,
    family,
    holm,
    p_text,
    paired_difference,
    placements,
    resampled_aurocs,
    sign_flips,
    spread,
    standard_error,
)
from kdlab.studies.uncertainty import STABLE, by_entry, settings, verdict
from kdlib.networks import CLONERS, CRITICAL_POINTS, VGG16, Cloner, Source
from kdlib.recipe import Recipe

RESULTS = Path(__file__).parents[2] / "results"
LABELS = np.repeat([0, 1], [12, 25])


def made_up(seed: int = 0, *, distance: float = 1.5, digits: int = 1) -> np.ndarray:
    """Scores of `LABELS`, rounded so that some are tied."""
    return np.random.default_rng(seed).normal(distance * LABELS).round(digits)


def psi(bad: float, good: float) -> float:
    return 1.0 if bad > good else 0.5 if bad == good else 0.0


def delong_1988(labels: np.ndarray, scores: np.ndarray) -> float:
    """The variance of an AUROC, Eq. 1 to 5 of DeLong et al. as they are written: sums over all pairs."""
    bad, good = scores[labels == 1], scores[labels == 0]
    v10 = [sum(psi(x, y) for y in good) / len(good) for x in bad]
    v01 = [sum(psi(x, y) for x in bad) / len(bad) for y in good]
    return float(np.var(v10, ddof=1) / len(bad) + np.var(v01, ddof=1) / len(good))


def test_delong_is_its_literal_transcription() -> None:
    for scores in (made_up(0), made_up(0) + 0.5 * made_up(1)):
        assert standard_error(LABELS, scores) == pytest.approx(math.sqrt(delong_1988(LABELS, scores)))
    assert math.isnan(standard_error(np.array([0, 1, 1]), np.array([0.0, 1.0, -1.0])))  # one image on a side


@given(arrays(np.int8, 30, elements=st.integers(-3, 3)), arrays(np.bool_, 30))
def test_placements_average_to_the_auroc(scores: np.ndarray, labels: np.ndarray) -> None:
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="one of the two is missing"):
            placements(labels, scores)
        return
    bad, good = placements(labels, scores)
    assert (len(bad), len(good)) == (labels.sum(), (~labels).sum())
    assert bad.mean() == pytest.approx(good.mean()) == pytest.approx(roc_auc_score(labels, scores))


def test_the_bootstrap_agrees_with_delong_and_with_scipy() -> None:
    scores = made_up(digits=2)
    drawn = resampled_aurocs(LABELS, scores, samples=4000)
    assert drawn.std() == pytest.approx(standard_error(LABELS, scores), rel=0.1)
    assert drawn.mean() == pytest.approx(roc_auc_score(LABELS, scores), abs=0.01)

    def statistic(bad: np.ndarray, good: np.ndarray, axis: int = -1) -> np.ndarray:
        pairs = (bad[..., :, None] > good[..., None, :]) + 0.5 * (bad[..., :, None] == good[..., None, :])
        return np.asarray(pairs.mean(axis=(-1, -2)))

    sides = (scores[LABELS == 1], scores[LABELS == 0])
    theirs = stats.bootstrap(sides, statistic, n_resamples=4000, method="BCa", rng=0, batch=500).confidence_interval
    assert bootstrap_interval(LABELS, scores, samples=4000) == pytest.approx(tuple(theirs), abs=0.015)


def test_the_bootstrap_draws_whole_test_sets_of_each_label() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 2.0, 3.0])
    draws = product(((2, 2), (2, 3), (3, 3)), ((1, 1), (1, 2), (2, 2)))
    outcomes = {np.mean([psi(b, g) for b in bad for g in good]) for bad, good in draws}
    assert set(resampled_aurocs(labels, scores, samples=4000)) == outcomes
    assert all(math.isnan(edge) for edge in bootstrap_interval(labels, np.array([0.0, 1.0, 2.0, 3.0]), samples=50))


def gains(*values: float) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], float]]:
    """Two settings, a class a value: what the second is ahead by."""
    after = {(str(unit), 0): 90 + value for unit, value in enumerate(values)}
    return dict.fromkeys(after, 90.0), after


@given(st.lists(st.integers(-40, 40).map(lambda x: x / 8), min_size=UNITS, max_size=9))
def test_p_is_that_of_all_sign_flips(values: list[float]) -> None:
    means = [np.mean(np.multiply(signs, values)) for signs in product((-1, 1), repeat=len(values))]
    beyond = np.mean(np.abs(means) >= abs(np.mean(values)) - 1e-9)
    assert paired_difference(*gains(*values)).p == pytest.approx(beyond)


def test_six_units_can_decide_and_five_cannot() -> None:
    assert sign_flips((1.0,) * UNITS) == 2 / 2**UNITS < 0.05 < sign_flips((1.0,) * (UNITS - 1))
    five, six = (paired_difference(*gains(*range(1, n + 1))) for n in (5, 6))
    assert (five.units, math.isnan(five.p), six.units, six.p) == (5, True, 6, 2 / 64)
    theirs = stats.ttest_1samp(range(1, 6), 0).confidence_interval()
    assert (five.mean, five.low, five.high) == pytest.approx((3, *theirs))
    assert six.low < 3.5 < six.high


def test_seeds_are_no_units() -> None:
    found = {"x": [0.5, 1.5], "y": [3.0], "z": [-1.0, 0.0, 1.0]}
    after = {(name, seed): 90 + gain for name, seeds in found.items() for seed, gain in enumerate(seeds)}
    test = paired_difference(dict.fromkeys(after, 90.0) | {("only before", 0): 1.0}, after)
    assert test[:4] == pytest.approx((4 / 3, *stats.ttest_1samp([1.0, 3.0, 0.0], 0).confidence_interval(), 3))
    one = paired_difference({("x", s): 0.0 for s in range(9)}, {("x", s): 1.0 + s for s in range(9)})
    assert (one.mean, one.units, math.isnan(one.p)) == (5, 1, True)
    assert one[1:3] == pytest.approx(tuple(stats.ttest_1samp(range(1, 10), 0).confidence_interval()))
    assert np.isnan(paired_difference(*gains(2.0))[1:3]).all()
    assert paired_difference(*gains(*[1.0] * 7))[:4] == (1, 1, 1, 7)
    with pytest.raises(ValueError, match="no key is in both; run both settings"):
        paired_difference(after, {})
    with pytest.raises(ValueError, match=r"not finite at \('y', 0\)"):
        paired_difference(after, after | {("y", 0): math.nan})


def test_a_family_shares_its_chances() -> None:
    """Holm's correction as he writes it."""
    p = [0.01, math.nan, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, math.nan, 0.06, 0.06, 0.02], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).size == 0
    parts, text = family({"up": gains(*range(1, 7)), "two": gains(1, 2)})
    assert (parts, text) == ([True, None], "up +3.50 (p = 0.031); two +1.50 (too few)")
    assert family({"up": gains(*range(1, 7)), "down": gains(*range(-6, 0))})[0] == [None, None]  # twice 0.031
    assert p_text(0.0004) == "p < 0.001"


def test_five_verdicts() -> None:
    cases: list[list[bool | None]] = [[True, True], [True, None], [True, False], [False, False], [None, None]]
    assert tuple(map(statistics.verdict, cases)) == VERDICTS
    assert statistics.verdict([False, None]) == "contradicted in part"
    assert statistics.verdict([]) == "not decided"


def test_spread_finds_the_deviations_it_was_made_with() -> None:
    random = np.random.default_rng(0)
    table = 90 + random.normal(0, 2, (400, 1)) + random.normal(0, 0.5, (400, 10))
    assert spread(table.tolist()) == pytest.approx((2, 0.5), rel=0.1)
    between, within = spread(table[:1].tolist())
    assert math.isnan(between)
    assert within == pytest.approx(table[0].std(ddof=1))
    assert spread([[1.0, 2.0], [2.0, 1.0]])[0] == 0  # seeds that agree better than their evaluations
    assert spread([[1.0], [3.0]])[0] == pytest.approx(math.sqrt(2))


def write(folder: Path, normal: str, *, seed: int = 0, aurocs: list[float], images: str = "one", **more: Any) -> Record:
    """A record with scores beside it, of an experiment that was never run."""
    record = record_of(Experiment.of("mvtec_ad", normal, seed=seed, **more))
    record["id"] = f"{normal}-{seed}"
    record["metrics"] = {
        "image_auroc": {"last": aurocs[-1], "mean_last_10": float(np.mean(aurocs[-10:])), "best": max(aurocs)},
        "evaluations": [{"epoch": n, "image_auroc": a} for n, a in enumerate(aurocs, 1)],
    }
    data = {"train": {"images": 25}, "test": {"images": 37, "fingerprint": images}}
    record["provenance"] |= {"precision": "bf16", "machine": {"processor": "P"}, "data": data}
    record["cost"] = {"seconds": 110.0, "training_seconds": 100.0, "training_images_per_second": 50.0}
    record["cost"] |= {"evaluation_seconds": 10.0, "peak_memory_bytes": 2 * 10**9}
    path = keep_record(record, folder)
    np.savez(path.with_suffix(".npz"), scores=made_up(), labels=LABELS.astype(np.int8))
    return record


def test_an_entry_pools_its_seeds(results: Path) -> None:
    for seed, aurocs in enumerate(([0.5, 0.9, 0.8], [0.5, 0.7, 0.9])):
        write(results, "bottle", seed=seed, aurocs=aurocs, images="one" if seed else "another")
    write(results, "capsule", aurocs=[0.6], lam=1.0, preset="reference")
    found = records()
    entries = by_entry(found, samples=50)
    bottle, capsule = entries.iloc[0], entries.iloc[1]
    assert bottle[["normal", "settings", "seed", "seeds", "same_images", "good", "bad"]].tolist() == [
        *("bottle", BASE, 0, 2, False, 12, 25)
    ]
    means = [100 * (2.2 / 3 + 2.1 / 3) / 2, 90.0]
    assert bottle[["last", "mean", "best", "optimism"]].tolist() == pytest.approx([85, *means, means[1] - means[0]])
    printed = paper.published(table=3, method=paper.OURS, column="bottle").iloc[0]
    assert bottle["published"] == printed["auroc"]
    assert bottle["plus_minus"] == printed["plus_minus"]
    assert bottle["images"] == pytest.approx(100 * standard_error(LABELS, made_up()))
    assert bottle["low"] < 100 * roc_auc_score(LABELS, made_up()) < bottle["high"]
    assert capsule["settings"] == "preset=reference, lam=1.0"
    assert math.isnan(capsule["published"])
    assert math.isnan(capsule["between_seeds"])
    assert len(by_entry(found, pool=False, samples=50)) == 3
    assert list(by_entry([]).columns) == list(entries.columns)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": "laptop"}, "not decided: no record"),
        ({}, "holds in part: within 1 point: last evaluations 8 of 8, best 8 of 8;"),  # no seeds
        ({"seeds": SEEDS, "between_seeds": 0.3}, "holds: "),
        ({"count": 5}, "not decided: "),
        ({"optimism": STABLE + 0.1}, "contradicted in part"),
        ({"evaluations": 2.0, "optimism": 2.0, "seeds": SEEDS, "between_seeds": 2.0}, "contradicted: "),
        # The seeds of a data set that is split by them are no seeds.
        ({"seeds": SEEDS, "between_seeds": 2.0, "same_images": False}, "holds in part: within 1 point: last"),
    ],
)
def test_the_verdict_follows_the_rule(changes: dict[str, Any], said: str) -> None:
    row: dict[str, Any] = {"settings": BASE, "profile": "paper", "seeds": 1, "same_images": True}
    row |= {"evaluations": 0.1, "optimism": 0.2, "between_seeds": math.nan} | changes
    found = verdict(pd.DataFrame([row] * row.pop("count", 8)))
    assert found.startswith(said)
    assert ("seeds" in found) == (row["seeds"] == SEEDS and row["same_images"])


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no records")
def test_the_verdict_is_that_of_the_committed_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDLIB_RESULTS", str(RESULTS))
    found = [r for r in records(profile="paper") if settings(r) == BASE and r["metrics"]["image_auroc"]]
    entries = by_entry(found, samples=2)
    calm = (entries["evaluations"] <= STABLE).sum()
    assert f"last evaluations {calm} of {len(entries)}" in verdict(entries)


@pytest.mark.parametrize("side", [32, 64])
def test_multiplications_are_those_of_the_channels(side: int) -> None:
    def forward(blocks: Any) -> int:
        total, inputs = 0, 3
        for halvings, block in enumerate(blocks):
            for outputs in block:
                total += 9 * inputs * outputs * (side >> halvings) ** 2
                inputs = outputs
        return total

    def first(blocks: Any) -> int:  # nothing goes back to the image while weights are learned
        return int(9 * 3 * blocks[0][0] * side**2)

    small, source = forward(CLONERS["small"]), forward(VGG16)
    assert cost.passes(side) == {
        "source": source,
        "cloner": small,
        "cloner, weights": 2 * small - first(CLONERS["small"]),
        "source, weights": 2 * source - first(VGG16),
        "source, image": source,
        "cloner, image": small,
    }
    for name, blocks in CLONERS.items():
        assert cost.passes(side, name)["cloner"] == forward(blocks)
    frozen = [*Source.pretrained("random").buffers()]
    assert sum(b.numel() for b in frozen) == 14_714_688
    assert [tuple(p.shape) for p in Cloner("equal").parameters() if p.dim() == 4] == [
        tuple(b.shape) for b in frozen if b.dim() == 4
    ]


def test_activations_are_counted_without_a_run() -> None:
    found = Source.pretrained("random")(torch.zeros(1, 3, 40, 40))
    for points in (CRITICAL_POINTS, ("pool5",), ("pool3", "pool4")):
        recipe = Recipe(size=40, critical_points=points, score_points=points)
        assert cost.activation_values(recipe) == sum(found[point].numel() for point in points)


def test_costs_of_records_and_what_they_leave_out(tmp_path: Path) -> None:
    record = write(tmp_path, "bottle", aurocs=[0.5, 0.6])
    resumed = json.loads(json.dumps(record))
    resumed["cost"]["seconds"] = 20.0
    masked = json.loads(json.dumps(record))
    masked["metrics"]["pixel_auroc"] = {"all": 0.5}
    on_gpu = json.loads(json.dumps(masked))
    on_gpu["provenance"]["machine"]["gpu"] = "G"
    of_gpu = cost.of_records([on_gpu]).iloc[0]
    assert (of_gpu["machine"], math.isnan(of_gpu["memory"])) == ("G", True)
    found = cost.of_records([record, resumed, masked])
    assert (found["machine"].tolist(), found["memory"].tolist()) == (["P"] * 3, [2.0] * 3)
    assert found["test_rate"].tolist() == pytest.approx([2 * 37 / 10, math.nan, math.nan], nan_ok=True)
    assert found["seconds"].tolist() == [100] * 3
    recipe = Recipe.from_dict(record["experiment"]["recipe"])
    assert found["kept"].iloc[0] == pytest.approx(2 * 25 * cost.activation_values(recipe) / 1e9)
    assert list(cost.of_records([]).columns) == list(found.columns)


def test_claims_of_cost(tmp_path: Path) -> None:
    step = cost.passes(32)
    lines = [{"benchmark": "localization", "gradients, milliseconds an image": ms} for ms in (10.0, 100.0)]
    (tmp_path / "b").write_text("\n".join(json.dumps(line | {"threads": 2, "processor": "P"}) for line in lines))
    measured = cost.benchmarks(tmp_path / "b")  # the last one counts
    assert cost.claims(step, measured)["real-time"].startswith("not decided: 10.0 images/s on 2 threads of P")
    fast = {"localization": measured["localization"] | {"gradients, milliseconds an image": 10.0}}
    assert cost.claims(step, fast)["real-time"] == "holds: 100.0 images/s on 2 threads of P"
    assert cost.claims(step, cost.benchmarks(tmp_path / "none"))["real-time"].endswith("no benchmark is here")
    with_gpu = measured | {"localization, GPU": {"gradients, milliseconds an image": 1.0, "gpu": "G"}}
    said = "holds in part: 1000.0 images/s on G and 10.0 images/s on 2 threads of P; 25 would be real time"
    assert cost.claims(step, with_gpu)["real-time"] == said
    share = step["source"] / (step["source"] + step["cloner"] + step["cloner, weights"])
    assert f"{share:.0%}" in cost.claims(step, {})["one more pass"]
    assert cost.claims(step, {})["inexpensive"].startswith("not decided")
