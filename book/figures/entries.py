"""Entries of a table on the page of a data set: what the paper printed, and beside it our records of both presets.

Never mixed: a column is one recipe, one profile and one source of weights. The columns of the paper's own source come
first and are there even where nothing was run.
"""

import base64
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from book.figures import ANOMALOUS, strips
from book.figures.tables import folded, linked, numbers
from kdlab import coverage, paper
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, records
from kdlab.presets import VGG16S, recipe_for
from kdlab.studies.one_factor import BASE, MAPS, changes, label
from kdlab.studies.statistics import UNITS
from kdlab.studies.statistics import finding as decided
from kdlib.data import ABOUT, ONE_VS_REST, SPLIT_BY_SEED, Images, load

PRESETS = {"paper": "text", "reference": "code"}  # what a preset follows
SOURCES = {  # how the weights of a source are called: in the head of a column, in a sentence
    "torchvision": ("", "the paper's own source"),
    "vgg-release": (", the release", "the release as the source"),
    "random": (", random source", "a source of random weights (a control)"),
}
WHO = {name + of: (preset, weights) for weights, (of, _) in SOURCES.items() for preset, name in PRESETS.items()}


def own(who: str, dataset: str, *, profile: str = "paper", among: Iterable[Record] | None = None) -> list[Record]:
    """Records of exactly one recipe, by class or category and seed.

    Args:
        who: a key of `WHO`: the preset and the weights of the source.
        among: records of the data set and profile, where they are read already.
    """
    preset, weights = WHO[who]
    known = records(dataset=dataset, profile=profile) if among is None else among
    recipe = recipe_for(dataset, preset=preset, profile=profile).replace(weights=weights)
    return sorted(coverage.by_row(known).get((dataset, profile, recipe), []), key=_place)


def _place(record: Record) -> tuple[str, int]:
    return paper.normal_of(record["experiment"]), record["experiment"]["seed"]


def entries(dataset: str, table: int) -> pd.DataFrame:
    """The paper's own entries of a table and our records of them in profile ``paper``, AUROC in %.

    A row is an entry seen by one of `WHO`; without any record only that of the paper's own source is there. Columns:
    entry (class or category, "mean"; of a table with one number a method, the method), who, printed, plus_minus, ours
    (mean over seeds), spread (over seeds), seeds, records, experiments (behind it, run or not).
    """
    rows = []
    printed = paper.own_entries(table=table, dataset=dataset)
    by_place = sorted(records(dataset=dataset, profile="paper"), key=_place)
    several, known = printed["method"].nunique() > 1, coverage.by_row(by_place)
    for who, (preset, weights) in WHO.items():
        settings: dict[str, Any] = {"preset": preset, "weights": weights}
        lines: list[dict[str, Any]] = printed.to_dict("records")  # type: ignore[assignment]
        sides = [coverage.behind(known, each, profile="paper", **settings) for each in lines]
        if weights != VGG16S[0] and not any(of_it for of_it, _ in sides):
            continue
        for each, (of_it, ours) in zip(lines, sides, strict=True):
            run = {paper.normal_of(r["experiment"]) for r in of_it}
            made = [Experiment.from_dict(r["experiment"]) for r in of_it]
            made += [
                Experiment.of(dataset, normal, seed=seed, **settings | paper.VARIANTS[each["method"]])
                for normal in paper.normals(dataset, each["column"])
                for seed in (range(10) if dataset in SPLIT_BY_SEED else (0,))
                if normal not in run
            ]
            entry = each["method" if several else "column"]
            rows.append((entry, who, each["auroc"], each["plus_minus"], *ours, of_it, made))
    columns = ["entry", "who", "printed", "plus_minus", "ours", "spread", "seeds", "records", "experiments"]
    return pd.DataFrame(rows, columns=columns)


def behind(frame: pd.DataFrame) -> list[Record]:
    """All records of a frame of `entries`, each once."""
    return list({each["id"]: each for some in frame["records"] for each in some}.values())


def table(frame: pd.DataFrame, *, controls: pd.DataFrame | None = None) -> HTML:
    """A frame of `entries` as a table: a row per entry with its command, a column per `WHO`.

    Args:
        controls: further columns, AUROC in %, by entry.
    """
    cell = [
        "not run" if np.isnan(ours) else f"{ours:.2f}" + (f" ± {spread:.2f}" if spread > 0 else "")
        for ours, spread in frame[["ours", "spread"]].to_numpy()
    ]
    some = frame.groupby("entry", sort=False)
    first = some[["printed", "plus_minus"]].first()
    bars = [f"{auroc:.2f}" + (f" ± {bar:g}" if bar > 0 else "") for auroc, bar in first.to_numpy()]
    shown = frame.assign(cell=cell).pivot(index="entry", columns="who", values="cell").loc[first.index]
    shown = shown[list(frame["who"].unique())]
    shown.insert(0, "printed", bars)
    if controls is not None:
        shown = shown.join(controls.map("{:.1f}".format).rename(index=str))
    return numbers(shown, some["experiments"].sum()[shown.index].tolist(), limit=len(shown))


def dots(frame: pd.DataFrame, *, names: dict[str, str] | None = None) -> Figure:
    """A frame of `entries`: the printed AUROC in orange with its bars, ours beside it; the mean is left out."""
    rows = frame[frame["entry"] != "mean"]
    order, who = list(rows["entry"].unique()), [*rows.dropna(subset="ours")["who"].unique()]
    fig, axis = strips([(names or {}).get(each, each) for each in order], "AUROC, %")
    first = rows.drop_duplicates("entry")
    places, bars = np.arange(len(order)), first["plus_minus"].fillna(0)
    axis.errorbar(first["printed"], places - 0.2, xerr=bars, fmt="o", color=ANOMALOUS, label="printed")
    for number, name in enumerate(who):
        part = rows[rows["who"] == name].set_index("entry").loc[order]
        place = places - 0.2 + 0.4 * (number + 1) / len(who)
        style = {"fmt": "sD^vPX"[number], "color": f"C{(0, 2, 4, 7, 8, 9)[number]}", "label": name, "markersize": 5}
        axis.errorbar(part["ours"], place, xerr=part["spread"].fillna(0), **style)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8)
    return fig


def finding(frame: pd.DataFrame) -> str:
    """What a frame of `entries` found: a sentence per `WHO`, then what was not run."""
    said, not_run = [], []
    for who, rows in frame[frame["entry"] != "mean"].groupby("who", sort=False):
        preset, weights = WHO[str(who)]
        words = f"as the {PRESETS[preset]} says, with {SOURCES[weights][1]}"
        have = rows.dropna(subset="ours")
        if have.empty:
            not_run.append(words)
            continue
        count = f" ({len(have)} of {len(rows)})" if len(have) < len(rows) else ""
        if len(have) > 2:
            gap = (have["ours"] - have["printed"]).abs()
            found = f"**{have['ours'].mean():.2f}** on average, printed {have['printed'].mean():.2f} for the same; "
            found += f"entry by entry {gap.mean():.2f} points apart, {gap.max():.2f} at most"
        else:
            found = "; ".join(
                f"**{r['ours']:.2f}** for {r['entry']}, printed {r['printed']:.2f}" for r in have.to_dict("records")
            )
        said.append(f"Our AUROC {words}{count}: {found}.")
    said += [f"Not run yet: {'; '.join(not_run)}."] if not_run else []
    return " ".join(said) or "The paper prints no number of this data set."


def missing(frame: pd.DataFrame) -> HTML | Markdown:
    """Which experiments of both presets have no record, and the command that makes them."""
    rows = frame[(frame["entry"] != "mean") & frame["who"].isin(PRESETS.values()) & (frame["seeds"] == 0)]
    if rows.empty:
        return Markdown("Every entry has a record of both presets.")
    by = ", ".join(f"{count} as the {who}" for who, count in rows["who"].value_counts(sort=False).items())
    summary = "<summary>Command that makes them, and goes on where it stopped</summary>"
    return HTML(f"<p>No record yet: {by}.</p>" + folded(run_command(chain(*rows["experiments"])), summary))


def reduced(dataset: str) -> pd.DataFrame:
    """Our records in profile ``laptop``, AUROC in %: a row per class or category, a column per `WHO`.

    They are no entries of a table: a fraction of the epochs and of the images, and other settings than printed.
    """
    known = records(dataset=dataset, profile="laptop")
    found = {who: paper.by_seed(own(who, dataset, profile="laptop", among=known), "detection") for who in WHO}
    means = {who: {n: np.mean([*s.values()]) for n, s in some.items()} for who, some in found.items() if some}
    return pd.DataFrame(means)


def data_sets(frame: pd.DataFrame) -> HTML:
    """A frame of `coverage.data_sets` as a table: a row a data set, linked to its page as seen from the first one."""
    rows = []
    for each in frame.to_dict("records"):
        name, both = each["dataset"], {who: apart(each, preset) for preset, who in PRESETS.items()}
        row = {"data set": f'<a href="../../notebooks/datasets/{name}.html">{ABOUT[name].title}</a>'}
        row["printed"] = f"{each['printed']:.2f}"
        row |= {f"as the {who}": cell for who, (cell, _) in both.items()}
        known, short = np.isfinite(each["control"]), f" ({each['control_profile']})"
        row["random source"] = f"{each['control']:.1f}, trained {each['trained']:.1f}{short}" if known else "–"
        said = "; ".join(words for _, words in both.values() if words) or "not run with the paper's source"
        row["what it means"] = said.capitalize() + "."
        rows.append(row)
    return linked(pd.DataFrame(rows))


def apart(row: Mapping[Any, Any], preset: str) -> tuple[str, str]:
    """Ours with a preset minus printed, of a row of `coverage.data_sets`: as a cell, and what it means in words."""
    ours, mean, low, high, units, p = (
        row[f"{preset}_{name}"] for name in ("ours", "mean", "low", "high", "units", "p")
    )
    if not units:
        return "not run", ""
    many = f"{units} of {row['of']} {'classes' if row['dataset'] in ONE_VS_REST else 'categories'}"
    difference = f"{mean:+.2f}" + (f" ({low:+.2f} to {high:+.2f})" if np.isfinite(low) else "")
    complete = units == row["of"]  # a mean over some would mislead
    said = f"{abs(mean):.1f} points {'above' if mean > 0 else 'below'} the printed number"
    if units < UNITS and not complete:
        said = f"{many} decide nothing"
    elif units >= UNITS and decided(mean, p) is None:
        said = f"no difference is found, and one above {max(abs(low), abs(high)):.1f} points is unlikely"
    elif units < UNITS and not low * high > 0:  # one class: over its seeds, or a single training
        said += ", which seeds could explain"
    cell = f"<b>{ours:.2f}</b>, {difference}" if complete else f"{difference}; {many}"
    return cell, f"as the {PRESETS[preset]}, {said}"


def gains(dataset: str, who: str = "text", *, profile: str = "paper") -> pd.DataFrame:
    """What one changed setting is worth, points of AUROC: a row per class and seed, a column per change of the recipe.

    Against the same class, seed and source with the settings of the text; changes of the map alone are left out.
    """
    preset, weights = WHO[who]
    rows = []
    for each in records(dataset=dataset, profile=profile, preset=preset, weights=weights):
        changed = {name: value for name, value in changes(each).items() if name != "weights"}
        value = (each["metrics"]["image_auroc"] or {}).get("mean_last_10")
        if value is not None and not changed.keys() & MAPS:
            rows.append((paper.normal_of(each["experiment"]), each["experiment"]["seed"], label(changed), 100 * value))
    frame = pd.DataFrame(rows, columns=["normal", "seed", "settings", "auroc"])
    wide = frame.pivot_table(index=["normal", "seed"], columns="settings", values="auroc")
    if BASE not in wide:
        return pd.DataFrame()
    return wide.drop(columns=BASE).sub(wide[BASE], axis=0).dropna(axis=1, how="all")


def gain_dots(frame: pd.DataFrame, *, count: int = 6) -> Figure:
    """A frame of `gains`: the settings that move most, a dot per class and seed, a bar for the mean."""
    means = frame.mean()
    chosen = means[means.abs().nlargest(count).index].sort_values(ascending=False)
    fig, axis = strips([*chosen.index], "gain, points of AUROC")
    groups = frame[chosen.index].groupby(level=0)
    for normal, part in groups:
        places = np.tile(np.arange(len(chosen)), len(part))
        axis.plot(part.to_numpy().ravel(), places, "o", alpha=0.5, label=normal)
    axis.plot(chosen, range(len(chosen)), "|", color="black", markersize=18, markeredgewidth=2)
    axis.axvline(0, color="grey", linestyle=":")
    if len(groups) > 1:
        axis.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=4)
    return fig


def download(frame: pd.DataFrame, name: str) -> HTML:
    """A link to a table as a CSV file, which the page itself holds."""
    content = base64.b64encode(frame.to_csv(float_format="%.3f").encode()).decode()
    link = f'<a download="{name}.csv" href="data:text/csv;base64,{content}">All {len(frame)} rows as CSV</a>'
    return HTML(f"<p>{link}</p>")


def tested(record: Record) -> Images | None:
    """The test images of a record in the order of its scores; None where they are not here, or not the same."""
    experiment = record["experiment"]
    try:
        test = load(experiment["dataset"], paper.normal_of(experiment), seed=experiment["seed"]).test
    except (FileNotFoundError, ValueError):
        return None
    return test if test.fingerprint == record["provenance"]["data"]["test"]["fingerprint"] else None


def best_supported(frame: pd.DataFrame) -> tuple[str, list[Record]]:
    """One of `WHO` that has records, those of the paper's own source first, and its records; none is ("", [])."""
    for who in WHO:
        if found := behind(frame[frame["who"] == who]):
            return who, found
    return "", []
