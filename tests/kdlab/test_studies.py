"""Studies: what is set side by side, how records are sorted by it, and what they say of the paper's sentences."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest
from conftest import record_of

from kdlab import paper
from kdlab.experiments import choose
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.presets import recipe_for
from kdlab.studies import catalogue, sentences
from kdlab.studies.catalogue import STUDIES, Cell, study
from kdlab.studies.one_factor import changes, lambdas
from kdlab.studies.sentences import COMPARISONS, verdict
from kdlib.networks import CLONERS
from kdlib.recipe import BEST


@pytest.mark.parametrize("name", STUDIES)
def test_settings_are_recipes_of_their_own_and_the_paper_comes_first(name: str) -> None:
    for cell in study(name).cells:
        labels = study(name).labels(cell.dataset)
        made = [
            study(name).experiment(label, cell.dataset, cell.normals[0], seed=0, profile=cell.profile)
            for label in labels
        ]
        assert made[0].recipe == recipe_for(cell.dataset, profile=cell.profile)
        assert len({experiment.recipe for experiment in made}) == len(labels) >= 2


def test_a_study_is_its_cells_seeds_and_settings() -> None:
    chosen = {"dataset": "fashion_mnist", "normals": ["5", "0"], "seeds": [7], "profile": "smoke"}
    cloners = sorted(CLONERS, key=lambda name: name != "small")
    found = choose.of_study("cloner_size", **chosen, epochs=3)  # type: ignore[arg-type]
    assert [(e.normal, e.recipe.cloner) for e in found] == [(n, c) for n in "05" for c in cloners]
    assert {(e.seed, e.profile, e.recipe.epochs) for e in found} == {(7, "smoke", 3)}
    whole = choose.of_study("cloner_size")
    assert [(e.normal, e.seed) for e in whole if e.dataset == "mvtec_ad"][:: len(CLONERS)] == [
        (category, seed) for seed in (0, 1, 2) for category in ("bottle", "capsule")
    ]
    assert whole[0].dataset == "fashion_mnist"  # cheap ones first


def test_a_study_may_have_cells_of_its_own() -> None:
    cells = [{"dataset": "digits", "normals": ["3"], "seeds": [0]}]
    about = {"settings": {"64": {}}, "cells": cells}
    made = catalogue._study(catalogue._tuples(about))
    assert made.cells == (Cell(dataset="digits", normals=("3",), profile="laptop", seeds=(0,)),)


def test_settings_of_maps_need_masks() -> None:
    settings = {e.dataset: {f.recipe for f in _all("paper_or_code") if f.dataset == e.dataset} for e in _all("source")}
    assert len(settings["mnist"]) == 5  # stretching and SmoothGrad change no score
    assert len(settings["mvtec_ad"]) == 8


def _all(name: str) -> list[Experiment]:
    return choose.of_study(name, seeds=[0])


def test_the_code_s_lambda_depends_on_the_data_set() -> None:
    found = {e.dataset: e.recipe.lam for e in _all("paper_or_code") if e.recipe.lam and not e.recipe.stretch}
    assert found == {"fashion_mnist": 100, "mnist": 100, "cifar10": 100, "textures": 100, "mvtec_ad": 2}
    assert {e.preset for e in _all("paper_or_code") if e.recipe.lam and e.recipe.stretch} == {"reference"}
    assert study("localization_gap").settings["product at pool2 and pool3"] == BEST


def test_what_is_printed_is_remade_by_its_setting() -> None:
    for each in STUDIES.values():
        for label, tables in each.rows.items():
            for method in tables.values():
                made = Experiment.of("mvtec_ad", "bottle", **paper.VARIANTS[method])
                assert made == each.experiment(label, "mvtec_ad", "bottle", seed=0, profile="paper")


def test_the_release_where_its_carrier_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "release" in study("source").labels("mnist")
    monkeypatch.setattr("kdlab.studies.catalogue.available", lambda name: name != "vgg-release")
    assert "release" not in study("source").labels("mnist")


def test_a_study_from_the_command_line(dry_run: Callable[[str], list[Experiment]]) -> None:
    chosen = "--dataset textures --category grass --seed 4 --profile smoke"
    found = dry_run(f"python -m kdlab run --study loss_terms {chosen}")
    assert {(e.dataset, e.normal, e.seed, e.profile) for e in found} == {("textures", "grass", 4, "smoke")}
    assert len({e.recipe for e in found}) == len(found) == 8


# --- one factor -------------------------------------------------------------------------------------------------------


def of_bottle(**settings: Any) -> Record:
    return record_of(Experiment.of("mvtec_ad", "bottle", **settings)) | {"training": {"lam": 0.25}}


def test_changes_are_what_differs_from_the_preset_and_profile() -> None:
    assert changes(of_bottle()) == changes(of_bottle(profile="laptop")) == {}
    assert changes(of_bottle(normalize=True, lam=0.0)) == {"normalize": True, "lam": 0.0}
    old = of_bottle()
    del old["experiment"]["recipe"]["map_lam"]  # a setting that the library learned later
    assert changes(old) == {}
    assert changes(of_bottle(weights="vgg-release", lam=0.0)) == {"lam": 0.0}  # either VGG-16 is the paper's
    assert changes(of_bottle(weights="random")) == {"weights": "random"}


def test_the_balanced_lambda_of_each_training_beside_the_code_s() -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"map_lam": 0.0},  # a training that counted already
        {"seed": 1},
        {"normalize": True},
        {"lam": 5.0},  # chosen, not balanced
        {"cloner": "equal"},  # another training than the paper's
    ]
    records = [of_bottle(**each) for each in settings]
    frame = lambdas(records)
    assert frame["normalize"].tolist() == [False, False, True]
    assert set(frame["dataset"]) == {"mvtec_ad"}
    assert set(frame["balanced"]) == {0.25}
    assert set(frame["code"]) == {2.0}  # 1 / 0.5


# --- sentences --------------------------------------------------------------------------------------------------------


def made(name: str, label: str, dataset: str, normal: str, seed: int, auroc: float, profile: str = "laptop") -> Record:
    return record_of(study(name).experiment(label, dataset, normal, seed=seed, profile=profile), auroc)


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
    assert frame["auroc"].tolist() == pytest.approx([90, 95])
    by_command = Experiment.of("mnist", "0", preset="reference", profile="laptop")
    assert by_command.recipe == Experiment.from_dict(records[-1]["experiment"]).recipe
    assert sentences.frame("paper_or_code", records)["setting"].tolist() == ["reference"]
    assert list(sentences.frame("source", []).columns) == list(frame.columns)
    # Where two settings are the same, as on 201 epochs, the paper's own is meant.
    alike = [made("localization_gap", "as the paper", "head_ct", "head_ct", 0, 0.9, profile="paper")]
    assert sentences.frame("localization_gap", alike)["setting"].tolist() == ["as the paper"]


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


def test_printed_figures() -> None:
    frame = sentences.published_frame("critical_points")
    assert set(frame["profile"]) == {"published"}
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
