"""Presets and profiles: recipes by data set as the paper's text or its code has them, and how much work is done."""

from typing import Any

from kdlab import textures, vgg_release  # noqa: F401 (kdlib knows them from here on)
from kdlib.errors import unknown
from kdlib.recipe import Recipe

VGG16S = ("torchvision", vgg_release.NAME)  # weights of a whole source network, the paper's own first

_BY_DATASET: dict[str, dict[str, Any]] = {
    "mnist": {"size": 32, "epochs": 51},
    "fashion_mnist": {"size": 32, "epochs": 51},
    "digits": {"size": 32, "epochs": 51},
    "cifar10": {"size": 256, "crop": 224, "normalize": True, "epochs": 201},
    "mvtec_ad": {"size": 128, "epochs": 601},
    "textures": {"size": 128, "epochs": 201},
    "retinal_oct": {"size": 128, "epochs": 201},
    "head_ct": {"size": 128, "epochs": 201},
    "brain_mri": {"size": 256, "epochs": 201},
}


def paper(dataset: str) -> Recipe:
    """What the paper's text says for a data set: four critical points score, lambda balances both terms."""
    if dataset not in _BY_DATASET:
        raise ValueError(unknown("preset: no data set", dataset, _BY_DATASET))
    return Recipe(**_BY_DATASET[dataset])


def reference(dataset: str) -> Recipe:
    """What the public reference code does: the last three score, lambda is fixed, each map is stretched."""
    lam = 2.0 if dataset == "mvtec_ad" else 100.0  # the code weighs the value loss: 0.5 and 0.01
    # Its SmoothGrad squares what was to be a standard deviation of 0.05.
    return paper(dataset).replace(lam=lam, score_points=("pool3", "pool4", "pool5"), stretch=True, noise=0.05**2)


def smoke(recipe: Recipe) -> Recipe:
    """Seconds: shows that a path works. Its figures are never compared with the paper's."""
    return recipe.replace(epochs=min(recipe.epochs, 2), train_limit=64, test_limit=100)


def laptop(recipe: Recipe) -> Recipe:
    """Minutes on two cores: a fifth of the epochs, at most 1,000 training and 2,000 test images; half above 128 px."""
    share = 1 if recipe.input_size <= 128 else 2
    return recipe.replace(epochs=max(2, recipe.epochs // 5), train_limit=1000 // share, test_limit=2000 // share)


PRESETS = {"paper": paper, "reference": reference}
PROFILES = {"smoke": smoke, "laptop": laptop, "paper": lambda recipe: recipe}


def recipe_for(dataset: str, *, preset: str = "paper", profile: str = "paper") -> Recipe:
    """The recipe of a data set in a preset, reduced to a profile."""
    for what, name, known in (("preset", preset, PRESETS), ("profile", profile, PROFILES)):
        if name not in known:
            raise ValueError(unknown(f"{what}: no", name, known))
    return PROFILES[profile](PRESETS[preset](dataset))
