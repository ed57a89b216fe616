"""Intervals, paired tests and spreads, against their equations written out; the verdict, from the records again."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import roc_auc_score

from kdlab import cost, paper
from kdlab.experiments import estimate
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import SCHEMA, Record, digest, records
from kdlab.presets import VGG16S
from kdlab.studies.one_factor import BASE
from kdlab.studies.statistics import (
    SEEDS,
    bootstrap_interval,
    compare_aurocs,
    difference_on_these,
    error_of_difference,
    paired_difference,
    placements,
    resampled_aurocs,
    spread,
    standard_error,
)
from kdlab.studies.uncertainty import STABLE, by_entry, by_pair, settings, summary, verdict
from kdlib.networks import CLONERS, VGG16, Cloner
from kdlib.recipe import Recipe

RESULTS = Path(__file__).parents[2] / "results"
LABELS = np.repeat([0, 1], [12, 25])


def made_up(seed: int = 0, *, distance: float = 1.5, digits: int = 1) -> np.ndarray:
    """Scores of `LABELS`, rounded so that some are tied."""
    return np.random.default_rng(seed).normal(distance * LABELS).round(digits)


def psi(bad: float, good: float) -> float:
    return 1.0 if bad > good else 0.5 if bad == good else 0.0


def delong_1988(labels: np.ndarray, scores: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs and their covariance, Eq. 1 to 5 of DeLong et al. as they are written: sums over all pairs."""
    bad, good = ([s[labels == label] for s in scores] for label in (1, 0))
    m, n = len(bad[0]), len(good[0])
    v10 = np.array([[sum(psi(x, y) for y in g) / n for x in b] for b, g in zip(bad, good, strict=True)])
    v01 = np.array([[sum(psi(x, y) for x in b) / m for y in g] for b, g in zip(bad, good, strict=True)])
    theta = v10.mean(axis=1)
    s10 = (v10 - theta[:, None]) @ (v10 - theta[:, None]).T / (m - 1)
    s01 = (v01 - theta[:, None]) @ (v01 - theta[:, None]).T / (n - 1)
    return theta, s10 / m + s01 / n


def test_delong_is_its_literal_transcription() -> None:
    a, b = made_up(0), made_up(0) + 0.5 * made_up(1)
    theta, covariance = delong_1988(LABELS, [a, b])
    assert [standard_error(LABELS, s) for s in (a, b)] == pytest.approx(np.sqrt(np.diag(covariance)))
    found = compare_aurocs(LABELS, a, b)
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert error < math.sqrt(covariance[0, 0] + covariance[1, 1])  # pairing helps
    difference = theta[1] - theta[0]
    assert found == pytest.approx(
        (
            difference,
            difference - 1.959964 * error,
            difference + 1.959964 * error,
            math.erfc(abs(difference) / error / math.sqrt(2)),
        ),
        rel=1e-5,
    )


@given(arrays(np.int8, 30, elements=st.integers(-3, 3)), arrays(np.bool_, 30))
def test_placements_average_to_the_auroc(scores: np.ndarray, labels: np.ndarray) -> None:
    if labels.all() or not labels.any():
        with pytest.raises(ValueError, match="one of the two is missing"):
            placements(labels, scores)
        return
    bad, good = placements(labels, scores)
    assert (len(bad), len(good)) == (labels.sum(), (~labels).sum())
    assert bad.mean() == pytest.approx(good.mean()) == pytest.approx(roc_auc_score(labels, scores))
    if min(len(bad), len(good)) > 1:
        assert compare_aurocs(labels, scores, 2.0 * scores).p == 1  # a scale changes no order
    forth, back = compare_aurocs(labels, scores, -scores), compare_aurocs(labels, -scores, scores)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.p == pytest.approx(back.p, nan_ok=True)


def test_one_image_on_a_side_has_no_error() -> None:
    assert math.isnan(standard_error(np.array([0, 1, 1]), np.array([0.0, 1.0, -1.0])))


def test_the_bootstrap_agrees_with_delong_and_with_scipy() -> None:
    scores = made_up(digits=2)
    drawn = resampled_aurocs(LABELS, scores, samples=4000)
    assert drawn.std() == pytest.approx(standard_error(LABELS, scores), rel=0.1)
    assert drawn.mean() == pytest.approx(roc_auc_score(LABELS, scores), abs=0.01)
    other = scores + made_up(1)
    both = [resampled_aurocs(LABELS, s, samples=4000, seed=3) for s in (scores, other)]
    test = compare_aurocs(LABELS, scores, other)
    assert (both[1] - both[0]).std() == pytest.approx((test.high - test.low) / 3.92, rel=0.15)  # same images drawn

    def statistic(bad: np.ndarray, good: np.ndarray, axis: int = -1) -> np.ndarray:
        pairs = (bad[..., :, None] > good[..., None, :]) + 0.5 * (bad[..., :, None] == good[..., None, :])
        return np.asarray(pairs.mean(axis=(-1, -2)))

    sides = (scores[LABELS == 1], scores[LABELS == 0])
    theirs = stats.bootstrap(sides, statistic, n_resamples=4000, method="BCa", rng=0, batch=500).confidence_interval
    assert bootstrap_interval(LABELS, scores, samples=4000) == pytest.approx(tuple(theirs), abs=0.015)


def test_the_bootstrap_draws_whole_test_sets_of_each_label() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 2.0, 3.0])
    drawn = resampled_aurocs(labels, scores, samples=4000)
    outcomes = {
        np.mean([psi(b, g) for b in bad for g in good]): None
        for bad in ((2, 2), (2, 3), (3, 3))
        for good in ((1, 1), (1, 2), (2, 2))
    }
    assert set(drawn) == set(outcomes)
    assert all(math.isnan(edge) for edge in bootstrap_interval(labels, np.array([0.0, 1.0, 2.0, 3.0]), samples=50))


def test_classes_as_they_are_are_welch_s_test() -> None:
    """Two classes: half of what `scipy` says of x against -y. One class: the t test over its seeds."""
    x, y = [1.0, 2.0, 2.5], [0.4, 0.3, 0.8, 0.1]
    found = difference_on_these({"x": x, "y": y}, {"x": 0.0, "y": 0.0})
    test = stats.ttest_ind(x, [-v for v in y], equal_var=False)
    interval = test.confidence_interval(0.95)
    assert found.mean == pytest.approx((np.mean(x) + np.mean(y)) / 2)
    assert (found.pairs, found.of) == (7, "seeds")
    assert found[1:3] == pytest.approx((interval.low / 2, interval.high / 2))
    assert found.p == pytest.approx(test.pvalue)
    one = difference_on_these({"x": x}, {"x": 0.0})
    assert one == paired_difference({("x", s): 0.0 for s in range(3)}, {("x", s): v for s, v in enumerate(x)})


def test_test_images_widen_what_seeds_say() -> None:
    alike = difference_on_these({"x": [1.0, 1.0], "y": [2.0, 2.0]}, {"x": 0.3, "y": 0.4})
    assert alike[:3] == pytest.approx((1.5, 1.5 - 1.959964 * 0.25, 1.5 + 1.959964 * 0.25))  # sqrt(.3^2 + .4^2) / 2
    assert alike.p == pytest.approx(math.erfc(1.5 / 0.25 / math.sqrt(2)))
    assert difference_on_these({"x": [1.0, 1.0]}, {"x": 0.0}) == (1, 1, 1, 2, "seeds", 0)
    apart = {"x": [0.0, 2.0, 1.0]}
    narrow, wide = (difference_on_these(apart, {"x": error}) for error in (0.0, 1.0))
    between, images = 1 / 3, 1.0
    freedom = (between + images) ** 2 / (between**2 / 2)
    assert wide.high - wide.mean == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(between + images))
    assert wide.mean == narrow.mean == 1


def test_an_interval_over_seeds_and_images_covers() -> None:
    """Of made trainings and test sets, 95 of 100 intervals hold what the change is worth."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(1000):
        images = random.normal(0, [0.5, 1.0])
        gains: dict[str, list[float]] = {
            name: random.normal(2 + moved, 0.7, 3).tolist() for name, moved in zip("xy", images, strict=True)
        }
        found = difference_on_these(gains, {"x": 0.5, "y": 1.0})
        inside += found.low <= 2 <= found.high
    assert 930 <= inside <= 985


def test_the_error_of_a_difference_is_that_of_its_interval() -> None:
    a, b = made_up(0), made_up(0) + 0.5 * made_up(1)
    found = compare_aurocs(LABELS, a, b)
    assert error_of_difference(LABELS, a, b) == pytest.approx((found.high - found.low) / 2 / 1.959964, rel=1e-6)


def test_paired_difference_is_the_t_test_over_shared_classes() -> None:
    a = {("x", 0): 1.0, ("y", 0): 2.0, ("z", 0): 4.0, ("only a", 0): 9.0}
    b = {("z", 0): 5.0, ("y", 0): 2.5, ("x", 0): 1.75}
    found = paired_difference(a, b)
    theirs = stats.ttest_rel([1.75, 2.5, 5.0], [1.0, 2.0, 4.0])
    assert found[:3] == pytest.approx((0.75, *theirs.confidence_interval()))
    assert (found.pairs, found.of) == (3, "classes")
    assert found.p == pytest.approx(theirs.pvalue)
    mean, half = 0.75, 4.302653 * 0.25 / math.sqrt(3)  # t of two degrees of freedom, differences 0.75, 0.5, 1
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    one = paired_difference({("x", 0): 1.0}, {("x", 0): 3.0})
    assert (one.mean, one.pairs, one.of) == (2, 1, "seeds")
    assert all(math.isnan(value) for value in (one.low, one.high, one.p))
    two = {("x", 0): 1.0, ("x", 1): 2.0}
    assert paired_difference(two, {("x", 0): 2.0, ("x", 1): 3.0}) == (1, 1, 1, 2, "seeds", 0)
    assert paired_difference(two, two).p == 1
    with pytest.raises(ValueError, match="no key is in both; run both settings"):
        paired_difference(two, {})
    with pytest.raises(ValueError, match=r"not finite at \('x', 1\)"):
        paired_difference(two | {("x", 1): math.nan}, two)


def test_more_seeds_of_a_class_are_no_more_classes() -> None:
    gains = {"x": [0.5, 1.5], "y": [3.0], "z": [-1.0, 0.0, 1.0]}
    after = {(name, seed): 90 + gain for name, found in gains.items() for seed, gain in enumerate(found)}
    found = paired_difference(dict.fromkeys(after, 90.0), after)
    theirs = stats.ttest_1samp([1.0, 3.0, 0.0], 0)
    assert found[:3] == pytest.approx((4 / 3, *theirs.confidence_interval()))
    assert (found.pairs, found.of) == (3, "classes")
    assert found.p == pytest.approx(theirs.pvalue)


def test_spread_finds_the_deviations_it_was_made_with() -> None:
    random = np.random.default_rng(0)
    table = 90 + random.normal(0, 2, (400, 1)) + random.normal(0, 0.5, (400, 10))
    assert spread(table.tolist()) == pytest.approx((2, 0.5), rel=0.1)
    between, within = spread(table[:1].tolist())
    assert math.isnan(between)
    assert within == pytest.approx(table[0].std(ddof=1))
    assert spread([[1.0, 2.0], [2.0, 1.0]])[0] == 0  # seeds that agree better than their evaluations
    assert spread([[1.0], [3.0]])[0] == pytest.approx(math.sqrt(2))


def write(folder: Path, normal: str, *, seed: int = 0, aurocs: list[float], shift: float = 0, **more: Any) -> Record:
    """A record with scores beside it, of an experiment that was never run."""
    images = more.pop("images", "one")
    experiment = Experiment.of("mvtec_ad", normal, seed=seed, **more)
    record: Record = {
        "schema": SCHEMA,
        "id": f"{normal}-{seed}-{len(list(folder.glob('*/*.json')))}",
        "experiment": experiment.to_dict(),
        "metrics": {
            "image_auroc": {"last": aurocs[-1], "mean_last_10": float(np.mean(aurocs[-10:])), "best": max(aurocs)},
            "evaluations": [{"epoch": n, "image_auroc": a} for n, a in enumerate(aurocs, 1)],
        },
        "cost": {
            "seconds": 110.0,
            "training_seconds": 100.0,
            "training_images_per_second": 50.0,
            "evaluation_seconds": 10.0,
            "peak_memory_bytes": 2 * 10**9,
        },
        "provenance": {
            "date": "2026",
            "precision": "bf16",
            "machine": {"processor": "P"},
            "data": {"train": {"images": 25}, "test": {"images": 37, "fingerprint": images}},
        },
    }
    record["sha256"] = digest(record)
    path = folder / "mvtec_ad" / f"{record['id']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    np.savez(path.with_suffix(".npz"), scores=made_up() + shift * made_up(seed + 1), labels=LABELS.astype(np.int8))
    return record


def test_an_entry_pools_its_seeds(tmp_path: Path) -> None:
    for seed, aurocs in enumerate(([0.5, 0.9, 0.8], [0.5, 0.7, 0.9])):
        write(tmp_path, "bottle", seed=seed, aurocs=aurocs, images="one" if seed else "another")
    write(tmp_path, "capsule", aurocs=[0.6], lam=1.0, preset="reference")
    found = records(tmp_path)
    entries = by_entry(found, results=tmp_path, samples=50)
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
    assert len(by_entry(found, pool=False, results=tmp_path, samples=50)) == 3
    assert list(by_entry([]).columns) == list(entries.columns)


def test_only_the_same_images_are_compared(tmp_path: Path) -> None:
    write(tmp_path, "bottle", aurocs=[0.8])
    write(tmp_path, "bottle", aurocs=[0.9], shift=0.5, normalize=True)
    write(tmp_path, "bottle", aurocs=[0.9], images="others", lam=1.0)
    write(tmp_path, "bottle", aurocs=[0.9], seed=1, normalize=True)  # has no partner
    pairs = by_pair(records(tmp_path), results=tmp_path)
    assert len(pairs) == 1
    row = pairs.iloc[0]
    expected = compare_aurocs(LABELS, made_up(), made_up() + 0.5 * made_up(1))
    assert row[["settings", "seed"]].tolist() == ["normalize=True", 0]
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([100 * v for v in expected[:3]])
    assert row[["base", "other", "p"]].tolist() == pytest.approx([80, 90, expected.p])
    together = summary(pd.concat([pairs, pairs.assign(seed=1, other=94.0, p=0.01)]))
    assert together.iloc[0][["mean", "rows", "below"]].tolist() == pytest.approx([12, 2, 1 + (expected.p < 0.05)])
    assert together.iloc[0][["pairs", "of"]].tolist() == [2, "seeds"]
    assert by_pair([]).empty


def frame(**changes: Any) -> pd.DataFrame:
    row = {"settings": BASE, "profile": "paper", "evaluations": 0.1, "optimism": 0.2, "seeds": 1, "same_images": True}
    return pd.DataFrame([row | {"between_seeds": math.nan} | changes])


def test_the_verdict_follows_its_rule() -> None:
    calm, rough = frame(), frame(optimism=STABLE + 0.1)
    seeded = frame(seeds=SEEDS, between_seeds=0.3)
    assert verdict(frame(profile="laptop")).startswith("not decided by our runs")
    assert verdict(calm).startswith("holds in part: 1 of 1")  # no seeds
    assert verdict(seeded).startswith("holds: ")
    assert verdict(pd.concat([seeded, rough], ignore_index=True)).startswith("holds in part: 1 of 2")
    assert verdict(pd.concat([rough, rough, calm], ignore_index=True)).startswith("does not hold")
    assert verdict(frame(seeds=SEEDS, between_seeds=2.0)).startswith("does not hold")
    assert "none has" in verdict(frame(seeds=SEEDS, between_seeds=2.0, same_images=False))  # splits are no seeds


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no records")
def test_the_verdict_is_that_of_the_committed_records() -> None:
    found = [r for r in records(RESULTS, profile="paper") if settings(r) == BASE and r["metrics"]["image_auroc"]]
    groups: dict[tuple[str, str], list[Record]] = {}
    for weights in VGG16S:  # a class is told of the paper's own weights where it has records of them
        known = set(groups)
        for record in found:
            experiment = record["experiment"]
            normal = experiment["category"] if "category" in experiment else experiment["normal_class"]
            if experiment["recipe"]["weights"] == weights and (experiment["dataset"], normal) not in known:
                groups.setdefault((experiment["dataset"], normal), []).append(record)
    calm, failed, seeded = 0, 0, 0
    for group in groups.values():
        late = [[100 * e["image_auroc"] for e in r["metrics"]["evaluations"]][-10:] for r in group]
        within = np.mean([np.var(values, ddof=1) for values in late])
        above = np.mean([100 * r["metrics"]["image_auroc"]["best"] for r in group]) - np.mean(late)
        stays = math.sqrt(within) <= STABLE and above <= STABLE
        alike = True
        if len(group) >= 3 and len({r["provenance"]["data"]["test"]["fingerprint"] for r in group}) == 1:
            seeded += 1
            alike = np.var([np.mean(values) for values in late], ddof=1) - within / 10 <= STABLE**2
        calm, failed = calm + stays, failed + (not stays or not alike)
    said = verdict(by_entry(found, results=RESULTS, samples=2))
    assert f"{calm} of {len(groups)} classes or categories stay" in said
    word = "does not hold" if 2 * failed > len(groups) else "holds" if not failed and seeded else "holds in part"
    assert said.startswith(f"{word}: " if groups else "not decided by our runs: ")


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
    assert cost.passes(side, "equal")["cloner"] == source
    assert sum(b.numel() for b in cost.networks()["source"].buffers()) == 14_714_688


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
    assert found["kept"].iloc[0] == pytest.approx(2 * 25 * estimate.activation_values(recipe) / 1e9)
    assert list(cost.of_records([]).columns) == list(found.columns)


def test_claims_of_cost(tmp_path: Path) -> None:
    step = cost.passes(32)
    lines = [{"benchmark": "localization", "gradients, milliseconds an image": ms} for ms in (10.0, 100.0)]
    (tmp_path / "b").write_text("\n".join(json.dumps(line | {"threads": 2, "processor": "P"}) for line in lines))
    measured = cost.benchmarks(tmp_path / "b")  # the last one counts
    assert cost.claims(step, measured)["real-time"].startswith(
        "not decided by our runs: 10.0 images/s on 2 threads of P"
    )
    fast = {"localization": measured["localization"] | {"gradients, milliseconds an image": 10.0}}
    assert cost.claims(step, fast)["real-time"] == "holds: 100.0 images/s on 2 threads of P"
    assert cost.claims(step, cost.benchmarks(tmp_path / "none"))["real-time"].endswith("no benchmark is here")
    with_gpu = measured | {"localization, GPU": {"gradients, milliseconds an image": 1.0, "gpu": "G"}}
    said = "holds in part: 1000.0 images/s on G and 10.0 images/s on 2 threads of P; 25 would be real time"
    assert cost.claims(step, with_gpu)["real-time"] == said
    share = step["source"] / (step["source"] + step["cloner"] + step["cloner, weights"])
    assert f"{share:.0%}" in cost.claims(step, {})["one more pass"]
    assert cost.claims(step, {})["inexpensive"].startswith("not decided by our runs")


def test_the_equal_cloner_stands_for_the_source() -> None:
    shapes = [tuple(p.shape) for p in Cloner("equal").parameters() if p.dim() == 4]
    assert shapes == [tuple(b.shape) for b in cost.networks()["source"].buffers() if b.dim() == 4]
