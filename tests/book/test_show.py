"""Plots, tables and sliders: described, complete, closed."""

import json
import os
import re
from pathlib import Path
from unittest import mock

import execute
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import templates
import torch
from conftest import ROOT, Write
from ipywidgets import embed

from book import figures as show
from book.figures import tables as show_tables
from kdlab import coverage, paper
from kdlab.experiments.experiment import Experiment
from kdlab.presets import recipe_for

pytestmark = pytest.mark.usefixtures("plots")


def test_figure_is_described_and_closed() -> None:
    fig, axis = plt.subplots(figsize=(1, 1))
    axis.plot([0, 1])
    html = show.figure(fig, alt='a <b>"line"</b>', caption="x < y & z").data
    assert 'alt="a &lt;b&gt;&quot;line&quot;&lt;/b&gt;"' in html
    assert "<figcaption>x &lt; y &amp; z</figcaption>" in html
    assert len(re.findall('src="data:image/webp;base64,UklGR', html)) == 1
    assert not plt.fignum_exists(fig.number)
    for alt in ("", "  "):
        with pytest.raises(ValueError, match="alt text is empty; say what the picture shows"):
            show.figure(plt.figure(), alt=alt)


@pytest.mark.parametrize(("inches", "ticks", "scrolls"), [(7, [0], True), (5, [0], False), (7, [], False)])
def test_wide_charts_scroll_on_a_phone_and_pictures_shrink(inches: int, ticks: list[float], scrolls: bool) -> None:
    fig, axis = plt.subplots(figsize=(inches, 1))
    axis.set_xticks(ticks)
    assert ("kd-chart" in str(show.figure(fig, alt="a line").data)) == scrolls


def test_slider_works_in_a_static_page() -> None:
    figures = [plt.subplots(figsize=(1, 1))[0] for _ in range(3)]
    box = show.slider(figures, ["0 & 1", "2", "3"], name="sigma", alts=["first", "second", "third"])
    control, stack = box.children
    assert (control.min, control.value, control.max) == (0, 0, 2)
    assert [re.findall('alt="(.*?)"', frame.value) for frame in stack.children] == [["first"], ["second"], ["third"]]
    assert "sigma: 0 &amp; 1" in stack.children[0].value
    state = embed.dependency_state([box])
    (link,) = [v["state"] for v in state.values() if v["model_name"] == "LinkModel"]
    assert link["source"] == [f"IPY_MODEL_{control.model_id}", "value"]
    assert link["target"] == [f"IPY_MODEL_{stack.model_id}", "selected_index"]
    for counts in ((1, 1, 1), (3, 2, 3), (2, 2, 3)):  # a label and a description each
        with pytest.raises(ValueError, match="slider: expected 2 or more figures.*found {}, {}, {}".format(*counts)):
            show.slider(figures[: counts[0]], ["l"] * counts[1], name="n", alts=["a"] * counts[2])


def test_pictures_takes_all_layouts() -> None:
    layouts = np.zeros((3, 8, 8), np.uint8), torch.zeros(8, 8, 3, dtype=torch.uint8), np.eye(8)
    fig = show.pictures(layouts, titles=["a", "b"], columns=2)
    assert [axis.get_title() for axis in fig.axes] == ["a", "b", "", ""]
    assert [len(axis.images) for axis in fig.axes] == [1, 1, 1, 0]
    assert not any(axis.axison for axis in fig.axes)


def test_localization_has_one_colour_scale() -> None:
    maps = np.random.default_rng(0).random((2, 8, 8)) * [[[1]], [[10]]]
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 2:4, 2:4] = True
    fig = show.localization([*np.zeros((2, 3, 8, 8), np.uint8)], maps, masks=masks, titles=["good", "bad"])
    assert len(fig.axes) == 6
    low, high = maps.min(), np.quantile(maps, 0.999)
    expected = plt.get_cmap(show.HEAT)((maps - low) / (high - low))[..., :3]
    drawn = [np.asarray(axis.images[0].get_array()) for axis in fig.axes]
    np.testing.assert_allclose(drawn[2:4], expected)
    np.testing.assert_allclose(drawn[4:], 0.6 * expected, err_msg="the image below is black")
    assert [axis.get_title() for axis in fig.axes[:2]] == ["good", "bad"]
    assert [len(axis.collections) for axis in fig.axes] == [1, 0, 1, 0, 0, 0]


def test_detection_shows_auroc_and_threshold() -> None:
    fig = show.detection(np.array([0, 0, 1, 1]), np.array([1.0, 3, 2, 4]), threshold=2.5)
    histogram, roc = fig.axes
    assert roc.get_title() == "AUROC 0.7500"
    assert 2.5 in [line.get_xdata()[0] for line in histogram.lines]  # type: ignore[index]


def test_stability_has_a_line_a_record() -> None:
    evaluations = [{"epoch": 5, "image_auroc": 0.5}, {"epoch": 10, "image_auroc": 0.75}]
    records = [{"experiment": {"normal_class": n}, "metrics": {"evaluations": evaluations}} for n in ("3", "4")]
    fig = show.stability(records)
    assert [line.get_label() for line in fig.axes[0].lines] == ["3", "4"]
    assert fig.axes[0].lines[0].get_ydata().tolist() == [50, 75]  # type: ignore[union-attr]
    assert fig.axes[0].get_legend() is not None
    assert show.stability(records[:1]).axes[0].get_legend() is None, "of one class the page speaks already"


def test_comparison_marks_what_is_more_than_2_off() -> None:
    difference = [-2.01, -2.0, 0.5, 2.5, np.nan]
    rows = pd.DataFrame({"published": 90.0, "difference": difference}, index=list("abcde"))
    html = show_tables.numbers(rows, [(Experiment.of("mnist", "3"),)] * 5, signed=["difference"]).data
    style, body = html.split("</style>")
    assert re.findall(r"#T_\w+_row(\d)_col3", style) == ["0", "3"]
    assert "bold" in style
    cells = re.findall(r'class="data row\d col3" ?>([^<]*)<', body)
    assert cells == ["-2.01", "-2.00", "+0.50", "+2.50", "–"]


def test_facts_say_what_the_recipe_is() -> None:
    html = show_tables.facts(show_tables.recipe_facts(recipe_for("mnist"))).data
    assert re.search(r"<th>epochs</th>\s*<td>51</td>", html)


def test_the_table_has_every_entry_and_loads_nothing(write: Write) -> None:
    write("fashion_mnist", "3", 0.93)
    html = str(show_tables.interactive(coverage.scoreboard()).data)
    rows = json.loads(json.loads(re.findall(r'"data_json": (".*"),?$', html, re.MULTILINE)[0]))
    assert len(rows) == 387
    (row,) = (row for row in rows if row[7] == pytest.approx(93) and row[6] == 93.8)
    assert row[0] == "python -m kdlab run --dataset fashion_mnist --normal-class 3"
    assert row[1:6] == [2, "fashion_mnist", "MKDAD", "3", "paper"]
    assert not re.findall(r"<script[^>]* src=|<link|import .* from", html)


@pytest.mark.slow
@pytest.mark.parametrize("some", [True, False])
def test_the_scoreboard_says_what_the_records_say(write: Write, results: Path, tmp_path: Path, some: bool) -> None:
    results.mkdir()
    if some:
        for number in range(10):
            write("mnist", str(number), 0.99)
        write("fashion_mnist", "3", 0.93, profile="laptop")
        write("cifar10", "dog", 0.123, profile="smoke")
        (results / "mnist" / "torn.json").write_text("{")
    notebook = templates.notebook(ROOT, Path("notebooks/scoreboard.ipynb"))
    target = tmp_path / "out.ipynb"
    with mock.patch.dict(os.environ):  # the kernel's settings are for this test alone
        execute.install_kernel(tmp_path)
        assert not execute.run(templates.with_values(notebook, {"profile": "smoke"}), target, timeout=120).problem
    outputs = [o for cell in nbformat.read(target, as_version=4).cells for o in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type != "display_data" and o.output_type != "execute_result"]
    said = "\n".join(o.data.get("text/markdown", "") for o in outputs)
    shown = "\n".join(o.data.get("text/html", "") for o in outputs)
    assert "387 entries in 11 tables, 33 of them means, on 7 data sets." in said
    if not some:
        assert "0 of 387 entries have a number of ours" in said
        return
    assert "All together: 11 paper, 1 laptop, 375 not run." in shown
    off = sum(99 - published for published in paper.own_entries(table=2, dataset="mnist")["auroc"]) / 11
    assert f"11 of 387 entries have a number of ours, mean difference {off:+.2f} points" in said
    assert "results/mnist/torn.json" in said
    assert "12.30" not in shown
    assert str(tmp_path) not in said + shown
