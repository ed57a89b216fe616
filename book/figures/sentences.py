"""Sentences of the paper with their verdicts, in words: on the page of a study, and all of them together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from book.figures.studies import title
from kdlab.experiments.records import Record
from kdlab.studies import sentences as judge
from kdlab.studies.sentences import COMPARISONS, TESTS, Comparison, Verdict, on_these, verdict
from kdlab.studies.statistics import SEEDS

PRINTED = "the printed figures"
FIGURES = {  # what a difference is of
    "printed": {"color": "0.45", "marker": "s"},
    "ours": {"color": "C0", "marker": "o"},
    "ours, on the very classes": {"color": "C1", "marker": "D"},
}


def quotes(name: str) -> Markdown:
    """The sentences of the paper that a study puts to the test, each with its place."""
    return Markdown("\n\n".join(f"> {each.quote}\n>\n> — {each.place}" for each in COMPARISONS[name]))


def sentence(comparison: Comparison, found: Verdict, who: str, here: pd.DataFrame | None = None) -> str:
    """A verdict in words, "our runs: **holds**. …".

    Args:
        here: of `sentences.on_these`: what it decides is said beside what is about all classes.
    """
    outcome = found.outcome if who != PRINTED else found.outcome.replace("our runs", who)
    decided = [] if here is None else alone_decided(found, here)
    said = f" On the very classes that were run: {'; '.join(decided)}." if decided else ""
    missing = [title(d) for d in comparison.datasets if d not in set(found.tests["dataset"])]
    return f"{who}: **{outcome}**.{said}" + (f" Not run: {', '.join(missing)}." if missing else "")


def alone_decided(found: Verdict, here: pd.DataFrame) -> list[str]:
    """What `on_these` decides and all classes leave open, such as "small ahead of equal on bottle and capsule"."""
    undecided = {_pair(row) for row in found.tests.to_dict("records") if row["finding"] == "open"}
    return [
        "{} ahead of {}".format(*(row[name] for name in order)) + f" on {listed(row['classes'])}"
        for row in here.to_dict("records")
        for order in [("better", "worse") if row["finding"] == "better" else ("worse", "better")]
        if row["finding"] != "open" and _pair(row) in undecided and len(row["classes"]) > 1
    ]


def _pair(row: Mapping[Any, Any]) -> tuple[str, str, str]:
    return row["dataset"], row["better"], row["worse"]


def listed(names: Sequence[str]) -> str:
    """ "brick, grass and gravel"; a single name alone."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


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


def differences(name: str, published: pd.DataFrame, ours: pd.DataFrame, *, results: Path | None = None) -> pd.DataFrame:
    """All that the verdicts of a study rest on, each pair of settings once, on every data set.

    Columns: figures (a key of `FIGURES`; printed ones, ours, ours of `on_these`), then those of `Verdict.tests`.
    """
    compared = [(better, worse) for each in COMPARISONS[name] for better, worse in each.pairs]
    pairs = [pair for n, pair in enumerate(compared) if {*pair} not in map(set, compared[:n])]
    each = replace(COMPARISONS[name][0], pairs=tuple(pairs), datasets=())
    profile, found = judged(each, ours)
    parts = (
        verdict(each, published).tests,
        found.tests,
        on_these(each, ours[ours["profile"] == profile], results=results),
    )
    named = [part.assign(figures=kind) for kind, part in zip(FIGURES, parts, strict=True)]
    rows = pd.concat([part for part in named if len(part)] or named[:1], ignore_index=True)[["figures", *TESTS]]
    rows["place"] = [pairs.index(pair) for pair in zip(rows["better"], rows["worse"], strict=True)]
    return rows.sort_values(["place", "dataset"], kind="stable", ignore_index=True).drop(columns="place")


def forest(rows: pd.DataFrame) -> Figure:
    """A frame of `differences`, a panel a pair: dots, intervals, and an arrow where one goes on beyond the frame."""
    wide = (rows["figures"] == "ours") & (rows["pairs"] < 4)  # over two classes an interval has no end that would fit
    limit = 1.05 * np.nanmax([rows["mean"].abs().max(), *rows.loc[~wide, ["low", "high"]].abs().max()])
    pairs = rows[["better", "worse"]].drop_duplicates().to_numpy().tolist()
    heights = [rows[rows["better"].eq(b) & rows["worse"].eq(w)]["dataset"].nunique() for b, w in pairs]
    size = (5.2, 1 + 0.4 * len(pairs) + 0.36 * sum(heights))  # narrow: a phone shows it whole
    fig, axes = plt.subplots(
        len(pairs), 1, figsize=size, sharex=True, squeeze=False, height_ratios=heights, layout="constrained"
    )
    for axis, (better, worse) in zip(axes.flat, pairs, strict=True):
        here = rows[rows["better"].eq(better) & rows["worse"].eq(worse)]
        names = here["dataset"].unique().tolist()
        axis.axvline(0, color="0.7", zorder=0)
        for (kind, style), shift in zip(FIGURES.items(), (-0.24, 0.0, 0.24), strict=True):
            part = here[here["figures"] == kind]
            place = np.array([names.index(dataset) + shift for dataset in part["dataset"]])
            low, high = (part[end].fillna(part["mean"]).clip(-limit, limit) for end in ("low", "high"))
            axis.hlines(place, low, high, color=style["color"], linewidth=1.5)
            axis.plot(part["mean"], place, linestyle="", markersize=5, label=kind, **style)
            for end, mark, edge in (("low", "<", -limit), ("high", ">", limit)):
                beyond = (part[end].abs() > limit).to_numpy()
                axis.plot(np.full(beyond.sum(), edge), place[beyond], mark, color=style["color"], markersize=4)
        axis.set(yticks=range(len(names)), yticklabels=map(title, names), ylim=(len(names) - 0.5, -0.5))
        axis.set_title(f"{better} over {worse}", fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
    axes[-1, 0].set_xlabel("difference, points of AUROC", fontsize=9)
    marks = {text: mark for axis in axes.flat for mark, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    kinds = [kind for kind in FIGURES if kind in set(rows["figures"])]
    fig.legend([marks[k] for k in kinds], kinds, loc="outside lower center", ncol=3, frameon=False, fontsize=8)
    sns.despine(fig)
    return fig


def said(rows: pd.DataFrame) -> str:
    """A frame of `differences` in words, for alt text."""
    lines = [
        f"{title(r['dataset'])}, {r['figures']}: {r['better']} over {r['worse']} {r['mean']:+.2f}"
        + (f" ({r['low']:+.2f} to {r['high']:+.2f})" if r["pairs"] > 1 else "")
        for r in rows.to_dict("records")
    ]
    return "Differences and 95 % intervals. " + "; ".join(lines) + "." if lines else "No two settings have a figure."


def table(rows: pd.DataFrame) -> HTML:
    """A frame of `differences` as a table, with how many classes or seeds each rests on, and what it decides."""
    shown = rows.assign(
        data=rows["dataset"].map(title),
        pair=rows["better"] + " over " + rows["worse"],
        over=[f"{n} {of if n > 1 else 'seed'}" for n, of in zip(rows["pairs"], rows["of"], strict=True)],
        few=(rows["finding"] == "open") & ((rows["low"] > 0) | (rows["high"] < 0)),
    )
    shown["finding"] = shown["finding"].mask(shown["few"], f"open: neither {SEEDS} seeds nor all classes")
    columns = ["pair", "data", "figures", "mean", "low", "high", "over", "p", "finding"]
    shown = shown[columns].rename(columns={"mean": "difference", "low": "from", "high": "to"})
    style = shown.style.hide().format("{:+.2f}", subset=["difference", "from", "to"], na_rep="–")
    style = style.format("{:.3f}", subset=["p"], na_rep="–").set_table_attributes('class="kd-table"')
    return HTML(style.to_html())


def overview(records: Iterable[Record]) -> pd.DataFrame:
    """Every comparison of `comparisons.COMPARISONS` with its verdicts, a row each.

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
