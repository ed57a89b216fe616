"""Sentences of the paper with their verdicts, in words: on the page of a study, and all of them together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from IPython.display import Markdown

from kdlib import verdicts as judge
from kdlib.records import Record
from kdlib.show.studies import title
from kdlib.statistics import SEEDS
from kdlib.verdicts import COMPARISONS, Comparison, Verdict, on_these, verdict

PRINTED = "the printed figures"


def quotes(name: str) -> Markdown:
    """The sentences of the paper that a study puts to the test, each with its place."""
    return Markdown("\n\n".join(f"> {each.quote}\n>\n> — {each.place}" for each in COMPARISONS[name]))


def sentence(comparison: Comparison, found: Verdict, who: str, here: pd.DataFrame | None = None) -> str:
    """A verdict and the differences behind it, "our runs: **holds**. …".

    Args:
        here: of `verdicts.on_these`, said beside what is about all classes.
    """
    outcome = found.outcome if who != PRINTED else found.outcome.replace("our runs", who)
    these = {} if here is None else {_pair(row): row for row in here.to_dict("records")}
    lines = []
    for row in found.tests.to_dict("records"):
        line = f"\n  - {title(row['dataset'])}: {row['better']} over {row['worse']} {_interval(row)}"
        line += f", {row['pairs']} {row['of'] if row['pairs'] > 1 else 'seed'}"
        if row["finding"] == "open" and (row["low"] > 0 or row["high"] < 0):
            line += f", too few for a finding: neither {SEEDS} seeds of a class nor all classes"
        alone = these.get(_pair(row))
        if alone and len(alone["classes"]) > 1:
            line += f"; on {_listed(alone['classes'])} themselves {_interval(alone)}"
        lines.append(line)
    missing = [title(d) for d in comparison.datasets if d not in set(found.tests["dataset"])]
    rest = f" Not run: {', '.join(missing)}." if missing else ""
    decided = [] if here is None else alone_decided(found, here)
    said = f" On the very classes that were run: {'; '.join(decided)}." if decided else ""
    return f"{who}: **{outcome}**.{said}{rest}{''.join(lines)}"


def alone_decided(found: Verdict, here: pd.DataFrame) -> list[str]:
    """What `on_these` decides and all classes leave open, such as "small ahead of equal on bottle and capsule"."""
    undecided = {_pair(row) for row in found.tests.to_dict("records") if row["finding"] == "open"}
    return [
        "{} ahead of {}".format(*(row[name] for name in order)) + f" on {_listed(row['classes'])}"
        for row in here.to_dict("records")
        for order in [("better", "worse") if row["finding"] == "better" else ("worse", "better")]
        if row["finding"] != "open" and _pair(row) in undecided and len(row["classes"]) > 1
    ]


def _pair(row: Mapping[Any, Any]) -> tuple[str, str, str]:
    return row["dataset"], row["better"], row["worse"]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _interval(row: Mapping[Any, Any]) -> str:
    return f"{row['mean']:+.2f}" + (f" ({row['low']:+.2f} to {row['high']:+.2f})" if row["pairs"] > 1 else "")


def judged(comparison: Comparison, ours: pd.DataFrame) -> tuple[str, Verdict]:
    """The profile whose records say most about a comparison, and their verdict: paper where no other has more pairs."""
    found = {p: verdict(comparison, ours[ours["profile"] == p]) for p in ("paper", "laptop")}
    return max(found.items(), key=lambda item: item[1].tests["pairs"].sum())  # the first where it is a draw


def verdicts(name: str, published: pd.DataFrame, ours: pd.DataFrame) -> Markdown:
    """Each comparison of a study: the verdict of the printed figures, of our records, and of other data sets."""
    blocks = []
    for each in COMPARISONS[name]:
        profile, found = judged(each, ours)
        printed = verdict(each, published)
        lines = [sentence(each, printed, PRINTED)] if len(printed.tests) else []
        who = f"our runs, profile {profile}" if len(found.tests) else "our runs"
        lines.append(sentence(each, found, who, on_these(each, ours[ours["profile"] == profile])))
        others = [d for d in ours["dataset"].unique() if each.datasets and d not in each.datasets]
        elsewhere = replace(each, datasets=tuple(others))
        profile, found = judged(elsewhere, ours) if others else (profile, verdict(each, ours[:0]))
        if len(found.tests):
            elsewhere = replace(elsewhere, datasets=())
            who, here = f"on data sets that the sentence does not name, profile {profile}", ours["profile"] == profile
            lines.append(sentence(elsewhere, found, who, on_these(elsewhere, ours[here])))
        blocks.append(f"> {each.quote} — {each.place}\n\n" + "\n".join(f"- {line}" for line in lines))
    return Markdown("\n\n".join(blocks))


def overview(records: Iterable[Record]) -> pd.DataFrame:
    """Every comparison of `verdicts.COMPARISONS` with its verdicts, a row each.

    Columns: study, sentence, place; printed: the outcome by printed figures, "" where the paper prints none; ours: by
    our records; alone: what these decide on the very classes that were run, and leave open for all; profile: theirs.
    """
    kept, rows = list(records), []
    for name, comparisons in COMPARISONS.items():
        published, ours = judge.published_frame(name), judge.frame(name, kept)
        for each in comparisons:
            printed, (profile, found) = verdict(each, published), judged(each, ours)
            alone = "; ".join(alone_decided(found, on_these(each, ours[ours["profile"] == profile])))
            outcomes = printed.outcome if len(printed.tests) else "", found.outcome
            rows.append((name, each.quote, each.place, *outcomes, alone, profile if len(found.tests) else ""))
    return pd.DataFrame(rows, columns=["study", "sentence", "place", "printed", "ours", "alone", "profile"])
