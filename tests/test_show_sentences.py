"""Sentences of the paper with their verdicts, in words."""

from pathlib import Path

import pandas as pd
from conftest import study_frame

from kdlib import verdicts
from kdlib.records import records
from kdlib.show import sentences as show_sentences
from kdlib.verdicts import COMPARISONS, OPEN, TESTS, verdict

RESULTS = Path(__file__).parent.parent / "results"


def test_verdicts_in_words() -> None:
    ours = pd.concat(
        [study_frame({"small": 1.0, "equal": 0.0}), study_frame({"small": -1.0, "equal": 0.0}, dataset="mnist")]
    )
    printed = verdicts.published_frame("cloner_size")
    margin, general = show_sentences.verdicts("cloner_size", printed, ours).data.split("\n\n> ")
    assert (
        "- the printed figures: **not decided by the printed figures**.\n  - MVTec AD: small over equal +2.17" in margin
    )
    assert "- our runs, profile laptop: **holds**.\n  - MVTec AD: small over equal +1.01" in margin
    assert "- our runs, profile laptop: **holds in part**. Not run: CIFAR-10." in general
    other = "on data sets that the sentence does not name, profile laptop: **does not hold**.\n  - MNIST"
    assert other in margin
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
    assert text.startswith(
        "our runs: **not decided by our runs**. On the very classes that were run: small ahead of equal on bottle and "
        "capsule.\n  - MVTec AD: small over equal +3.51 (-28.26 to +35.28), 2 classes; on bottle and capsule "
        "themselves +3.51 (+1.00 to +6.00)"
    )
    worse = here.assign(mean=-3.51, low=-6.0, high=-1.0, finding="worse")
    assert "run: equal ahead of small on bottle" in show_sentences.sentence(comparison, found, "our runs", worse)
    unclear = here.assign(low=-1.0, finding="open")
    text = show_sentences.sentence(comparison, found, "our runs", unclear)
    assert "very classes" not in text
    assert "themselves +3.51 (-1.00 to +6.00)" in text


def test_too_few_trainings_are_said() -> None:
    ours = study_frame({"small": 1.0, "equal": 0.0})
    once = ours[ours["seed"] == 0].assign(
        auroc=lambda f: f["auroc"] + 0.1 * (f["normal"] + f["setting"] == "bottlesmall")
    )
    (comparison, _) = COMPARISONS["cloner_size"]
    few = "2 classes, too few for a finding: neither 3 seeds of a class nor all classes"
    assert few in show_sentences.sentence(comparison, verdict(comparison, once), "our runs")
    assert "too few" not in show_sentences.sentence(comparison, verdict(comparison, ours), "our runs")


def test_the_profile_that_says_more_is_judged() -> None:
    laptop, paper = (
        study_frame({"small": 1.0, "equal": 0.0}),
        study_frame({"small": -1.0, "equal": 0.0}, profile="paper"),
    )
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
        found = verdict(each, verdicts.frame(row["study"], kept))
        assert row["ours"] == found.outcome
        assert row["profile"] == ("laptop" if len(found.tests) else "")
    empty = show_sentences.overview([])
    assert set(empty["ours"]) == {OPEN}
    assert set(empty["alone"]) == set(empty["profile"]) == {""}
