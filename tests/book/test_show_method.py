"""Pictures of the method at work: one colour scale, the channels of the rule, stairs that end at the score."""

import copy
import dataclasses
import html
import re

import ipywidgets as widgets
import numpy as np
import pytest
import torch
from ipywidgets import embed
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from book import figures as show
from book.figures import method as show_method
from book.figures.method import Moment, Pair
from kdlib import Detector, Split
from kdlib.activations import source_activations

pytestmark = pytest.mark.usefixtures("plots")

POINTS = {"pool2": (128, 8), "pool3": (256, 4)}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that become pictures, as they were."""
    found: list[Figure] = []
    shown = show._img

    def draw(fig: Figure, alt: str) -> str:
        found.append(fig)
        return shown(fig, alt)

    monkeypatch.setattr(show, "_img", draw)
    return found


def pair() -> Pair:
    masks = np.zeros((2, 32, 32), bool)
    masks[1, 8:16, 8:16] = True
    return Pair(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), masks, ("good", "hole"))


def answers(seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {p: torch.rand(2, c, side, side, generator=random) for p, (c, side) in POINTS.items()}


def alts(box: widgets.VBox) -> list[str]:
    return [html.unescape(re.findall('alt="(.*?)"', frame.value)[0]) for frame in box.children[-1].children]


def pictures(fig: Figure) -> list[Axes]:
    """The axes with one channel or map, not a photograph or a colour bar."""
    return [axis for axis in fig.axes if axis.images and np.asarray(axis.images[0].get_array()).ndim == 2]


def rectangles(axis: Axes) -> list[Rectangle]:
    return [bar for bar in axis.patches if isinstance(bar, Rectangle)]


def test_side_by_side_has_one_scale_a_point_and_says_how_far_apart(drawn: list[Figure]) -> None:
    source, cloner = answers(0), answers(1)
    cloner["pool3"] = source["pool3"] * torch.tensor([1.0, 0.75]).view(2, 1, 1, 1)
    box = show_method.side_by_side(source, cloner, {"pool2": [7, 3, 100], "pool3": [2, 0, 1]}, pair())
    for fig, point, chosen in zip(drawn, POINTS, ([7, 3, 100], [2, 0, 1]), strict=True):
        axes = pictures(fig)
        assert len(axes) == 2 * 3 * 3
        top = max(source[point][:, chosen].max(), cloner[point][:, chosen].max()).item()
        assert {axis.images[0].get_clim() for axis in axes} == {(0, top)}
        below = [axis.get_xlabel() for axis in axes if axis.get_xlabel()]
        assert below == [str(c) for c in chosen] * 2
        seen = [np.asarray(axis.images[0].get_array()) for axis in axes[:3]]  # source, cloner, difference: good, first
        expected = [a[point][0, chosen[0]].numpy() for a in (source, cloner)]
        np.testing.assert_allclose(seen, [*expected, abs(expected[0] - expected[1])])
    assert "7, 3, 100" in alts(box)[0]
    assert "0 % (good) and 25 % (hole)" in alts(box)[1]


def moments() -> dict[int, Moment]:
    scores = {0: [4.0, 3, 5, 4], 1: [2.0, 2, 3, 4], 5: [1.0, 1, 2, 3]}
    return {e: Moment(np.array(s), answers(e), np.full((2, 32, 32), float(e))) for e, s in scores.items()}


def test_a_film_keeps_its_scales_describes_each_picture_and_waits_to_be_played(drawn: list[Figure]) -> None:
    labels, watched = np.array([0, 0, 1, 1]), [1, 2]
    box = show_method.film(moments(), answers(9), pair(), labels=labels, watched=watched)
    assert len(drawn) == len(set(alts(box))) == 3
    said = {0: ("3.00", "5.00", "87.5"), 1: ("2.00", "3.00", "100.0"), 5: ("1.00", "2.00", "100.0")}
    for alt, (epoch, (good, bad, area)) in zip(alts(box), said.items(), strict=True):
        assert f"After {epoch} epochs" in alt
        assert f"Discrepancy {good} (good) and {bad} (hole), AUROC {area} %" in alt
    scales = [[axis.images[0].get_clim() for axis in pictures(fig)] for fig in drawn]
    assert scales[0] == scales[1] == scales[2]
    below = [fig.axes[-1] for fig in drawn]
    assert len({(axis.get_xlim(), axis.get_ylim()) for axis in below}) == 1
    assert sum(bar.get_height() for bar in rectangles(below[0])) == len(labels)  # no score is outside
    assert [line.get_xdata()[0] for line in below[0].lines] == [3, 5]  # type: ignore[index]
    for fig in drawn:  # read on a phone
        assert fig.get_figwidth() <= 4.5
        assert {label.get_fontsize() for axis in fig.axes for label in (axis.xaxis.label, axis.title)} == {10}
    (player, control), stack = box.children[0].children, box.children[1]
    assert isinstance(player, widgets.Play)
    assert not player.playing
    assert (player.min, player.max) == (control.min, control.max) == (0, len(stack.children) - 1)
    links = [v["state"] for v in embed.dependency_state([box]).values() if v["model_name"] == "LinkModel"]
    joined = {(link["source"][0], link["target"][0]) for link in links}
    assert joined == {tuple(f"IPY_MODEL_{w.model_id}" for w in two) for two in ((player, control), (control, stack))}


def test_a_moment_is_what_the_detector_says(fitted: Detector, digits: Split) -> None:
    pixels, masks = digits.test.pixels(32)[:2], np.zeros((2, 32, 32), bool)
    found = show_method.moment(fitted, Pair(pixels, masks, ("a", "b")), np.arange(3.0))
    known = source_activations(fitted.source, pixels, fitted.recipe)
    parts = show_method.contributions(fitted, pixels)
    value = sum((known[p].float() - c).square().mean((1, 2, 3)) for p, c in found.cloner.items())
    np.testing.assert_allclose(parts.loc[:, (slice(None), "value")].sum(axis=1), value, rtol=1e-4)
    np.testing.assert_array_equal(found.maps, fitted.localize(pixels))
    assert found.scores.tolist() == [0, 1, 2]


@pytest.mark.parametrize("points", [("pool2", "pool3", "pool4", "pool5"), ("pool3", "pool5")])
@pytest.mark.parametrize("lam", [0.0, 2.5, float("inf")])
def test_contributions_sum_to_the_score(fitted: Detector, digits: Split, points: tuple[str, ...], lam: float) -> None:
    detector = copy.copy(fitted)
    detector.recipe = fitted.recipe.replace(score_points=points)
    detector.training = dataclasses.replace(fitted.training, lam=lam)
    pixels = digits.test.pixels(32)
    known = source_activations(fitted.source, pixels, fitted.recipe)
    for parts in (show_method.contributions(detector, pixels), show_method.contributions(detector, pixels, known)):
        assert list(parts.columns.unique(0)) == list(points)
        np.testing.assert_allclose(parts.sum(axis=1), detector.score_pixels(pixels), rtol=1e-6)
    assert (parts.loc[:, (slice(None), "value")].to_numpy() > 0).all() == (lam != float("inf"))


def test_stairs_end_at_the_scores(fitted: Detector, digits: Split) -> None:
    pixels = digits.test.pixels(32)[[0, 1]]
    two, parts = Pair(pixels, np.zeros((2, 32, 32), bool), ("a", "b")), show_method.contributions(fitted, pixels)
    scores = fitted.score_pixels(pixels)
    fig = show_method.score_by_layer(parts, two, threshold=5.0)
    bars = rectangles(fig.axes[0])
    assert fig.axes[0].get_xlim()[1] > 5.0  # the threshold is in the picture, wherever it is
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == [*parts.columns.unique(0), "score"]
    for row, score in enumerate(scores):
        stairs = bars[8 * row : 8 * row + 8]
        ends = [bar.get_x() + bar.get_width() for bar in stairs]
        np.testing.assert_allclose([bar.get_x() for bar in stairs], [0, *ends[:-1]], atol=1e-9)
        assert ends[-1] == pytest.approx(bars[16 + row].get_width()) == pytest.approx(score, rel=1e-5)
    maps = np.random.default_rng(0).random((2, 4, 2, 32, 32))
    axes = pictures(show_method.map_by_layer(parts, maps[0], maps[1], two))
    assert len({axis.images[0].get_clim() for axis in axes}) == 1
    np.testing.assert_array_equal(axes[0].images[0].get_array(), maps[0][0, 0])
    np.testing.assert_array_equal(axes[-1].images[0].get_array(), maps[1][-1, 1])
