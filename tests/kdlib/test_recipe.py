"""One frozen place for every setting."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdlib.recipe import SCORING, Recipe


@given(
    size=st.integers(64, 256),
    lam=st.none() | st.just(math.inf) | st.floats(0, 1e6),
    points=st.sets(st.sampled_from(("pool2", "pool3", "pool4", "pool5")), min_size=1),
    precision=st.sampled_from(("auto", "bf16", "fp32")),
    limit=st.none() | st.integers(2, 1000),
)
def test_round_trip(size: int, lam: float | None, points: set[str], precision: str, limit: int | None) -> None:
    recipe = Recipe(size=size, lam=lam, precision=precision, test_limit=limit)
    recipe = recipe.replace(critical_points=tuple(points), score_points=tuple(points))
    text = json.dumps(recipe.to_dict(), allow_nan=False)  # strict JSON has no infinity
    assert Recipe.from_dict(json.loads(text)) == recipe


def test_unknown_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"recipe: no setting 'lambda'; did you mean 'lam'. Known are weights, size"):
        Recipe().replace(**{"lambda": 1, "size2": 3})
    with pytest.raises(ValueError, match="no setting 'momentum'"):
        Recipe.from_dict(Recipe().to_dict() | {"momentum": 0.9})
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


def test_settings_that_do_not_fit_each_other() -> None:
    with pytest.raises(ValueError, match=r"score_points is \('pool2',.* expected a part of critical_points"):
        Recipe(critical_points=("pool3", "pool4"))
    with pytest.raises(ValueError, match="critical points"):
        Recipe(critical_points=("pool1",))
    with pytest.raises(ValueError, match="crop is 16, expected from 32 to size, 64"):
        Recipe(size=64, crop=16)
    assert Recipe(size=64, crop=32).input_size == 32
    assert {"tile"} == {*Recipe().to_dict()} - {*Recipe().training_settings()} - {*SCORING}  # kept trainings are found
