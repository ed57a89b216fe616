"""The localization gap: what settings are worth, from records; the gradient term by term; quality against time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, grey_opening
from sklearn.metrics import roc_auc_score
from torch import Tensor

from book import figures as show
from book.figures import gap as show_gap
from book.figures import gap_live as show_gap_live
from kdlab.experiments.experiment import Experiment
from kdlab.studies.catalogue import STUDIES
from kdlab.terms import Terms
from kdlib import Detector, Images, Split, load
from kdlib.activations import prepare
from kdlib.networks import CRITICAL_POINTS
from kdlib.recipe import ATTRIBUTIONS

pytestmark = pytest.mark.usefixtures("plots")

STUDY = STUDIES["localization_gap"]
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def record(normal: str, auroc: float | None, *, dataset: str = "mvtec_ad", **changes: Any) -> dict[str, Any]:
    """The record of an experiment that was never run."""
    experiment = Experiment.of(dataset, normal, **changes)
    metrics: dict[str, Any] = {"image_auroc": None, "pixel_auroc": None, "evaluations": []}
    if auroc is not None:
        metrics |= {"pixel_auroc": {"all": auroc, "defective": 0.5}, "aupro": auroc - 0.1}
    return {"experiment": experiment.to_dict(), "metrics": metrics}


def records() -> list[dict[str, Any]]:
    return [
        record("bottle", 0.90),
        record("bottle", 0.91, seed=1),
        record("bottle", 0.94, map_lam=0.0),
        record("bottle", 0.93, map_lam=0.0, seed=1),
        record("capsule", 0.96),
        record("capsule", 0.95, map_lam=0.0),
        record("capsule", 0.5, normalize=True, seed=3),  # no base of that seed
        record("brick", 0.80, dataset="textures", profile="laptop"),
        record("brick", 0.85, dataset="textures", profile="laptop", sigma=8.0),
        record("brick", None, dataset="textures", profile="laptop", sigma=2.0),
        record("0", None, dataset="mnist"),
        record("bottle", 0.2, profile="smoke"),
        record("bottle", 0.1, profile="laptop"),  # another study's
        record("bottle", 0.9, profile="laptop", map_lam=0.0),
    ]


def test_gains_are_over_the_same_data_seed_and_profile() -> None:
    gained = show_gap.gains(show_gap.frame(records()))
    found = {(r.normal, r.seed, r.setting): r.gain for r in gained.itertuples()}
    assert found == pytest.approx(
        {
            ("bottle", 0, "map of the value loss"): 4,
            ("bottle", 1, "map of the value loss"): 2,
            ("capsule", 0, "map of the value loss"): -1,
            ("brick", 0, "sigma = 8"): 5,
        }
    )
    rows = show_gap.worth(gained)
    assert rows["setting"].tolist() == ["sigma = 8", "map of the value loss"]
    assert rows["kind"].tolist() == ["filters", "which terms"]
    assert rows["gain"].tolist() == pytest.approx([5, 1])  # seeds before categories: (3 - 1) / 2
    assert rows["categories"].tolist() == [1, 2]


def test_figure_has_a_mark_for_each_record() -> None:
    gained = show_gap.gains(show_gap.frame(records()))
    axis = show_gap.factors(gained).axes[0]
    drawn = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in axis.lines[1:]}
    assert drawn["bottle, paper"] == pytest.approx([4, 2])
    assert drawn["brick, laptop"] == pytest.approx([5])
    assert drawn["mean"] == pytest.approx([5, 1])
    hollow = {str(line.get_label()): line.get_markerfacecolor() == "white" for line in axis.lines[1:-1]}
    assert hollow == {"bottle, paper": False, "capsule, paper": False, "brick, laptop": True}
    ticks = dict(zip((t.get_text() for t in axis.get_yticklabels()), axis.get_yticks(), strict=True))
    assert set(ticks) == {"sigma = 8", "map of the value loss", "filters", "which terms"}
    (line,) = (line for line in axis.lines if line.get_label() == "brick, laptop")
    assert np.asarray(line.get_ydata()).tolist() == [ticks["sigma = 8"]]


def test_nothing_is_there() -> None:
    empty = show_gap.frame([])
    assert show_gap.worth(show_gap.gains(empty)).empty
    assert "Not run" in show_gap.evidence(empty, ["as the paper"]).data
    assert show_gap.against(empty, "discrepancy", "as the paper").count("not run") == 2
    said = show_gap.missing(empty).data
    assert said.count("python -m kdlab run --study localization_gap") == 2
    assert said.count("which is all") == 2


def test_missing_names_what_some_category_or_seed_lacks() -> None:
    (mvtec,) = (cell for cell in STUDY.cells if cell.dataset == "mvtec_ad")
    every = [(normal, seed) for normal in mvtec.normals for seed in mvtec.seeds]
    whole = [record(n, 0.9, seed=s, **STUDY.changes(label, "mvtec_ad")) for n, s in every for label in STUDY.settings]
    label, count = "sigma = 8", len(STUDY.labels("mvtec_ad"))
    seedless = [r for r in whole if not (r["experiment"]["seed"] == 2 and r["experiment"]["recipe"]["sigma"] == 8)]

    def said(found: list[dict[str, Any]]) -> str:
        return str(show_gap.missing(show_gap.frame(found)).data).split("**MVTec AD**")[1]

    assert said(whole) == ": every setting has a record of every category, 3 seeds each."
    assert said(seedless).startswith(f": settings without a record of every category and seed: 1 of {count}: {label}. ")
    assert f"{count}, which is all" in said(records())


def test_settings_within_a_point_of_the_print() -> None:
    frame = show_gap.frame(records())
    said = show_gap.within(frame, pd.Series({"bottle": 93.0, "capsule": 95.5}))
    expected = "Within a point of the printed figures of bottle and capsule: *map of the value loss* "
    assert said == expected + "(bottle +0.5, capsule -0.5)."  # the means over seeds of records(); the base is 2.5 off
    assert "no setting" in show_gap.within(frame, pd.Series({"bottle": 99.0, "capsule": 95.5}))
    assert show_gap.within(frame, pd.Series({"bottle": 93.0, "grass": 95.5})) == "Not run on every category."
    assert show_gap.within(show_gap.frame([]), pd.Series({"bottle": 93.0})) == "Not run on every category."


def test_evidence_and_its_verdict() -> None:
    frame = show_gap.frame(records())
    text = show_gap.evidence(frame, ["as the paper", "map of the value loss", "no opening"]).data
    assert "<td>90.5 / 80.5</td>" in text
    assert text.count("<td>–</td>") == 4  # of brick the second, of all three the third
    said = show_gap.against(frame, "map of the value loss", "as the paper")
    assert "pixel AUROC **no, not in 1 of 2**: bottle (paper) +3.0, capsule (paper) -1.0" in said
    assert "AUPRO **no" in said
    assert "pixel AUROC **yes**: brick (laptop) +5.0" in show_gap.against(frame, "sigma = 8", "as the paper")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"map_points": ("pool3",)}, "which critical points"),
        ({"map_lam": 0.0}, "which terms"),
        ({"attribution": "cloner_gradients"}, "which networks"),
        ({"attribution": "discrepancy", "map_points": ("pool3",)}, "no gradient"),
        ({"normalize": True, "attribution": "product"}, "several at once"),
        ({"normalize": True}, "input and source"),
        ({"sigma": 2.0}, "filters"),
        ({"epochs": 201}, "training and arithmetic"),
    ],
)
def test_kinds(changes: Mapping[str, Any], kind: str) -> None:
    assert show_gap.kind(changes) == kind


def test_every_setting_of_the_study_has_its_kind() -> None:
    kinds = {
        label: show_gap.kind(STUDY.changes(label, "mvtec_ad")) for label in STUDY.settings if label != "as the paper"
    }
    assert all(kind != "several at once" or "," in label for label, kind in kinds.items())


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6))
def test_gains_add_up(aurocs: list[float]) -> None:
    """From the first to the last setting it is the same way, whichever is the base between."""
    labels = list(STUDY.settings)[: len(aurocs)]
    rows = [("mvtec_ad", "bottle", 0, "paper", s, "pixel_auroc", a, a) for s, a in zip(labels, aurocs, strict=True)]
    frame = pd.DataFrame(rows, columns=[*show_gap.frame([]).columns])
    first, second = (show_gap.gains(frame, base).set_index("setting")["gain"] for base in labels[:2])
    np.testing.assert_allclose(first[labels[2:]], second[labels[2:]] + first[labels[1]], atol=1e-9)


@pytest.fixture(scope="module")
def x(fitted: Detector, digits: Split) -> Tensor:
    return prepare(digits.test[:4].pixels(32), fitted.recipe, fitted.device)


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    return np.random.default_rng(0).random((4, 32, 32)) < 0.1


def literal_gradients(detector: Detector, x: Tensor) -> dict[tuple[str, str], np.ndarray]:
    """d of Eq. 1 and 3 at each critical point / d x, each by itself, written out."""
    found = {}
    for point in CRITICAL_POINTS:
        for term in ("value", "direction"):
            image = x.clone().requires_grad_()
            s, c = detector.source(image)[point], detector.cloner(image)[point]
            if term == "value":
                total = ((s - c) ** 2).mean((1, 2, 3)).sum()
            else:
                total = (1 - torch.cosine_similarity(s.flatten(1), c.flatten(1))).sum()
            (gradient,) = torch.autograd.grad(total, image)
            found[point, term] = gradient.numpy()
    return found


def literal_map(gradient: np.ndarray) -> np.ndarray:
    rough = np.abs(gradient).sum(1)
    return np.stack([grey_opening(gaussian_filter(one, 4), footprint=CROSS) for one in rough])


def test_signed_gradients_of_each_term(fitted: Detector, x: Tensor) -> None:
    found, expected = Terms(fitted, x).signed_gradients(), literal_gradients(fitted, x)
    for i, point in enumerate(CRITICAL_POINTS):
        for j, term in enumerate(("value", "direction")):
            wanted = expected[point, term]
            np.testing.assert_allclose(found[i, j], wanted, rtol=1e-2, atol=1e-3 * np.abs(wanted).max())


def test_shares_are_those_written_out(fitted: Detector, x: Tensor, masks: np.ndarray) -> None:
    lam = 2.5
    found = show_gap_live.shares(Terms(fitted, x), masks, lam)
    terms = [g * (lam if t == "direction" else 1) for (_, t), g in literal_gradients(fitted, x).items()]
    norms = np.array([[np.sqrt((image.astype(float) ** 2).sum()) for image in g] for g in terms])
    share = np.mean([[n / column.sum() for n in column] for column in norms.T], axis=0)
    np.testing.assert_allclose(found.share.ravel(), share, rtol=1e-3)
    assert found.share.sum() == pytest.approx(1)
    alone = [100 * roc_auc_score(masks.ravel(), literal_map(g).ravel()) for g in terms]
    np.testing.assert_allclose(found.alone.ravel(), alone, atol=0.1)
    whole = 100 * roc_auc_score(masks.ravel(), literal_map(sum(terms)).ravel())  # type: ignore[arg-type]
    others = [sum(g for k, g in enumerate(terms) if k != left_out) for left_out in range(8)]
    without = [100 * roc_auc_score(masks.ravel(), literal_map(g).ravel()) - whole for g in others]  # type: ignore[arg-type]
    np.testing.assert_allclose(found.without.ravel(), without, atol=0.1)
    cosines = [
        [np.mean([a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(g, h)]) for h in terms]  # noqa: B905
        for g in terms
    ]
    np.testing.assert_allclose(found.alike, cosines, atol=2e-3)


def test_pictures_of_terms(fitted: Detector, x: Tensor, masks: np.ndarray, digits: Split) -> None:
    terms = Terms(fitted, x)
    found = show_gap_live.shares(terms, masks, 2.0)
    axes = show_gap_live.taken_apart(found, terms.points).axes
    np.testing.assert_allclose(np.asarray(axes[0].lines[0].get_ydata()), found.alone[:, 0])
    heights = [bar.get_height() for bars in axes[1].containers for bar in bars]
    np.testing.assert_allclose(heights, 100 * found.share.T.ravel())
    picture = digits.test[[2]].pixels(32)[0].permute(1, 2, 0).numpy()
    fig = show_gap_live.layer_by_layer(terms, 2.0, picture, masks[2], 2)
    titles = [axis.get_title() for axis in fig.axes]
    gradient = terms.attribution("gradients", CRITICAL_POINTS, 2.0)[[2]][:, None]
    area = 100 * roc_auc_score(masks[2].ravel(), literal_map(gradient)[0].ravel())
    assert titles[14] == f"+ pool5: {area:.0f} %"
    assert titles[1].startswith("pool2: ")


@pytest.fixture(scope="module")
def patches(home: Path) -> Images:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDLIB_WORK", str(home / "work"))
        return load("textures", "grass").test[::10]


def test_timed_maps_are_those_of_the_detector(fitted: Detector, patches: Images) -> None:
    ways: dict[str, tuple[Detector, dict[str, str]]] = {m: (fitted, {"attribution": m}) for m in ("gradients", "best")}
    before = fitted.recipe
    run = show_gap_live.timed(ways, patches, rounds=2)
    assert fitted.recipe is before
    assert (run["ms"] > 0).all()
    masks, maps = patches.mask_pixels(32), fitted.localize(patches)
    assert run.loc["gradients", "auroc"] == pytest.approx(100 * roc_auc_score(masks.ravel(), maps.ravel()), abs=0.05)
    assert run["auroc"].nunique() == 2


def test_smaller_maps_are_judged_on_the_larger_masks(fitted: Detector, patches: Images) -> None:
    large = Detector(fitted.recipe.replace(size=64))
    large.cloner, large.training = fitted.cloner, fitted.training
    run = show_gap_live.timed({"small": (fitted, {}), "large": (large, {})}, patches, rounds=1)
    maps = torch.nn.functional.interpolate(
        torch.from_numpy(fitted.localize(patches))[:, None], (64, 64), mode="bilinear"
    )
    masks = patches.mask_pixels(64)
    assert run.loc["small", "auroc"] == pytest.approx(100 * roc_auc_score(masks.ravel(), maps.ravel()), abs=0.01)
    fig = show_gap_live.by_time(run, larger={"small": "large"})
    assert "<img" in show.figure(fig, alt="Two sizes.").data


def test_by_time_draws_every_way() -> None:
    rows = {m: (10.0 * (n + 1), 90.0 - n, 80.0 + n) for n, m in enumerate(ATTRIBUTIONS)}
    run = pd.DataFrame.from_dict(rows, orient="index", columns=["ms", "auroc", "aupro"])
    left, right = show_gap_live.by_time(run).axes
    assert [line.get_ydata()[0] for line in right.lines] == list(run["aupro"])  # type: ignore[index]
    assert [line.get_xdata()[0] for line in left.lines] == list(run["ms"])  # type: ignore[index]
    assert left.get_xscale() == "log"
