"""Ablation studies: what is set side by side, and how records and printed figures are sorted by it."""

import pytest

from kdlab import paper
from kdlab.__main__ import main
from kdlab.experiments import choose
from kdlab.experiments.experiment import Experiment
from kdlab.presets import recipe_for
from kdlab.studies import catalogue
from kdlab.studies.catalogue import STUDIES, Cell, study
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
    about = {"title": "How many images per step", "settings": {"64": {}}, "cells": cells}
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss_term"], "no study 'loss_term'; did you mean 'loss_terms'? Known are critical_points"),
        (["loss_terms", "--table", "2"], "--study and --table: a study has its own settings"),
        (["loss_terms", "--preset", "reference"], "--study and --preset: a study has its own settings"),
        (["loss_terms", "--set", "lam=3"], "study loss_terms: its settings decide lam; it cannot be set as well"),
        (["loss_terms", "--dataset", "mnits"], "study loss_terms: no data set 'mnits'; did you mean 'mnist'?"),
        (["loss_terms", "--category", "botle"], "study loss_terms: no class 'botle'; did you mean 'bottle'?"),
    ],
)
def test_what_no_study_has(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--study", *arguments, "--dry-run"]) == 2
    assert message in capsys.readouterr().err


def test_a_study_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--dataset", "textures", "--category", "grass", "--seed", "4", "--profile", "smoke", "--dry-run"]
    assert main(["run", "--study", "loss_terms", *chosen]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[:-1]] == [["textures", "grass", "seed", "4"]] * 8
