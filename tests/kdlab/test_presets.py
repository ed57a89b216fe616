"""Presets and profiles."""

import pytest

from kdlab.presets import PRESETS, PROFILES, recipe_for


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
