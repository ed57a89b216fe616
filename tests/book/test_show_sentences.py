"""Sentences of the paper with their verdicts, in words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import study_frame
from matplotlib.lines import Line2D

from book.figures import sentences as show_sentences
from kdlab.experiments.records import records
from kdlab.studies import sentences
from kdlab.studies.sentences import COMPARISONS, OPEN, TESTS, verdict

RESULTS = Path(__file__).parents[2] / "results"
BEHIND = {"small": -1.0, "equal": 0.0}

pytestmark = pytest.mark.usefixtures("plots")


def test_verdicts_in_words() -> None:
    ours = pd.concat([study_frame({"small": 1.0, "equal": 0.0}), study_frame(BEHIND, dataset="mnist")])
    printed = sentences.published_frame("cloner_size")
    margin, general = show_sentences.verdicts("cloner_size", printed, ours).data.split("\n\n> ")
    lines = margin.split("\n- ")
    assert lines[1:] == [
        "the printed figures: **not decided by the printed figures**.",
        "our runs, profile laptop: **holds**.",
        "on data sets that the sentence does not name, profile laptop: **does not hold**.",
    ]
    assert "- our runs, profile laptop: **holds in part**. Not run: CIFAR-10." in general
    nothing = show_sentences.verdicts("cloner_size", printed, ours[:0]).data
    assert nothing.count("our runs: **not decided by our runs**. Not run: MVTec AD") == 2


def test_what_is_decided_on_the_very_classes_is_said() -> None:
    ours = study_frame({"small": 1.0, "equal": 0.0})
    (comparison, _) = COMPARISONS["cloner_size"]
    ours.loc[ours["normal"] == "capsule", "auroc"] += 5 * (ours["setting"] == "small")  # too far apart to tell
    found = verdict(comparison, ours)
    here = pd.DataFrame(
        [("mvtec_ad", "small", "equal", 3.51, 1.0, 6.0, 6, "seeds", 0.01, "better", ("bottle", "capsule"))],
        columns=[*TESTS, "classes"],
    )
    text = show_sentences.sentence(comparison, found, "our runs", here)
    assert text == (
        "our runs: **not decided by our runs**. On the very classes that were run: small ahead of equal on bottle and "
        "capsule."
    )
    worse = here.assign(mean=-3.51, low=-6.0, high=-1.0, finding="worse")
    assert "run: equal ahead of small on bottle" in show_sentences.sentence(comparison, found, "our runs", worse)
    unclear = here.assign(low=-1.0, finding="open")
    assert "very classes" not in show_sentences.sentence(comparison, found, "our runs", unclear)
    decided = verdict(comparison, study_frame({"small": 1.0, "equal": 0.0}))  # for all classes: no need to say less
    assert "very classes" not in show_sentences.sentence(comparison, decided, "our runs", here)


def test_differences_are_each_pair_once_printed_and_ours() -> None:
    kept = records(RESULTS, dataset="mvtec_ad", profile="laptop")
    printed, ours = sentences.published_frame("loss_terms"), sentences.frame("loss_terms", kept)
    rows = show_sentences.differences("loss_terms", printed, ours, results=RESULTS)
    pairs = [("total", "value"), ("total", "direction"), ("direction", "value")]  # not also value over direction
    assert list(rows[["better", "worse"]].drop_duplicates().itertuples(index=False, name=None)) == pairs
    assert rows.loc[rows["dataset"] == "mvtec_ad", "figures"].tolist() == 3 * list(show_sentences.FIGURES)
    own = verdict(COMPARISONS["loss_terms"][0], ours).tests.set_index(["better", "worse"])["mean"]
    found = rows[(rows["figures"] == "ours")].set_index(["better", "worse"])["mean"]
    assert found[pairs[0]] == own[pairs[0]]
    text = show_sentences.said(rows)
    assert f"MVTec AD, ours: total over value {own[pairs[0]]:+.2f} (" in text
    assert text.count(";") == len(rows) - 1
    nothing = show_sentences.differences("bias", sentences.published_frame("bias"), ours[:0])
    assert nothing.empty
    assert show_sentences.said(nothing) == "No two settings have a figure."


def test_forest_draws_each_difference_and_an_arrow_where_an_interval_goes_on() -> None:
    ours = pd.concat([study_frame({"small": 1.0, "equal": 0.0}), study_frame(BEHIND, dataset="mnist")])
    apart = (ours["normal"] == "capsule") & (ours["dataset"] == "mvtec_ad") & (ours["setting"] == "small")
    ours.loc[apart, "auroc"] += 5
    rows = show_sentences.differences("cloner_size", sentences.published_frame("cloner_size"), ours)
    fig = show_sentences.forest(rows)
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


def test_names_are_listed() -> None:
    assert [show_sentences.listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_table_of_differences_says_what_is_too_few() -> None:
    ours = study_frame({"small": 1.0, "equal": 0.0})
    once = ours[ours["seed"] == 0].copy()
    once.loc[(once["normal"] == "bottle") & (once["setting"] == "small"), "auroc"] += 0.01
    none = sentences.published_frame("cloner_size")[:0]
    few, enough = (
        show_sentences.table(show_sentences.differences("cloner_size", none, frame)).data for frame in (once, ours)
    )
    assert "open: neither 3 seeds nor all classes" in few
    assert "2 classes" in few
    assert "neither" not in enough
    assert "better" in enough


def test_the_profile_that_says_more_is_judged() -> None:
    laptop, paper = study_frame({"small": 1.0, "equal": 0.0}), study_frame(BEHIND, profile="paper")
    (comparison, _) = COMPARISONS["cloner_size"]
    assert show_sentences.judged(comparison, pd.concat([laptop, paper]))[0] == "paper"
    few = paper[paper["normal"] == "bottle"][:2]  # one seed with both settings
    profile, found = show_sentences.judged(comparison, pd.concat([laptop, few]))
    assert (profile, found.outcome) == ("laptop", "holds")


def test_quotes_have_their_places() -> None:
    for name, comparisons in COMPARISONS.items():
        text = show_sentences.quotes(name).data
        assert all(f"> {each.quote}\n>\n> — {each.place}" in text for each in comparisons)


def test_overview_has_every_sentence_and_the_verdicts_of_the_records() -> None:
    kept = records(RESULTS, dataset="mvtec_ad", profile="laptop")
    board = show_sentences.overview(kept)
    assert board["sentence"].tolist() == [each.quote for found in COMPARISONS.values() for each in found]
    assert board.set_index("study").loc["critical_points", "printed"] == "holds"
    assert set(board.loc[board["study"].isin(["bias", "source", "localization_gap"]), "printed"]) == {""}
    for row, each in zip(board.to_dict("records"), (c for found in COMPARISONS.values() for c in found), strict=True):
        found = verdict(each, sentences.frame(row["study"], kept))
        assert row["ours"] == found.outcome
        assert row["profile"] == ("laptop" if len(found.tests) else "")
    empty = show_sentences.overview([])
    assert set(empty["ours"]) == {OPEN}
    assert set(empty["alone"]) == set(empty["profile"]) == {""}
