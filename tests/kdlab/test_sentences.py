"""Sentences of the paper against records: each of the five verdicts, from made records."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.studies import sentences
from kdlab.studies.catalogue import STUDIES, study
from kdlab.studies.sentences import COMPARISONS, verdict


def made(name: str, label: str, dataset: str, normal: str, seed: int, auroc: float, profile: str = "laptop") -> Record:
    experiment = study(name).experiment(label, dataset, normal, seed=seed, profile=profile)
    image = {"last": 0.5, "mean_last_10": auroc, "best": 1.0}
    maps = {"pixel_auroc": {"all": auroc / 2, "defective": 0.0}} if dataset == "mvtec_ad" else {}
    return {"id": "x", "experiment": experiment.to_dict(), "metrics": {"image_auroc": image, **maps}}


UP, DOWN, EITHER = 1.0, -1.0, 0.0


def sizes(gains: Mapping[str, float], classes: int = 10) -> pd.DataFrame:
    """Two sizes of cloner on some classes of each data set: what small is ahead by, more or less."""
    rows = [
        (dataset, normal, seed, "laptop", size, "image_auroc", 80 + (size == "small") * (gain + (-1) ** number / 2))
        for dataset, gain in gains.items()
        for number, normal in enumerate(paper.normals(dataset)[:classes])
        for seed in range(3)
        for size in ("small", "equal")
    ]
    return pd.DataFrame(rows, columns=sentences.COLUMNS)


@pytest.mark.parametrize(
    ("gains", "outcome"),
    [
        ({"mvtec_ad": UP, "cifar10": UP}, "holds"),
        ({"mvtec_ad": UP, "cifar10": UP, "mnist": DOWN}, "holds"),  # the sentence is not about MNIST
        ({"mvtec_ad": UP, "cifar10": DOWN}, "contradicted in part"),
        ({"mvtec_ad": DOWN, "cifar10": EITHER}, "contradicted in part"),
        ({"mvtec_ad": UP, "cifar10": EITHER}, "holds in part"),
        ({"mvtec_ad": UP}, "holds in part"),  # the sentence is about CIFAR-10, too
        ({"mvtec_ad": DOWN, "cifar10": DOWN}, "contradicted"),
        ({"mvtec_ad": EITHER, "cifar10": EITHER}, "not decided (10 of 15, 10 of 10)"),
        ({"mnist": UP}, "not decided"),
        ({}, "not decided"),
    ],
)
def test_five_outcomes(gains: dict[str, float], outcome: str) -> None:
    found = verdict(COMPARISONS["cloner_size"][1], sizes(gains))
    assert str(found) == outcome
    assert set(found.tests["dataset"]) == gains.keys() & {"mvtec_ad", "cifar10"}


def test_few_categories_decide_nothing_about_fifteen() -> None:
    (margin, _) = COMPARISONS["cloner_size"]
    assert str(verdict(margin, sizes({"mvtec_ad": 3.0}, classes=5))) == "not decided (5 of 15)"
    assert verdict(margin, sizes({"mvtec_ad": 3.0}, classes=6)).outcome == "holds"  # the margin waits for all
    whole = {gain: verdict(margin, sizes({"mvtec_ad": gain}, classes=15)).outcome for gain in (3.0, 2.0)}
    assert whole == {3.0: "holds", 2.0: "contradicted in part"}  # ahead, and not by 3


def test_one_refuted_pair_is_said() -> None:
    levels = {"last 1": 80, "last 2": 85, "last 3": 90, "last 4": 89}
    rows = [
        (dataset, normal, 0, "laptop", label, "image_auroc", level + number / 100 * level)
        for dataset in ("mvtec_ad", "mnist")
        for number, normal in enumerate(paper.normals(dataset))
        for label, level in levels.items()
    ]
    found = verdict(COMPARISONS["critical_points"][0], pd.DataFrame(rows, columns=sentences.COLUMNS))
    assert found.outcome == "contradicted in part"
    findings = found.tests.set_index(["dataset", "better", "worse"])["finding"]
    assert set(findings.xs(("last 4", "last 3"), level=(1, 2))) == {"worse"}
    assert set(findings.xs(("last 4", "last 2"), level=(1, 2))) == {"better"}


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
        name: [str(verdict(c, sentences.published_frame(name))) for c in COMPARISONS[name]]
        for name in ("critical_points", "cloner_size", "loss_terms")
    }
    assert outcomes == {
        "critical_points": ["holds"],
        "cloner_size": ["contradicted in part", "holds in part"],
        "loss_terms": ["holds in part", "holds in part", "not decided (15 of 15)"],
    }


def test_comparisons_name_settings_data_sets_and_metrics_that_there_are() -> None:
    for name, comparisons in COMPARISONS.items():
        for each in comparisons:
            labels: set[Any] = {label for pair in each.pairs for label in pair}
            assert labels <= STUDIES[name].settings.keys()
            assert set(each.datasets) <= {cell.dataset for cell in STUDIES[name].cells}
            assert each.metric in paper.METRIC.values()
