"""Pages of studies: tables, sentences, commands; and the small runs of the pages."""

import numpy as np
import pandas as pd
import pytest

from kdlib import Detector, live, verdicts
from kdlib.activations import prepare
from kdlib.data import Split
from kdlib.experiment import Experiment
from kdlib.losses import discrepancy
from kdlib.networks import CLONERS, Cloner, parameter_count
from kdlib.show import studies as show_studies
from kdlib.verdicts import COLUMNS, COMPARISONS, TESTS, verdict

RECORD = {"id": "none", "experiment": {"dataset": "none"}}  # without scores beside it

pytestmark = pytest.mark.usefixtures("plots")


def frame(gains: dict[str, float], profile: str = "laptop", dataset: str = "mvtec_ad") -> pd.DataFrame:
    """Three seeds of two categories: 90 and what a setting is ahead by."""
    rows = [
        (dataset, normal, seed, profile, setting, "image_auroc", 90 + gain + 0.01 * seed * (setting == "small"), made)
        for normal in ("bottle", "capsule")
        for seed in range(3)
        for setting, gain in gains.items()
        for made in [Experiment.of(dataset, normal, seed=seed, profile=profile, cloner=setting)]
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "experiment"]).assign(record=[RECORD] * len(rows))


def test_panels_are_data_sets_with_two_settings_or_more() -> None:
    ours = pd.concat([frame({"small": 1.0, "equal": 0.0}), frame({"small": 1.0}, dataset="mnist")])
    fig = show_studies.panels(ours, ["tiny", "small", "equal"])
    assert [axis.get_title().split("\n")[0] for axis in fig.axes] == ["MVTec AD"]
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["small", "equal"]
    means = fig.axes[0].lines[-1].get_ydata()
    assert np.asarray(means).tolist() == pytest.approx([91.01, 90.0])
    assert show_studies.said(ours, ["small", "equal"]) == "MVTec AD, laptop: small 91.01, equal 90.00 over 2 classes."
    assert show_studies.said(ours[:0], ["small"]) == "No figure yet."


def test_a_class_without_a_setting_is_not_in_the_mean() -> None:
    ours = frame({"small": 1.0, "equal": 0.0})
    ours = ours[~((ours["normal"] == "capsule") & (ours["setting"] == "equal"))]
    assert show_studies.said(ours, ["small", "equal"]).endswith("over 1 classes.")


def test_table_and_its_dashes() -> None:
    ours = frame({"small": 1.0, "equal": 0.0})
    text = show_studies.table(ours[ours["normal"] == "bottle"][:-1], ["tiny", "small", "equal"]).data
    assert "<td>91.01 ± 0.01</td>" in text
    assert "<td>90.00 ± 0.00</td>\n      <td>3</td>" in text
    assert "tiny" not in text
    three = frame({"small": 1.0, "equal": 0.0, "tiny": 0.5})
    lacks = three[~((three["normal"] == "capsule") & (three["setting"] == "equal"))]
    assert "<td>–</td>" in show_studies.table(lacks, ["small", "equal", "tiny"]).data
    text = show_studies.table(lacks, ["small", "equal"]).data
    assert "bottle" in text
    assert "<td>capsule</td>" not in text  # one setting left: nothing to compare
    apart = ours[(ours["normal"] == "capsule") == (ours["setting"] == "equal")]  # no class has both
    assert "<td>capsule</td>" in show_studies.table(apart, ["small", "equal"]).data
    assert "Not run" in show_studies.table(ours[:0], ["small"]).data


def test_verdicts_in_words() -> None:
    ours = pd.concat([frame({"small": 1.0, "equal": 0.0}), frame({"small": -1.0, "equal": 0.0}, dataset="mnist")])
    printed = verdicts.published_frame("cloner_size")
    margin, general = show_studies.verdicts("cloner_size", printed, ours).data.split("\n\n> ")
    assert (
        "- the printed figures: **not decided by the printed figures**.\n  - MVTec AD: small over equal +2.17" in margin
    )
    assert "- our runs, profile laptop: **holds**.\n  - MVTec AD: small over equal +1.01" in margin
    assert "- our runs, profile laptop: **holds in part**. Not run: CIFAR-10." in general
    other = "on data sets that the sentence does not name, profile laptop: **does not hold**.\n  - MNIST"
    assert other in margin
    nothing = show_studies.verdicts("cloner_size", printed, ours[:0]).data
    assert nothing.count("our runs: **not decided by our runs**. Not run: MVTec AD") == 2


def test_what_is_decided_on_the_very_classes_is_said() -> None:
    ours = frame({"small": 1.0, "equal": 0.0})
    (comparison, _) = COMPARISONS["cloner_size"]
    ours.loc[ours["normal"] == "capsule", "auroc"] += 5 * (ours["setting"] == "small")  # too far apart to tell
    found = verdict(comparison, ours)
    here = pd.DataFrame(
        [("mvtec_ad", "small", "equal", 3.51, 1.0, 6.0, 6, "seeds", 0.01, "better", ("bottle", "capsule"))],
        columns=[*TESTS, "classes"],
    )
    text = show_studies.sentence(comparison, found, "our runs", here)
    assert text.startswith(
        "our runs: **not decided by our runs**. On the very classes that were run: small ahead of equal on bottle and "
        "capsule.\n  - MVTec AD: small over equal +3.51 (-28.26 to +35.28), 2 classes; on bottle and capsule "
        "themselves +3.51 (+1.00 to +6.00)"
    )
    worse = here.assign(mean=-3.51, low=-6.0, high=-1.0, finding="worse")
    assert "run: equal ahead of small on bottle" in show_studies.sentence(comparison, found, "our runs", worse)
    unclear = here.assign(low=-1.0, finding="open")
    text = show_studies.sentence(comparison, found, "our runs", unclear)
    assert "very classes" not in text
    assert "themselves +3.51 (-1.00 to +6.00)" in text


def test_the_profile_that_says_more_is_judged() -> None:
    laptop, paper = frame({"small": 1.0, "equal": 0.0}), frame({"small": -1.0, "equal": 0.0}, profile="paper")
    (comparison, _) = COMPARISONS["cloner_size"]
    assert show_studies.judged(comparison, pd.concat([laptop, paper]))[0] == "paper"
    few = paper[paper["normal"] == "bottle"][:2]  # one seed with both settings
    profile, found = show_studies.judged(comparison, pd.concat([laptop, few]))
    assert (profile, found.outcome) == ("laptop", "holds")


def test_missing_experiments_and_their_commands() -> None:
    ours = frame(dict.fromkeys(CLONERS, 0.0))
    text = show_studies.missing("cloner_size", ours).data
    assert "MVTec AD 24 of 24" in text
    assert "Fashion-MNIST 0 of 64" in text
    assert "python -m kdlib run --study cloner_size --dataset fashion_mnist" in text
    assert "--dataset mvtec_ad" not in text


def test_curves_go_by_their_numbers() -> None:
    numbers = pd.Series({"equal": 10.0, "small": 1.0})
    fig = show_studies.curves(frame({"equal": 0.0, "small": 1.0}), [("size", numbers), ("cost", 2 * numbers)])
    line = fig.axes[1].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == [2, 20]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([91.01, 90])


def test_bars_say_their_values() -> None:
    fig = show_studies.bars(pd.DataFrame({"value": [72.25, 40.0], "direction": [91.0, 50.0]}, index=["a", "b"]))
    assert [t.get_text() for t in fig.axes[0].texts] == ["72.2", "40", "91", "50"]


def test_quotes_have_their_places() -> None:
    for name, comparisons in COMPARISONS.items():
        text = show_studies.quotes(name).data
        assert all(f"> {each.quote}\n>\n> — {each.place}" in text for each in comparisons)


def test_costs_are_those_of_the_convolutions() -> None:
    costs = live.costs(size=64)
    assert list(costs.index) == list(CLONERS)
    inputs, total = 3, 0
    for number, block in enumerate(CLONERS["tiny"]):
        for outputs in block:
            total += 9 * inputs * outputs * (64 // 2**number) ** 2
            inputs = outputs
    assert costs.loc["tiny", "gmac"] == pytest.approx(total / 1e9)
    assert costs.loc["tiny", "parameters"] == parameter_count(Cloner("tiny"))


def test_terms_add_up_to_the_score(fitted: Detector, digits: Split) -> None:
    value, direction = live.terms(fitted, digits.test)
    np.testing.assert_allclose(value + fitted.training.lam * direction, fitted.score(digits.test), rtol=1e-4)
    one = live.terms(fitted, digits.test, ["pool3"])
    x = prepare(digits.test.pixels(fitted.recipe.size), fitted.recipe, fitted.device)
    expected = discrepancy(fitted.source(x), fitted.cloner(x), lam=2.0, points=["pool3"])
    np.testing.assert_allclose(one[0] + 2 * one[1], expected.detach(), rtol=1e-4)


@pytest.mark.slow
def test_a_study_live() -> None:
    run = live.studied("loss_terms", [("digits", "0")], ["value", "direction"], seeds=[0, 1], epochs=2)
    assert run["setting"].tolist() == ["value", "direction"] * 2
    assert run["lam"].tolist() == [0, np.inf] * 2
    assert run["auroc"].between(0, 100).all()
    assert (run["bad"] > run["good"])[run["setting"] == "direction"].all()
    assert list(run.columns[: len(COLUMNS)]) == COLUMNS
    experiment = live.small("loss_terms", "total", "textures", "brick", seed=0, epochs=3)
    assert (experiment.recipe.size, experiment.recipe.epochs, len(experiment.data.test)) == (64, 3, 50)
