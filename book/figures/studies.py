"""Pages of studies: sentences of the paper, what it prints, what our records say, in pictures, tables and verdicts."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from itertools import product
from textwrap import fill, shorten
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from book.figures import figure
from book.figures.tables import few, linked, numbers, plain
from kdlab.audit.claims import claims
from kdlab.experiments.records import Record, records
from kdlab.presets import VGG16S
from kdlab.studies import sentences as judge
from kdlab.studies.catalogue import study
from kdlab.studies.one_factor import weights_of
from kdlab.studies.sentences import COMPARISONS, TESTS, Comparison, Verdict, verdict
from kdlab.studies.statistics import UNITS, p_text
from kdlib.data import ABOUT

PROFILES = {"published": "printed", "laptop": "laptop (a fifth of the epochs)", "paper": "full protocol"}
SOURCES = {VGG16S[1]: "measured with the release"}  # the paper's own source needs no word
PRINTED = "the printed numbers"
LIVE = {  # on what a page's own small run is made
    "smoke": [("digits", "8")],
    "laptop": [("digits", "8"), ("textures", "brick")],
    "paper": [("digits", "8"), ("digits", "3"), ("textures", "brick"), ("textures", "gravel")],
}
KINDS = {  # what a difference is of
    "printed": {"color": "0.45", "marker": "s"},
    "ours": {"color": "C0", "marker": "o"},
}


def read(**wanted: Any) -> list[Record]:
    """`records`, without a word of those that are left out: the scoreboard lists them."""
    with warnings.catch_warnings(action="ignore"):
        return records(**wanted)


def one_source(records: Iterable[Record]) -> list[Record]:
    """Of each data set and profile the records with the paper's source where there are any, else with the release."""
    kept = list(records)
    places = [(r["experiment"]["dataset"], r["experiment"]["profile"], weights_of(r)) for r in kept]
    wanted = {(*place, next(w for w in VGG16S if (*place, w) in places)) for *place, w in places if w in VGG16S}
    return [record for record, place in zip(kept, places, strict=True) if place in wanted]


def title(dataset: str) -> str:
    """What a data set is called on a page."""
    return ABOUT[dataset].title if dataset in ABOUT else dataset


def listed(names: Sequence[str]) -> str:
    """ "brick, grass and gravel"; a single name alone."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def sources(rows: pd.DataFrame) -> list[str]:
    """What is to be said of the source of rows of `sentences.frame`; nothing where it is the paper's."""
    return [SOURCES[name] for name in rows.get("weights", pd.Series(dtype=str)).unique() if name in SOURCES]


@dataclass
class Page:
    """A study as its page tells it: a method is a cell. Frames as of `sentences.frame`; ``metric`` of the pictures."""

    name: str
    printed: pd.DataFrame
    ours: pd.DataFrame
    metric: str = "image_auroc"

    @classmethod
    def of(cls, name: str, kept: Iterable[Record] | None = None, **settings: Any) -> "Page":
        """From records; without any given, from all of the results folder."""
        return cls(name, judge.published_frame(name), judge.frame(name, read() if kept is None else kept), **settings)

    @cached_property
    def shown(self) -> pd.DataFrame:
        """The rows of ours that pictures show."""
        return self.ours[self.ours["metric"] == self.metric]

    def judgements(self) -> Iterator[tuple[Comparison, Verdict, Verdict, str]]:
        """Each sentence, the verdict of the printed numbers, then that of our records and of which, as of `judged`."""
        for each in COMPARISONS[self.name]:
            _, found, which = judged(each, self.ours)
            yield each, verdict(each, self.printed), found, which

    def finding(self) -> Markdown:
        """The verdicts in a few words, and the largest differences that are decided: for the top of the page."""
        lines = []
        decided: dict[tuple[frozenset[str], str], dict[Any, Any]] = {}  # one turned round is the same
        for each, printed, found, which in self.judgements():
            parts = [f"{PRINTED}: **{printed}**"] if len(printed.tests) else []
            parts.append(f"{runs('our runs', which)}: **{found}**")
            lines.append(f"- *{shorten(each.quote, 70, placeholder=' …')}* ({each.place}) {'; '.join(parts)}.")
            for row in found.tests[found.tests["finding"] != "open"].to_dict("records"):
                decided.setdefault((frozenset({row["better"], row["worse"]}), row["dataset"]), row)
        largest = sorted(decided.values(), key=lambda row: abs(row["mean"]), reverse=True)[:3]
        said = "; ".join(f"{r['better']} over {r['worse']} {r['mean']:+.1f} on {title(r['dataset'])}" for r in largest)
        told = f"The largest differences that our runs decide, in points of AUROC: {said}." if largest else ""
        return Markdown("\n".join(["**The finding**", "", *lines, "", told]))

    def quotes(self) -> Markdown:
        """The sentences of the paper that the study puts to the test, each with its place."""
        return Markdown("\n\n".join(f"> {each.quote}\n>\n> — {each.place}" for each in COMPARISONS[self.name]))

    def panels(self, labels: Sequence[str], caption: str, *, printed: bool = False) -> HTML | Markdown:
        """`panels` of our numbers, or of the printed ones, as a figure; ours with their `table` folded below."""
        frame = self.printed if printed else self.shown
        if not compared(frame, labels):
            return Markdown("*Not run: no two settings have a record.*")
        drawn = figure(panels(frame, labels), alt=f"AUROC by setting. {said(frame, labels)}", caption=caption)
        return drawn if printed else HTML(drawn.data + table(frame, labels).data)

    def curves(self, axes: Sequence[tuple[str, pd.Series]], caption: str) -> HTML | Markdown:
        """`curves` of our numbers as a figure."""
        labels = list(axes[0][1].index)
        if not compared(self.shown, labels):
            return Markdown("*Not run: no two settings have a record.*")
        alt = f"AUROC against {' and '.join(name for name, _ in axes)}. {said(self.shown, labels)}"
        return figure(curves(self.shown, axes), alt=alt, caption=caption)

    def missing(self) -> Markdown:
        """How much of the study has records of one source, data set by data set, and the commands that run the rest."""
        wanted: dict[str, set[tuple[str, int, str, str]]] = {}
        for cell in study(self.name).cells:
            here = product(cell.normals, cell.seeds, [cell.profile], study(self.name).labels(cell.dataset))
            wanted[cell.dataset] = wanted.get(cell.dataset, set()) | set(here)
        lines, commands = [], []
        for dataset, cells in wanted.items():
            rows = self.ours[self.ours["dataset"] == dataset]
            done = cells & set(rows[["normal", "seed", "profile", "setting"]].itertuples(index=False, name=None))
            lines.append(", ".join([f"{title(dataset)} {len(done)} of {len(cells)}", *sources(rows)]))
            if len(done) < len(cells) or sources(rows):
                commands.append(f"python -m kdlab run --study {self.name} --dataset {dataset}")
        code = "\n\nTo run the rest, with the paper's source:\n\n```bash\n" + "\n".join(commands) + "\n```"
        return Markdown(f"Experiments of this study with a record: {'; '.join(lines)}." + code * bool(commands))

    def differences(self, pairs: Sequence[tuple[str, str]] = (), metric: str | None = None) -> pd.DataFrame:
        """Pairs of settings, by default all that the verdicts rest on, each once, on every data set.

        Columns: figures (a key of `KINDS`), then those of `Verdict.tests`, pair (in words) and source (in words; of
        ours). Pairs of one's own take of each data set the profile that says most.
        """
        chosen: dict[frozenset[str], tuple[str, str]] = {}
        for pair in pairs or [pair for each in COMPARISONS.get(self.name, ()) for pair in each.pairs]:
            chosen.setdefault(frozenset(pair), pair)
        judge_by = metric or (self.metric if pairs else COMPARISONS[self.name][0].metric)
        each = Comparison(quote="", place="", pairs=tuple(chosen.values()), metric=judge_by)
        profiles = dict.fromkeys(self.ours["dataset"], judged(each, self.ours)[0])
        if pairs:
            profiles = {d: judged(replace(each, datasets=(d,)), self.ours)[0] for d in profiles}
        here = self.ours[self.ours["profile"] == self.ours["dataset"].map(profiles)]
        words = {d: ", ".join([profiles[d], *sources(part)]) for d, part in here.groupby("dataset")}
        printed, ours = (verdict(each, frame).tests for frame in (self.printed, here))
        printed, ours = printed.assign(figures="printed", source=""), ours.assign(figures="ours")
        rows = pd.concat([printed, ours.assign(source=ours["dataset"].map(words))]).infer_objects()
        rows["pair"] = pd.Categorical(
            rows["better"] + " over " + rows["worse"], [f"{a} over {b}" for a, b in each.pairs]
        )
        rows = rows.sort_values(["pair", "dataset"], kind="stable", ignore_index=True)
        return rows[["figures", *TESTS, "pair", "source"]]

    def forest(self, pairs: Sequence[tuple[str, str]] = (), metric: str | None = None) -> HTML | Markdown:
        """`forest` of `differences` as a figure, with their table folded below."""
        rows = self.differences(pairs, metric)
        if rows.empty:
            return Markdown("*Not run: no two settings have a number.*")
        caption = "Differences, 95 % intervals. Positive: the first setting is better; an arrow marks a cut interval."
        words = sorted({word for word in rows["source"] if word})
        caption += f" Ours: {'; '.join(words)}." if words else ""
        return HTML(figure(forest(rows), alt=told(rows), caption=caption).data + evidence(rows).data)

    def verdicts(self) -> Markdown:
        """Each sentence with the verdicts of the printed numbers, of our records, and of other data sets."""
        blocks = []
        for each, printed, found, which in self.judgements():
            lines = [sentence(each, printed, PRINTED)] if len(printed.tests) else []
            lines.append(sentence(each, found, runs("our runs", which)))
            if others := [d for d in self.ours["dataset"].unique() if each.datasets and d not in each.datasets]:
                _, found, which = judged(replace(each, datasets=tuple(others)), self.ours)
                who = runs("data sets that the sentence does not name", which)
                lines += [sentence(replace(each, datasets=()), found, who)] if len(found.tests) else []
            blocks.append(f"> {each.quote} — {each.place}\n\n" + "\n".join(f"- {line}" for line in lines))
        return Markdown("\n\n".join(blocks))


def compared(frame: pd.DataFrame, labels: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The rows of each data set and profile where two or more of the settings have numbers, by its name in words."""
    groups = frame[frame["setting"].isin(labels)].groupby(["dataset", "profile"], sort=False)
    return {
        ", ".join([title(str(dataset)), PROFILES[str(profile)], *sources(part)]): part
        for (dataset, profile), part in groups
        if part["setting"].nunique() > 1
    }


def panels(frame: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """AUROC by setting, a panel per data set and profile; classes with bars over seeds, their mean in black.

    Args:
        frame: as of `sentences.frame`, of one metric; a class counts in a panel where it has all settings shown there.
        labels: settings, in their order on the axis; those without numbers in a panel are left out of it.
    """
    parts = compared(frame, labels)
    columns, rows = min(2, len(parts)), -(-len(parts) // 2)
    fig, axes = plt.subplots(rows, columns, figsize=(3.7 * columns, 2.9 * rows), squeeze=False, layout="tight")
    for axis in axes.flat[len(parts) :]:
        axis.axis("off")
    for axis, (name, part) in zip(axes.flat, parts.items(), strict=False):
        wide = _by_setting(part, labels)
        spread = part.pivot_table("auroc", "normal", "setting", aggfunc="std").reindex_like(wide).fillna(0)
        place, many = np.arange(len(wide.columns)), len(wide) > 3
        for number, normal in enumerate(wide.index):
            style = {"color": "0.7" if many else f"C{number}", "linewidth": 0.8, "markersize": 3}
            axis.errorbar(place, wide.loc[normal], yerr=spread.loc[normal], marker="o", **style)
            if not many:
                end = place[-1], wide.loc[normal].iloc[-1]
                axis.annotate(str(normal), end, (5, -3), textcoords="offset points", fontsize=7, color=style["color"])
        axis.plot(place, wide.mean(), "D-", color="black", markersize=5, zorder=3)
        axis.set_xticks(place, [fill(label, 12) for label in wide.columns])
        axis.set_title(fill(name, 40), fontsize=9)
        axis.tick_params(labelsize=8 if len(place) < 4 else 7)
        axis.grid(axis="y", alpha=0.4)
        axis.margins(x=0.15)
    for axis in axes[:, 0]:
        axis.set_ylabel("image AUROC, %", fontsize=9)
    return fig


def said(frame: pd.DataFrame, labels: Sequence[str]) -> str:
    """The means of `panels` in words, for alt text."""
    lines = []
    for name, part in compared(frame, labels).items():
        wide = _by_setting(part, labels)
        means = ", ".join(f"{setting} {value:.2f}" for setting, value in wide.mean().items())
        lines.append(f"{name}: {means} over {len(wide)} classes")
    return "; ".join(lines) + "."


def table(frame: pd.DataFrame, labels: Sequence[str]) -> HTML:
    """Mean ± standard deviation over seeds, a row per class, a column per setting, then seeds; a dash is not run.

    A class with one setting compares nothing: it has a row only where no class has more. A long table is folded.
    """
    parts = [part.sort_values("normal").assign(data=name) for name, part in compared(frame, labels).items()]
    rows, places = pd.concat(parts), ["data", "normal"]
    groups = rows.groupby([*places, "setting"], sort=False)["auroc"]
    cells = groups.agg(lambda a: f"{a.mean():.2f}" + (f" ± {a.std():.2f}" if len(a) > 1 else "")).unstack()
    cells = cells[[label for label in labels if label in cells]]
    several = cells.notna().sum(axis=1) > 1
    cells = (cells[several] if several.any() else cells).rename_axis(columns=None)
    cells["seeds"] = rows.groupby(places)["seed"].nunique()
    rows = rows.sort_values("setting", key=lambda names: names.map(list(labels).index))
    behind = rows.groupby(places)["experiment"].agg(tuple)[cells.index]
    return numbers(cells.reset_index(), behind.tolist(), index=False, limit=5)


def curves(frame: pd.DataFrame, axes: Sequence[tuple[str, pd.Series]]) -> Figure:
    """Mean AUROC against a number behind each setting, on a logarithmic scale: a panel per axis, a line per data set.

    Args:
        axes: what the number is, and its value by setting, all above 0. Bars are standard errors over classes, or
            seeds of the only one, of what each has above its own mean over settings.
    """
    fig, panels = plt.subplots(
        1, len(axes), figsize=(2 + 3.6 * len(axes), 3), sharey=True, squeeze=False, layout="tight"
    )
    for axis, (name, places) in zip(panels.flat, axes, strict=True):
        for label, part in compared(frame, list(places.index)).items():
            wide = part.pivot_table(index=["normal", "seed"], columns="setting", values="auroc").dropna()
            classes = wide.groupby("normal").mean()
            wide = classes if len(classes) > 1 else wide  # seeds of a class resemble each other
            wide = wide[[label for label in places.sort_values().index if label in wide]]
            error = wide.sub(wide.mean(axis=1), axis=0).sem()
            axis.errorbar(places[wide.columns], wide.mean(), yerr=error, marker="o", capsize=2, label=label)
        axis.set(xscale="log", xlabel=name)
        axis.grid(alpha=0.4)
    panels[0, 0].set_ylabel("image AUROC, %")
    panels[0, -1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def bars(wide: pd.DataFrame, *, label: str = "AUROC, %", floor: float = 50) -> Figure:
    """Groups of bars, a group per row, a bar per column, from ``floor``: what guessing gets."""
    fig, axis = plt.subplots(figsize=(3 + 0.45 * wide.size, 3), layout="tight")
    (wide - floor).plot.bar(ax=axis, bottom=floor, rot=0, width=0.8)
    for group in axis.containers:
        if isinstance(group, BarContainer):
            axis.bar_label(group, [f"{bar.get_height() + floor:.3g}" for bar in group], fontsize=7)
    axis.axhline(floor, color="black", linewidth=0.8)
    axis.set(xlabel="", ylabel=label)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def sentence(comparison: Comparison, found: Verdict, who: str) -> str:
    """A verdict in words, "our runs: **holds**. …"."""
    missing = [title(d) for d in comparison.datasets if d not in set(found.tests["dataset"])]
    return f"{who}: **{found}**." + (f" Not run: {', '.join(missing)}." if missing else "")


def runs(whose: str, which: str) -> str:
    """Records in words, "our runs, profile laptop"; ``which`` as of `judged`."""
    return f"{whose}, profile {which}" if which else whose


def judged(comparison: Comparison, ours: pd.DataFrame) -> tuple[str, Verdict, str]:
    """The profile whose records say most about a comparison, paper where no other has more units, and their verdict.

    Last, which records these are, such as "laptop, measured with the release"; "" where there are none.
    """
    found = {p: verdict(comparison, ours[ours["profile"] == p]) for p in ("paper", "laptop")}
    profile, best = max(found.items(), key=lambda item: item[1].tests["units"].sum())  # the first where it is a draw
    rows = ours[(ours["profile"] == profile) & ours["dataset"].isin(best.tests["dataset"])]
    return profile, best, ", ".join([profile, *sources(rows)]) if len(rows) else ""


def forest(rows: pd.DataFrame) -> Figure:
    """A frame of `differences`, a panel per pair: dots, intervals, an arrow where one goes on beyond the frame."""
    wide = (rows["figures"] == "ours") & (rows["units"] < UNITS)  # over two classes no end of an interval would fit
    limit = 1.05 * np.nanmax([rows["mean"].abs().max(), *rows.loc[~wide, ["low", "high"]].abs().max()])
    pairs, known = dict(list(rows.groupby("pair", observed=True))), set(rows["figures"])
    heights = [part["dataset"].nunique() for part in pairs.values()]
    size = (5.2, 1 + 0.4 * len(pairs) + 0.36 * sum(heights))  # narrow: a phone shows it whole
    look: dict[str, Any] = {"height_ratios": heights, "layout": "constrained"}
    fig, axes = plt.subplots(len(pairs), 1, figsize=size, sharex=True, squeeze=False, **look)
    for axis, (pair, here) in zip(axes.flat, pairs.items(), strict=True):
        names = here["dataset"].unique().tolist()
        axis.axvline(0, color="0.7", zorder=0)
        for kind, shift in zip(KINDS, (-0.15, 0.15), strict=True):
            part, style = here[here["figures"] == kind], KINDS[kind]
            place = part["dataset"].map(names.index).to_numpy() + shift
            low, high = (part[end].fillna(part["mean"]) for end in ("low", "high"))
            axis.hlines(place, low.clip(-limit), high.clip(upper=limit), color=style["color"], linewidth=1.5)
            axis.plot(part["mean"], place, linestyle="", markersize=5, label=kind if kind in known else "", **style)
            for edge, mark, beyond in ((-limit, "<", low < -limit), (limit, ">", high > limit)):
                axis.plot([edge] * beyond.sum(), place[beyond], mark, color=style["color"], markersize=4)
        axis.set(yticks=range(len(names)), yticklabels=map(title, names), ylim=(len(names) - 0.5, -0.5))
        axis.set_title(str(pair), fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
    axes[-1, 0].set_xlabel("difference, points of AUROC", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncol=3, fontsize=8)
    return fig


def told(rows: pd.DataFrame) -> str:
    """A frame of `differences` in words, for alt text."""
    lines = [
        f"{title(r['dataset'])}, {r['figures']}: {r['pair']} {r['mean']:+.2f}"
        + (f" ({r['low']:+.2f} to {r['high']:+.2f})" if np.isfinite(r["low"]) else "")
        for r in rows.to_dict("records")
    ]
    return f"Differences and 95 % intervals. {'; '.join(lines)}."


def evidence(rows: pd.DataFrame) -> HTML:
    """A frame of `differences` as a folded table: on how many of the printed units each rests, and what it decides."""
    shown = rows.assign(
        data=rows["dataset"].map(title),
        units=[f"{r.units} of {r.of}" for r in rows.itertuples()],
        p=rows["p"].map(p_text),
    )
    columns = ["pair", "data", "figures", "mean", "low", "high", "units", "p", "finding", "source"]
    shown = shown[columns].rename(columns={"mean": "difference", "low": "from", "high": "to"})
    return few(plain(shown, "{:+.2f}"), len(rows), 0)


def overview(records: Iterable[Record]) -> pd.DataFrame:
    """Every sentence of the paper that its tables or our records judge, with its verdicts, a row each.

    Columns: sentence, place; printed: by the printed numbers, "" where the paper prints none; ours: by our records, ""
    where these cannot say; profile: theirs, and their source where it is not the paper's; page: shows why; command.
    """
    kept, rows = list(records), []
    for claim in claims().itertuples():
        if not claim.study:
            rows.append((claim.quote, claim.place, claim.verdict, "", "", "paper_audit", ""))
    for name, comparisons in COMPARISONS.items():
        published, ours = judge.published_frame(name), judge.frame(name, kept)
        for each in comparisons:
            printed, (_, found, which) = verdict(each, published), judged(each, ours)
            outcomes = str(printed) if len(printed.tests) else "", str(found), which
            run = f"ablations/{name}", f"python -m kdlab run --study {name}"
            rows.append((each.quote, each.place, *outcomes, *run))
    return pd.DataFrame(rows, columns=["sentence", "place", "printed", "ours", "profile", "page", "command"])


def board(rows: pd.DataFrame) -> HTML:
    """A frame of `overview` as a table, linked to the pages that show why as seen from the first page of the book."""
    shown = rows[["place", "printed", "ours"]].replace("", "–")
    shown = shown.rename(columns={"printed": "printed tables", "ours": "our runs"})
    links = (
        f'<a href="../../notebooks/{page}.html">{escape(shorten(sentence, 110, placeholder=" …"))}</a>'
        for page, sentence in rows[["page", "sentence"]].to_numpy()
    )
    shown.insert(0, "the paper says", list(links))
    return linked(shown)


def _by_setting(part: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Mean over seeds, a row per class, a column per setting: classes that have all, where there are any."""
    wide = part.pivot_table(index="normal", columns="setting", values="auroc")
    wide = wide[[label for label in labels if label in wide]]
    return wide.dropna() if len(wide.dropna()) else wide
