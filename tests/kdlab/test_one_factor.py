"""Records sorted by the settings in which they differ from the paper's."""

from typing import Any

from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.studies.one_factor import changes, lambdas


def made(**settings: Any) -> Record:
    experiment = Experiment.of("mvtec_ad", "bottle", **settings)
    return {"id": "x", "experiment": experiment.to_dict(), "training": {"lam": 0.25}}


def test_changes_are_what_differs_from_the_preset_and_profile() -> None:
    assert changes(made()) == changes(made(profile="laptop")) == {}
    assert changes(made(normalize=True, lam=0.0)) == {"normalize": True, "lam": 0.0}
    old = made()
    del old["experiment"]["recipe"]["map_lam"]  # a setting that the library learned later
    assert changes(old) == {}
    assert changes(made(weights="vgg-release", lam=0.0)) == {"lam": 0.0}  # either VGG-16 is the paper's
    assert changes(made(weights="random")) == {"weights": "random"}


def test_the_balanced_lambda_of_each_training_beside_the_code_s() -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"map_lam": 0.0},  # a training that counted already
        {"seed": 1},
        {"normalize": True},
        {"lam": 5.0},  # chosen, not balanced
        {"cloner": "equal"},  # another training than the paper's
    ]
    records = [made(**each) for each in settings]
    frame = lambdas(records)
    assert frame["normalize"].tolist() == [False, False, True]
    assert set(frame["dataset"]) == {"mvtec_ad"}
    assert set(frame["balanced"]) == {0.25}
    assert set(frame["code"]) == {2.0}  # 1 / 0.5
