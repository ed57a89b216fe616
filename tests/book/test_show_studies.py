"""Pages of studies: pictures, tables, sentences and their verdicts in words, commands; and the pages' small runs."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import study_frame
from matplotlib.lines import Line2D

from book.figures import studies as show_studies
from book.figures.studies import Page
from kdlab import paper
from kdlab.audit.claims import CLAIMS
from kdlab.experiments.records import records
from kdlab.studies import sentences
from kdlab.studies.sentences import COMPARISONS, verdict
from kdlib.networks import CLONERS

RESULTS = Path(__file__).parents[2] / "results"
PLACE = f"MVTec AD, {show_studies.PROFILES['laptop']}"
AHEAD, BEHIND = {"small": 1.0, "equal": 0.0}, {"small": -1.0, "equal": 0.0}

pytestmark = pytest.mark.usefixtures("plots")


def page(*frames: pd.DataFrame) -> Page:
    return Page("cloner_size", sentences.published_frame("cloner_size"), pd.concat(frames, ignore_index=True))


def many(gains: dict[str, float]) -> pd.DataFrame:
    """`study_frame` with all fifteen categories."""
    frame = study_frame(gains)
    one = frame[frame["normal"] == "bottle"]
    return pd.concat([one.assign(normal=normal) for normal in paper.normals("mvtec_ad")], ignore_index=True)


def test_panels_are_data_sets_with_two_settings_or_more() -> None:
    ours = pd.concat([study_frame({"small": 1.0, "equal": 0.0}), study_frame({"small": 1.0}, dataset="mnist")])
    fig = show_studies.panels(ours, ["tiny", "small", "equal"])
    assert [axis.get_title().replace("\n", " ") for axis in fig.axes] == [PLACE]
    assert [tick.get_text() for tick in fig.axes[0].get_xticklabels()] == ["small", "equal"]
    means = fig.axes[0].lines[-1].get_ydata()
    assert np.asarray(means).tolist() == pytest.approx([91.01, 90.0])
    assert show_studies.said(ours, ["small", "equal"]) == f"{PLACE}: small 91.01, equal 90.00 over 2 classes."
    lacks = ours[~((ours["normal"] == "capsule") & (ours["setting"] == "equal"))]
    assert show_studies.said(lacks, ["small", "equal"]).endswith("over 1 classes."), "not in the mean"


def test_table_and_its_dashes() -> None:
    ours = study_frame({"small": 1.0, "equal": 0.0})
    text = show_studies.table(ours[ours["normal"] == "bottle"][:-1], ["tiny", "small", "equal"]).data
    assert ">91.01 ± 0.01</td>" in text
    assert re.search(r">90.00 ± 0.00</td>\s*<td[^>]*>3</td>", text)
    assert "tiny" not in text
    three = study_frame({"small": 1.0, "equal": 0.0, "tiny": 0.5})
    lacks = three[~((three["normal"] == "capsule") & (three["setting"] == "equal"))]
    assert ">–</td>" in show_studies.table(lacks, ["small", "equal", "tiny"]).data
    text = show_studies.table(lacks, ["small", "equal"]).data
    assert "bottle" in text
    assert ">capsule</td>" not in text  # one setting left: nothing to compare
    apart = ours[(ours["normal"] == "capsule") == (ours["setting"] == "equal")]  # no class has both
    assert ">capsule</td>" in show_studies.table(apart, ["small", "equal"]).data


def test_missing_experiments_and_their_commands() -> None:
    ours = study_frame(dict.fromkeys(CLONERS, 0.0))
    text = page(ours).missing().data
    assert "MVTec AD 24 of 24;" in text
    assert "Fashion-MNIST 0 of 64" in text
    assert "python -m kdlab run --study cloner_size --dataset fashion_mnist" in text
    assert "--dataset mvtec_ad" not in text
    released = page(ours.assign(weights="vgg-release")).missing().data
    assert "MVTec AD 24 of 24, measured with the release" in released
    assert "--dataset mvtec_ad" in released


def test_what_was_measured_with_the_release_says_so() -> None:
    ours = study_frame(AHEAD).assign(weights="vgg-release")
    told = "measured with the release"
    (axis,) = [axis for axis in show_studies.panels(ours, list(AHEAD)).axes if axis.axison]
    assert told in axis.get_title().replace("\n", " ")
    assert told in show_studies.said(ours, list(AHEAD))
    assert told in show_studies.table(ours, list(AHEAD)).data
    for text in (page(ours).finding().data, page(ours).verdicts().data, page(ours).forest().data):
        assert told in text
        assert told not in text.replace(told, "", text.count(told))
    assert told not in page(study_frame(AHEAD)).verdicts().data


def test_curves_go_by_their_numbers() -> None:
    numbers = pd.Series({"equal": 10.0, "small": 1.0})
    fig = show_studies.curves(study_frame({"equal": 0.0, "small": 1.0}), [("size", numbers), ("cost", 2 * numbers)])
    line = fig.axes[1].lines[0]
    assert np.asarray(line.get_xdata()).tolist() == [2, 20]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([91.01, 90])


def test_verdicts_in_words() -> None:
    for name, comparisons in COMPARISONS.items():
        text = Page.of(name, []).quotes().data
        assert all(f"> {each.quote}\n>\n> — {each.place}" in text for each in comparisons)
    ours = page(study_frame(AHEAD), study_frame(BEHIND, dataset="mnist"))
    margin, general = ours.verdicts().data.split("\n\n> ")
    assert margin.split("\n- ")[1:] == [
        "the printed numbers: **contradicted in part**.",
        "our runs, profile laptop: **not decided (2 of 15)**.",
        "data sets that the sentence does not name, profile laptop: **not decided (2 of 10)**.",
    ]
    assert "- our runs, profile laptop: **not decided (2 of 15)**. Not run: CIFAR-10." in general
    nothing = page(study_frame(AHEAD)[:0])
    assert nothing.verdicts().data.count("our runs: **not decided**. Not run: MVTec AD") == 2
    whole = page(many(AHEAD)).finding().data
    assert "the printed numbers: **contradicted in part**; our runs, profile laptop: **contradicted in part**." in whole
    assert "small over equal +1.0 on MVTec AD" in whole
    assert "largest" not in nothing.finding().data


def test_differences_are_each_pair_once_printed_and_ours() -> None:
    kept = records(RESULTS, dataset="mvtec_ad", profile="laptop")
    loss = Page.of("loss_terms", kept)
    rows = loss.differences()
    pairs = [("total", "value"), ("total", "direction"), ("direction", "value")]  # not also value over direction
    assert rows["pair"].unique().tolist() == [f"{better} over {worse}" for better, worse in pairs]
    assert rows.loc[rows["dataset"] == "mvtec_ad", "figures"].tolist() == 3 * list(show_studies.KINDS)
    own = verdict(COMPARISONS["loss_terms"][0], loss.ours).tests.set_index(["better", "worse"])["mean"]
    found = rows[(rows["figures"] == "ours")].set_index(["better", "worse"])["mean"]
    assert found[pairs[0]] == own[pairs[0]]
    text = show_studies.told(rows)
    assert f"MVTec AD, ours: total over value {own[pairs[0]]:+.2f} (" in text
    assert text.count(";") == len(rows) - 1
    (one,) = loss.differences([("lambda = 10", "total")]).query("figures == 'ours'").to_dict("records")
    assert (one["better"], one["worse"], one["dataset"]) == ("lambda = 10", "total", "mvtec_ad")
    nothing = Page.of("bias", []).differences()
    assert nothing.empty
    assert [show_studies.listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_forest_draws_each_difference_and_an_arrow_where_an_interval_goes_on() -> None:
    ours = pd.concat([study_frame(AHEAD), study_frame(BEHIND, dataset="mnist")], ignore_index=True)
    apart = (ours["normal"] == "capsule") & (ours["dataset"] == "mvtec_ad") & (ours["setting"] == "small")
    ours.loc[apart, "auroc"] += 5
    rows = page(ours).differences()
    fig = show_studies.forest(rows)
    (axis,) = fig.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["CIFAR-10", "MNIST", "MVTec AD"]
    kinds = set(rows["figures"])
    drawn = {kind: [x for line in axis.lines if line.get_label() == kind for x in points(line)] for kind in kinds}
    assert drawn == {kind: pytest.approx(group["mean"].tolist()) for kind, group in rows.groupby("figures")}
    assert rows["high"].max() > axis.get_xlim()[1]
    assert sum(len(points(line)) for line in axis.lines if line.get_marker() == ">") == 1
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["printed", "ours"]


def points(line: Line2D) -> list[float]:
    return [float(x) for x in np.asarray(line.get_xdata())]


def test_table_of_differences_says_on_how_many_units_it_rests() -> None:
    few, enough = (
        show_studies.evidence(rows[rows["figures"] != "printed"]).data
        for rows in (page(frame).differences() for frame in (study_frame(AHEAD), many(AHEAD)))
    )
    assert "2 of 15" in few
    assert "too few" in few
    assert "15 of 15" in enough
    assert "p &lt; 0.001" in enough or "p < 0.001" in enough
    assert "better" in enough


def test_the_profile_that_says_more_is_judged() -> None:
    laptop, paper = study_frame({"small": 1.0, "equal": 0.0}), study_frame(BEHIND, profile="paper")
    (comparison, _) = COMPARISONS["cloner_size"]
    assert show_studies.judged(comparison, pd.concat([laptop, paper]))[0] == "paper"
    few = paper[paper["normal"] == "bottle"][:2]  # one seed with both settings
    profile, found, which = show_studies.judged(comparison, pd.concat([laptop, few]))
    assert (profile, str(found), which) == ("laptop", "not decided (2 of 15)", "laptop")


def test_overview_has_every_sentence_and_the_verdicts_of_the_records() -> None:
    kept = records(RESULTS, dataset="mvtec_ad", profile="laptop")
    board = show_studies.overview(kept)
    studied = board[board["page"] != "paper_audit"]
    assert len(board) - len(studied) == len(CLAIMS)
    assert studied["sentence"].tolist() == [each.quote for found in COMPARISONS.values() for each in found]
    first = studied.groupby("page").first()
    assert first.loc["ablations/critical_points", "printed"] == "holds"
    assert set(first.loc[["ablations/bias", "ablations/source", "ablations/localization_gap"], "printed"]) == {""}
    for row, each in zip(studied.to_dict("records"), (c for found in COMPARISONS.values() for c in found), strict=True):
        found = verdict(each, sentences.frame(row["page"].removeprefix("ablations/"), kept))
        assert row["ours"] == str(found)
        assert row["profile"] == ("laptop, measured with the release" if len(found.tests) else "")
    html = show_studies.board(board).data
    assert html.count("<tr") == len(board) + 1
    assert 'href="../../notebooks/ablations/bias.html"' in html
    empty = show_studies.overview([])
    assert set(empty["ours"]) == {"not decided", ""}
    assert set(empty["profile"]) == {""}


def test_bars_say_their_values() -> None:
    fig = show_studies.bars(pd.DataFrame({"value": [72.25, 40.0], "direction": [91.0, 50.0]}, index=["a", "b"]))
    assert [t.get_text() for t in fig.axes[0].texts] == ["72.2", "40", "91", "50"]
