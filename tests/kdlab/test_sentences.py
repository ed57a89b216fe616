"""Sentences of the paper against records: each of the four outcomes, from made records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, records
from kdlab.studies import sentences
from kdlab.studies.catalogue import STUDIES, study
from kdlab.studies.sentences import COMPARISONS, Comparison, verdict
from kdlab.studies.statistics import compare_aurocs

RESULTS = Path(__file__).parents[2] / "results"


def made(name: str, label: str, dataset: str, normal: str, seed: int, auroc: float, profile: str = "laptop") -> Record:
    experiment = study(name).experiment(label, dataset, normal, seed=seed, profile=profile)
    image = {"last": 0.5, "mean_last_10": auroc, "best": 1.0}
    maps = {"pixel_auroc": {"all": auroc / 2, "defective": 0.0}} if dataset == "mvtec_ad" else {}
    return {"id": "x", "experiment": experiment.to_dict(), "metrics": {"image_auroc": image, **maps}}


def sizes(gains: Mapping[str, list[float]], profile: str = "laptop") -> list[Record]:
    """Two sizes of cloner: what small is ahead by, seed after seed, by data set."""
    return [
        made("cloner_size", label, dataset, paper.normals(dataset)[0], seed, 0.8 + (gain if label == "small" else 0.0))
        for dataset, found in gains.items()
        for seed, gain in enumerate(found)
        for label in ("small", "equal")
    ]


UP, DOWN, EITHER = [0.01, 0.012, 0.011], [-0.01, -0.012, -0.011], [0.01, -0.01, 0.001]


@pytest.mark.parametrize(
    ("gains", "outcome"),
    [
        ({"mvtec_ad": UP, "cifar10": UP}, "holds"),
        ({"mvtec_ad": UP, "cifar10": UP, "mnist": DOWN}, "holds"),  # the sentence is not about MNIST
        ({"mvtec_ad": UP, "cifar10": DOWN}, "holds in part"),
        ({"mvtec_ad": UP, "cifar10": EITHER}, "holds in part"),
        ({"mvtec_ad": UP}, "holds in part"),  # the sentence is about CIFAR-10, too
        ({"mvtec_ad": DOWN, "cifar10": EITHER}, "does not hold"),
        ({"mvtec_ad": DOWN}, "does not hold"),
        ({"mvtec_ad": EITHER, "cifar10": EITHER}, "not decided by our runs"),
        ({"mvtec_ad": [0.1]}, "not decided by our runs"),  # one pair has no interval
        ({"mnist": UP}, "not decided by our runs"),
        ({}, "not decided by our runs"),
    ],
)
def test_four_outcomes(gains: dict[str, list[float]], outcome: str) -> None:
    found = verdict(COMPARISONS["cloner_size"][1], sentences.frame("cloner_size", sizes(gains)))
    assert found.outcome == outcome
    assert set(found.tests["dataset"]) == gains.keys() & {"mvtec_ad", "cifar10"}


@pytest.mark.parametrize(("classes", "seeds", "outcome"), [(3, 1, "open"), (3, 3, "better"), (10, 1, "better")])
def test_three_seeds_or_all_classes_are_behind_a_finding(classes: int, seeds: int, outcome: str) -> None:
    rows = [
        ("cifar10", normal, seed, "laptop", size, "image_auroc", 80 + (size == "small") * (5 + number / 10))
        for number, normal in enumerate(paper.normals("cifar10")[:classes])
        for seed in range(seeds)
        for size in ("small", "equal")
    ]
    found = verdict(COMPARISONS["cloner_size"][1], pd.DataFrame(rows, columns=sentences.COLUMNS)).tests
    assert found["low"].item() > 0
    assert found["finding"].item() == outcome


def test_all_pairs_must_be_decided() -> None:
    levels = {"last 1": 0.80, "last 2": 0.85, "last 3": 0.90, "last 4": 0.90}
    noise = np.random.default_rng(0).normal(0, 0.001, (4, 3))
    records = [
        made("critical_points", label, dataset, paper.normals(dataset)[0], seed, level + noise[row, seed])
        for dataset in ("mvtec_ad", "mnist")
        for row, (label, level) in enumerate(levels.items())
        for seed in range(3)
    ]
    found = verdict(COMPARISONS["critical_points"][0], sentences.frame("critical_points", records))
    findings = found.tests.set_index(["dataset", "better", "worse"])["finding"]
    assert found.outcome == "holds in part"
    assert set(findings.xs(("last 4", "last 3"), level=(1, 2))) == {"open"}
    assert set(findings.xs(("last 4", "last 2"), level=(1, 2))) == {"better"}


@given(st.lists(st.floats(-0.05, 0.05).map(lambda x: round(x, 4)), min_size=3, max_size=8))
def test_a_test_is_the_paired_t_test(gains: list[float]) -> None:
    rows = [
        ("mnist", "0", seed, "laptop", label, "image_auroc", 90 + (gain if label == "small" else 0.0))
        for seed, gain in enumerate(gains)
        for label in ("small", "equal")
    ]
    frame = pd.DataFrame(rows, columns=sentences.COLUMNS)
    comparison = Comparison(quote="", place="", pairs=(("small", "equal"),))
    row = verdict(comparison, frame).tests.iloc[0]
    assert (row["mean"], row["pairs"]) == (pytest.approx(np.mean(gains), abs=1e-9), len(gains))
    if np.ptp(gains) > 1e-6:
        half = stats.t.ppf(0.975, len(gains) - 1) * np.std(gains, ddof=1) / len(gains) ** 0.5
        assert (row["low"], row["high"]) == (
            pytest.approx(np.mean(gains) - half, abs=1e-9),
            pytest.approx(np.mean(gains) + half, abs=1e-9),
        )
    against = verdict(Comparison(quote="", place="", pairs=(("equal", "small"),)), frame)
    mirror = {"better": "worse", "worse": "better", "open": "open"}
    assert against.tests["finding"].item() == mirror[row["finding"]]


def test_on_the_very_classes_from_the_committed_records() -> None:
    """Small over equal on bottle and capsule, from AUROC and scores in `results/`, written out."""
    comparison = COMPARISONS["cloner_size"][0]
    frame = sentences.frame("cloner_size", records(RESULTS, dataset="mvtec_ad", profile="laptop"))
    (row,) = sentences.on_these(comparison, frame, results=RESULTS).to_dict("records")
    (weights,) = frame["weights"].unique()
    means, variances, terms = [], [], []
    for normal in ("bottle", "capsule"):
        gains, drawn = [], []
        for seed in range(3):
            pair = []
            for cloner in ("small", "equal"):
                wanted = Experiment.of("mvtec_ad", normal, seed=seed, profile="laptop", cloner=cloner, weights=weights)
                (one,) = (r for r in records(RESULTS, dataset="mvtec_ad", normal=normal) if same(r, wanted))
                with np.load(RESULTS / "mvtec_ad" / f"{one['id']}.npz") as arrays:
                    pair.append((100 * one["metrics"]["image_auroc"]["mean_last_10"], dict(arrays)))
            (small, a), (equal, b) = pair
            gains.append(small - equal)
            found = compare_aurocs(a["labels"], b["scores"], a["scores"])
            drawn.append((100 * (found.high - found.low) / 2 / stats.norm.ppf(0.975)) ** 2)
        means.append(np.mean(gains))
        terms.append((np.var(gains, ddof=1) / 3, 2))
        variances.append(np.var(gains, ddof=1) / 3 + np.mean(drawn))
    freedom = sum(variances) ** 2 / sum(v**2 / n for v, n in terms)
    half = stats.t.ppf(0.975, freedom) * sum(variances) ** 0.5 / 2
    assert (row["mean"], row["low"]) == (pytest.approx(np.mean(means)), pytest.approx(np.mean(means) - half))
    assert (row["pairs"], row["classes"]) == (6, ("bottle", "capsule"))
    assert (row["finding"] == "better") == (np.mean(means) > half)


def same(record: Record, wanted: Experiment) -> bool:
    return Experiment.from_dict(record["experiment"]) == wanted


def test_classes_with_few_seeds_or_without_scores_are_not_judged_alone(tmp_path: Path) -> None:
    made_here = [
        made("cloner_size", label, "mvtec_ad", "bottle", seed, 0.8 + 0.1 * (label == "small") + 0.01 * seed)
        | {"id": f"{label}{seed}"}
        for label in ("small", "equal")
        for seed in range(3)
    ]
    comparison = COMPARISONS["cloner_size"][0]

    def found(kept: list[Record]) -> pd.DataFrame:
        return sentences.on_these(comparison, sentences.frame("cloner_size", kept), results=tmp_path)

    assert found(made_here).empty  # no scores
    labels, random = np.repeat([0, 1], 20), np.random.default_rng(0)
    (tmp_path / "mvtec_ad").mkdir()
    for each in made_here:
        np.savez(tmp_path / "mvtec_ad" / f"{each['id']}.npz", scores=random.normal(labels), labels=labels)
    assert found(made_here)[["mean", "pairs"]].to_numpy().tolist() == [[pytest.approx(10), 3]]
    assert found([each for each in made_here if each["experiment"]["seed"] < 2]).empty
    np.savez(tmp_path / "mvtec_ad" / "small0.npz", scores=random.normal(labels), labels=1 - labels)  # other images
    assert found(made_here).empty


def test_a_record_counts_by_its_recipe() -> None:
    records = [
        made("loss_terms", "value", "mvtec_ad", "bottle", 3, 0.9),
        made("cloner_size", "equal", "mvtec_ad", "bottle", 3, 0.8),  # of another study
        made("loss_terms", "total", "mvtec_ad", "bottle", 3, 0.7, profile="smoke"),
        made("paper_or_code", "reference", "mnist", "0", 0, 0.6),
    ]
    frame = sentences.frame("loss_terms", records)
    assert frame["experiment"].map(lambda each: (each.recipe.lam, each.seed)).tolist() == [(0.0, 3)] * 2
    assert set(frame["weights"]) == {"torchvision"}
    assert frame.drop(columns=["auroc", "experiment", "record", "weights"]).to_numpy().tolist() == [
        ["mvtec_ad", "bottle", 3, "laptop", "value", "image_auroc"],
        ["mvtec_ad", "bottle", 3, "laptop", "value", "pixel_auroc"],
    ]
    assert frame["auroc"].tolist() == pytest.approx([90, 45])
    by_command = Experiment.of("mnist", "0", preset="reference", profile="laptop")
    assert by_command.recipe == Experiment.from_dict(records[-1]["experiment"]).recipe
    assert sentences.frame("paper_or_code", records)["setting"].tolist() == ["reference"]
    assert list(sentences.frame("source", []).columns) == list(frame.columns)


def test_a_data_set_is_told_of_one_source() -> None:
    """The paper's own weights where two settings have them, else the release's; never one of each."""

    def of(weights: str, *labels: str, normal: str = "bottle") -> list[Record]:
        found = [made("cloner_size", label, "mvtec_ad", normal, 0, 0.9) for label in labels]
        for record in found:
            record["experiment"]["recipe"]["weights"] = weights
        return found

    def told(*records: Record) -> dict[str, set[str]]:
        frame = sentences.frame("cloner_size", records)
        return {str(weights): set(rows["setting"]) for weights, rows in frame.groupby("weights")}

    both, release = of("torchvision", "small", "equal"), of("vgg-release", "small", "equal", "medium")
    assert told(*both, *release) == {"torchvision": {"small", "equal"}}
    assert told(both[0], *release) == {"vgg-release": {"small", "equal", "medium"}}
    assert told(both[1], *of("torchvision", "medium"), *release).keys() == {"vgg-release"}  # neither is the paper's own
    assert told(both[0], *of("torchvision", "equal", normal="capsule"), *release).keys() == {"vgg-release"}
    assert told(both[0], release[0]) == {"torchvision": {"small"}}
    assert told(*release) == {"vgg-release": {"small", "equal", "medium"}}
    source = [made("source", label, "mnist", "0", 0, 0.9) for label in ("as the paper", "random", "release")]
    assert set(sentences.frame("source", source)["setting"]) == {"as the paper", "random", "release"}
    assert set(sentences.frame("source", source[1:])["setting"]) == {"as the paper", "random"}  # of the release


def test_the_paper_s_own_setting_is_meant_where_two_are_the_same() -> None:
    records = [made("localization_gap", "as the paper", "head_ct", "head_ct", 0, 0.9, profile="paper")]  # 201 epochs
    assert sentences.frame("localization_gap", records)["setting"].tolist() == ["as the paper"]


def test_printed_figures() -> None:
    frame = sentences.published_frame("critical_points")
    means = frame.groupby(["dataset", "setting"])["auroc"].mean()
    assert means["mnist", "last 3"] == pytest.approx(98.71, abs=0.01)
    assert means["mvtec_ad", "last 4"] == pytest.approx(87.74, abs=0.01)
    own = paper.published(table=3, method=paper.OURS, column="screw")["auroc"].item()
    screw = frame[(frame["normal"] == "screw") & (frame["setting"] == "last 4")]["auroc"].item()
    assert screw == own  # Table 7 has another category's figure there
    outcomes = {
        name: [verdict(c, sentences.published_frame(name)).outcome for c in COMPARISONS[name]]
        for name in ("critical_points", "cloner_size", "loss_terms")
    }
    unclear = "not decided by our runs"
    assert outcomes == {
        "critical_points": ["holds"],
        "cloner_size": [unclear, unclear],
        "loss_terms": ["holds in part", "holds in part", unclear],
    }


def test_comparisons_name_settings_data_sets_and_metrics_that_there_are() -> None:
    for name, comparisons in COMPARISONS.items():
        for each in comparisons:
            labels: set[Any] = {label for pair in each.pairs for label in pair}
            assert labels <= STUDIES[name].settings.keys()
            assert set(each.datasets) <= {cell.dataset for cell in STUDIES[name].cells}
            assert each.metric in paper.METRIC.values()
