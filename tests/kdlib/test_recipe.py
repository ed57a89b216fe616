"""One frozen place for every setting; presets and profiles."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdlab.presets import PRESETS, PROFILES, recipe_for
from kdlib.recipe import Recipe


@given(
    size=st.integers(64, 256),
    lam=st.none() | st.just(math.inf) | st.floats(0, 1e6),
    points=st.sets(st.sampled_from(("pool2", "pool3", "pool4", "pool5")), min_size=1),
    precision=st.sampled_from(("auto", "bf16", "fp32")),
    limit=st.none() | st.integers(2, 1000),
)
def test_round_trip_through_json(
    size: int, lam: float | None, points: set[str], precision: str, limit: int | None
) -> None:
    recipe = Recipe(
        size=size,
        lam=lam,
        critical_points=tuple(points),
        score_points=tuple(points),
        precision=precision,
        test_limit=limit,
    )
    text = json.dumps(recipe.to_dict(), allow_nan=False)  # strict JSON has no infinity
    assert Recipe.from_dict(json.loads(text)) == recipe


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"recipe: no setting 'lambda'; did you mean 'lam'. Known are weights, size"):
        Recipe().replace(**{"lambda": 1, "size2": 3})
    with pytest.raises(ValueError, match="no setting 'momentum'"):
        Recipe.from_dict(Recipe().to_dict() | {"momentum": 0.9})


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().size = 64  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("weights", "resnet"), ("cloner", "huge"), ("precision", "fp16")],
        *[("size", 31), ("size", 0), ("size", -128), ("crop", 129), ("crop", 0), ("lam", -1), ("lam", math.nan)],
        *[("epochs", 0), ("batch_size", -1), ("learning_rate", 0), ("learning_rate", math.inf)],
        *[("learning_rate", math.nan), ("sigma", -1), ("sigma", 128), ("sigma", math.nan)],
        *[("opening", 2), ("opening", 129), ("opening", -1), ("train_limit", 1), ("test_limit", 0)],
        *[("size", "big"), ("size", 64.5), ("epochs", 2.5), ("epochs", "ten"), ("batch_size", 1.5), ("lam", "high")],
        *[("sigma", "wide"), ("crop", "no"), ("train_limit", 2.5), ("normalize", "no"), ("norm_shift", 2)],
    ],
)
def test_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"recipe: {name} is .*, expected "):
        Recipe(**{name: value})


def test_a_whole_number_is_the_same_setting() -> None:
    assert json.dumps(Recipe(lam=100, sigma=2).to_dict()) == json.dumps(Recipe(lam=100.0, sigma=2.0).to_dict())
    assert json.dumps(Recipe.from_dict({"lam": 1}).to_dict()) == json.dumps(Recipe(lam=1.0).to_dict())


def test_points_that_score_must_be_trained() -> None:
    with pytest.raises(ValueError, match=r"score_points is \('pool2',.* expected a part of critical_points"):
        Recipe(critical_points=("pool3", "pool4"))
    with pytest.raises(ValueError, match="critical points"):
        Recipe(critical_points=("pool1",))


def test_a_crop_too_small_for_five_pools() -> None:
    with pytest.raises(ValueError, match="crop is 16, expected from 32 to size, 64"):
        Recipe(size=64, crop=16)
    assert Recipe(size=64, crop=32).input_size == 32


def test_paper_preset() -> None:
    fashion, mvtec, cifar = (recipe_for(name) for name in ("fashion_mnist", "mvtec_ad", "cifar10"))
    assert (fashion.size, fashion.epochs, fashion.normalize) == (32, 51, False)
    assert (mvtec.size, mvtec.epochs) == (128, 601)
    assert (cifar.size, cifar.crop, cifar.normalize, cifar.epochs) == (256, 224, True, 201)
    for recipe in (fashion, mvtec, cifar):
        assert (recipe.batch_size, recipe.learning_rate, recipe.lam) == (64, 1e-3, None)
        assert recipe.score_points == recipe.critical_points == ("pool2", "pool3", "pool4", "pool5")


@pytest.mark.parametrize(("dataset", "lam"), [("fashion_mnist", 1 / 0.01), ("mvtec_ad", 1 / 0.5)])
def test_reference_preset(dataset: str, lam: float) -> None:
    recipe = recipe_for(dataset, preset="reference")
    assert recipe.lam == lam
    assert recipe.score_points == ("pool3", "pool4", "pool5")
    assert recipe.stretch
    assert recipe.noise == pytest.approx(0.0025)
    same = {"lam": None, "score_points": recipe.critical_points, "stretch": False, "noise": 0.05}
    assert recipe.replace(**same) == recipe_for(dataset)


def test_profiles_reduce_work_and_nothing_else() -> None:
    work = {"epochs", "train_limit", "test_limit"}
    for preset in PRESETS:
        whole = recipe_for("mvtec_ad", preset=preset)
        for profile in PROFILES:
            reduced = recipe_for("mvtec_ad", preset=preset, profile=profile)
            changed = {k for k, v in reduced.to_dict().items() if v != whole.to_dict()[k]}
            assert changed == (set() if profile == "paper" else work)
    assert recipe_for("mvtec_ad", profile="smoke").epochs == 2
    assert recipe_for("mvtec_ad", profile="laptop").epochs == 601 // 5
    limits = [recipe_for(name, profile="laptop").to_dict() for name in ("mvtec_ad", "cifar10")]
    assert [(r["train_limit"], r["test_limit"]) for r in limits] == [(1000, 2000), (500, 1000)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "minst"}, "no data set 'minst'; did you mean 'mnist'. Known are mnist, fashion_mnist"),
        ({"dataset": "mnist", "preset": "mine"}, "preset: no 'mine'; known are paper, reference"),
        ({"dataset": "mnist", "profile": "fast"}, "profile: no 'fast'; known are smoke, laptop, paper"),
    ],
)
def test_unknown_names(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe_for(**settings)
