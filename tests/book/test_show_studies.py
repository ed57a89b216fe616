"""Pages of studies: tables, sentences, commands; and the small runs of the pages."""

import numpy as np
import pandas as pd
import pytest
from conftest import study_frame

from book.figures import studies as show_studies
from kdlab.studies import small_runs
from kdlab.studies.sentences import COLUMNS
from kdlib import Detector
from kdlib.activations import prepare
from kdlib.data import Split
from kdlib.losses import discrepancy
from kdlib.networks import CLONERS, Cloner, parameter_count

pytestmark = pytest.mark.usefixtures("plots")


def test_panels_are_data_sets_with_two_settings_or_more() -> None:
    ours = pd.concat([study_frame({"small": 1.0, "equal": 0.0}), study_frame({"small": 1.0}, dataset="mnist")])
    fig = show_studies.panels(ours, ["tiny", "small", "equal"])
    assert [axis.get_title().split("\n")[0] for axis in fig.axes] == ["MVTec AD"]
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["small", "equal"]
    means = fig.axes[0].lines[-1].get_ydata()
    assert np.asarray(means).tolist() == pytest.approx([91.01, 90.0])
    assert show_studies.said(ours, ["small", "equal"]) == "MVTec AD, laptop: small 91.01, equal 90.00 over 2 classes."
    assert show_studies.said(ours[:0], ["small"]) == "No figure yet."


def test_a_class_without_a_setting_is_not_in_the_mean() -> None:
    ours = study_frame({"small": 1.0, "equal": 0.0})
    ours = ours[~((ours["normal"] == "capsule") & (ours["setting"] == "equal"))]
    assert show_studies.said(ours, ["small", "equal"]).endswith("over 1 classes.")


def test_table_and_its_dashes() -> None:
    ours = study_frame({"small": 1.0, "equal": 0.0})
    text = show_studies.table(ours[ours["normal"] == "bottle"][:-1], ["tiny", "small", "equal"]).data
    assert "<td>91.01 ± 0.01</td>" in text
    assert "<td>90.00 ± 0.00</td>\n      <td>3</td>" in text
    assert "tiny" not in text
    three = study_frame({"small": 1.0, "equal": 0.0, "tiny": 0.5})
    lacks = three[~((three["normal"] == "capsule") & (three["setting"] == "equal"))]
    assert "<td>–</td>" in show_studies.table(lacks, ["small", "equal", "tiny"]).data
    text = show_studies.table(lacks, ["small", "equal"]).data
    assert "bottle" in text
    assert "<td>capsule</td>" not in text  # one setting left: nothing to compare
    apart = ours[(ours["normal"] == "capsule") == (ours["setting"] == "equal")]  # no class has both
    assert "<td>capsule</td>" in show_studies.table(apart, ["small", "equal"]).data
    assert "Not run" in show_studies.table(ours[:0], ["small"]).data


def test_missing_experiments_and_their_commands() -> None:
    ours = study_frame(dict.fromkeys(CLONERS, 0.0))
    text = show_studies.missing("cloner_size", ours).data
    assert "MVTec AD 24 of 24" in text
    assert "Fashion-MNIST 0 of 64" in text
    assert "python -m kdlab run --study cloner_size --dataset fashion_mnist" in text
    assert "--dataset mvtec_ad" not in text


def test_curves_go_by_their_numbers() -> None:
    numbers = pd.Series({"equal": 10.0, "small": 1.0})
    fig = show_studies.curves(study_frame({"equal": 0.0, "small": 1.0}), [("size", numbers), ("cost", 2 * numbers)])
    line = fig.axes[1].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == [2, 20]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([91.01, 90])


def test_bars_say_their_values() -> None:
    fig = show_studies.bars(pd.DataFrame({"value": [72.25, 40.0], "direction": [91.0, 50.0]}, index=["a", "b"]))
    assert [t.get_text() for t in fig.axes[0].texts] == ["72.2", "40", "91", "50"]


def test_costs_are_those_of_the_convolutions() -> None:
    costs = small_runs.costs(size=64)
    assert list(costs.index) == list(CLONERS)
    inputs, total = 3, 0
    for number, block in enumerate(CLONERS["tiny"]):
        for outputs in block:
            total += 9 * inputs * outputs * (64 // 2**number) ** 2
            inputs = outputs
    assert costs.loc["tiny", "gmac"] == pytest.approx(total / 1e9)
    assert costs.loc["tiny", "parameters"] == parameter_count(Cloner("tiny"))


def test_terms_add_up_to_the_score(fitted: Detector, digits: Split) -> None:
    value, direction = small_runs.terms(fitted, digits.test)
    np.testing.assert_allclose(value + fitted.training.lam * direction, fitted.score(digits.test), rtol=1e-4)
    one = small_runs.terms(fitted, digits.test, ["pool3"])
    x = prepare(digits.test.pixels(fitted.recipe.size), fitted.recipe, fitted.device)
    expected = discrepancy(fitted.source(x), fitted.cloner(x), lam=2.0, points=["pool3"])
    np.testing.assert_allclose(one[0] + 2 * one[1], expected.detach(), rtol=1e-4)


@pytest.mark.slow
def test_a_study_live() -> None:
    run = small_runs.studied("loss_terms", [("digits", "0")], ["value", "direction"], seeds=[0, 1], epochs=2)
    assert run["setting"].tolist() == ["value", "direction"] * 2
    assert run["lam"].tolist() == [0, np.inf] * 2
    assert run["auroc"].between(0, 100).all()
    assert (run["bad"] > run["good"])[run["setting"] == "direction"].all()
    assert list(run.columns[: len(COLUMNS)]) == COLUMNS
    experiment = small_runs.small("loss_terms", "total", "textures", "brick", seed=0, epochs=3)
    assert (experiment.recipe.size, experiment.recipe.epochs, len(experiment.data.test)) == (64, 3, 50)
