"""Records sorted by the settings in which they differ from the paper's."""

from typing import Any

import pytest

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.studies.one_factor import BASE, causes, changes, factors, lambdas


def made(category: str, auroc: float | None, *, seed: int = 0, profile: str = "paper", **settings: Any) -> Record:
    experiment = Experiment.of("mvtec_ad", category, seed=seed, profile=profile, **settings)
    found = None if auroc is None else {"last": auroc, "mean_last_10": auroc, "best": auroc}
    maps = {"all": auroc, "defective": auroc}
    return {"id": "x", "experiment": experiment.to_dict(), "metrics": {"image_auroc": found, "pixel_auroc": maps}}


def test_changes_are_what_differs_from_the_preset_and_profile() -> None:
    assert changes(made("bottle", 0.9)) == changes(made("bottle", 0.9, profile="laptop")) == {}
    assert changes(made("bottle", 0.9, normalize=True, lam=0.0)) == {"normalize": True, "lam": 0.0}
    old = made("bottle", 0.9)
    del old["experiment"]["recipe"]["map_lam"]  # a setting that the library learned later
    assert changes(old) == {}
    assert changes(made("bottle", 0.9, weights="vgg-release", lam=0.0)) == {"lam": 0.0}  # either VGG-16 is the paper's
    assert changes(made("bottle", 0.9, weights="random")) == {"weights": "random"}


@pytest.mark.parametrize("table", [3, 4])
def test_each_factor_beside_the_paper_s_settings(table: int) -> None:
    changed: dict[str, Any] = {{3: "score_points", 4: "map_points"}[table]: ("pool2", "pool3")}
    records = [
        *(made("bottle", auroc, seed=seed) for seed, auroc in enumerate((0.90, 0.92, 0.94))),
        *(made("bottle", auroc, seed=seed, **changed) for seed, auroc in ((1, 0.95), (2, 0.96))),
        made("bottle", 0.99, seed=7, normalize=True),
        made("capsule", 0.5, normalize=True),
        made("capsule", None),
        # A map's settings score nothing.
        *([made("bottle", 0.2, map_lam=1.0), made("bottle", 0.2, map_lam=1.0, normalize=True)] if table == 3 else []),
        made("bottle", 0.1, profile="smoke"),
    ]
    frame = factors(records, table=table, dataset="mvtec_ad")
    label = f"{next(iter(changed))}=pool2+pool3"
    assert frame["settings"].tolist() == [BASE, *sorted([label, "normalize=True"]), "normalize=True"]
    rows = frame.set_index(["normal", "settings"])
    assert frame["ours"].tolist() == pytest.approx([92, *((95.5, 99) if table == 4 else (99, 95.5)), 50])
    assert list(rows.loc[("bottle", label), ["seeds", "spread"]]) == pytest.approx([2, 0.5**0.5])
    assert rows.loc[("bottle", label), "gain"] == pytest.approx(95.5 - 93)  # seeds 1 and 2 only
    assert frame["gain"].isna().sum() == 3  # the paper's own, no shared seed, no base
    published = paper.published(table=table, dataset="mvtec_ad", method=paper.OURS, column="bottle")["auroc"].item()
    assert (frame["ours"] - frame["published"]).tolist() == pytest.approx(frame["difference"].tolist())
    assert frame["published"].iloc[0] == published
    assert list(factors([], table=table, dataset="mvtec_ad").columns) == list(frame.columns)


def test_a_class_is_told_of_one_source() -> None:
    settings: list[dict[str, Any]] = [{}, {"lam": 1.0}]
    release = [made("bottle", 0.8, weights="vgg-release", **c) for c in settings]
    own = [made("bottle", 0.9, **c) for c in settings]

    def told(*records: Record) -> list[tuple[str, float]]:
        frame = factors(records, table=3, dataset="mvtec_ad")
        return list(zip(frame["weights"], frame["ours"].round(6), strict=True))

    assert told(*release, own[0]) == [("vgg-release", 80)] * 2  # nothing to compare with
    assert told(*release, *own) == [("torchvision", 90)] * 2
    assert told(release[0], own[0]) == [("torchvision", 90)]


def test_causes_name_what_brings_a_figure_nearer_to_the_printed_one() -> None:
    printed = paper.published(table=3, dataset="mvtec_ad", method=paper.OURS).set_index("column")["auroc"] / 100

    def said(*records: Record) -> str:
        return causes(factors(records, table=3, dataset="mvtec_ad"))

    capsule, near = printed["capsule"], made("bottle", printed["bottle"] - 0.009)
    assert "within a point" in said(near)
    own = made("capsule", capsule - 0.05)
    assert said(near, own) == "- **capsule**: -5.00 points from the printed figure with the paper's settings. " + (
        "No other setting tried yet."
    )
    frame = factors([own], table=3, dataset="mvtec_ad")
    assert "the paper's settings; other test images of the kind would move it by 8.7 (standard" in causes(
        frame, {"capsule": 8.7}
    )
    wrong = made("capsule", capsule - 0.06, normalize=True)
    assert said(own, wrong).endswith(
        "The cause is none of the settings tried. Less than half a point nearer, or farther: `normalize=True`."
    )
    right = made("capsule", capsule + 0.01, lam=1.0)
    found = said(own, wrong, right)
    assert "Nearest with `lam=1.0`: +1.00, a gain of +6.00. Less than half a point nearer, or farther: `norm" in found
    assert "together" not in found, "one entry is no whole"


def test_causes_judge_first_what_a_setting_is_worth_on_all_entries_that_have_it() -> None:
    printed = paper.published(table=3, dataset="mvtec_ad", method=paper.OURS).set_index("column")["auroc"] / 100
    own = {"bottle": -0.1, "capsule": -0.2, "grid": -0.03}
    other = {"bottle": -0.02, "capsule": -0.04, "grid": 0.06}
    both = [made(name, printed[name] + off) for name, off in own.items()]
    both += [made(name, printed[name] + off, lam=1.0) for name, off in other.items()]
    both += [made(name, printed[name] + 2 * off, lam=0.0) for name, off in own.items()]
    first, second, *_ = causes(factors(both, table=3, dataset="mvtec_ad")).splitlines()  # the better one first
    assert first == (
        "- **3 together**, `lam=1.0`: mean absolute difference 4.0 points, 11.0 with the paper's settings; nearer in 2."
    )
    assert second.startswith("- **3 together**, `lam=0.0`: mean absolute difference 22.0 points")


def test_the_balanced_lambda_of_each_training_beside_the_code_s() -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"map_lam": 0.0},  # a training that counted already
        {"seed": 1},
        {"normalize": True},
        {"lam": 5.0},  # chosen, not balanced
        {"cloner": "equal"},  # another training than the paper's
    ]
    records = [made("bottle", 0.9, **each) | {"training": {"lam": 0.25}} for each in settings]
    frame = lambdas(records)
    assert frame["normalize"].tolist() == [False, False, True]
    assert set(frame["dataset"]) == {"mvtec_ad"}
    assert set(frame["balanced"]) == {0.25}
    assert set(frame["code"]) == {2.0}  # 1 / 0.5
