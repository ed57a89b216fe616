"""How much of the paper has records: each of its own entries with ours beside it, and the command that remakes it."""

from collections.abc import Hashable, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, records
from kdlab.presets import PROFILES, VGG16S, recipe_for
from kdlib.recipe import Recipe

SHOWN = ("paper", "laptop")  # profiles that may stand beside a printed figure: the first that has the entry does
NOT_RUN = "not run"  # no record
COLUMNS = (
    *("table", "task", "dataset", "method", "column", "published", "plus_minus", "ours", "difference"),
    *("profile", "seeds", "spread", "command", "preset", "note"),
)
Entry = dict[str, Any]  # a row of `paper.own_entries`


class Measured:
    """The records of a preset and source weights, sorted once by what makes an entry of the paper."""

    def __init__(self, found: Iterable[Record], *, preset: str = "paper", weights: str = VGG16S[0]) -> None:
        self.preset, self.weights = preset, weights
        self._groups: dict[Hashable, list[Record]] = {}
        for record in found:
            experiment = record["experiment"]
            recipe = Recipe.from_dict(experiment["recipe"])  # with the settings that the library learned since
            self._groups.setdefault((experiment["dataset"], experiment["profile"], recipe), []).append(record)
        self._group = cache(self._find)
        self._by_seed = cache(lambda task, *place: paper.by_seed(self._group(*place), task))

    def by_seed(self, entry: Entry, profile: str) -> dict[str, dict[int, float]]:
        """AUROC in % by class or category, then by seed, of an entry's row of the table in a profile."""
        return self._by_seed(entry["task"], entry["dataset"], entry["method"], profile)

    def ours(self, entry: Entry, profile: str) -> paper.Ours:
        """Our side of an entry. A mean is of one profile: it needs all classes or categories in that one."""
        return paper.ours(self.by_seed(entry, profile), paper.normals(entry["dataset"], entry["column"]))

    def notes(self, entry: Entry, profile: str) -> list[str]:
        """Where the data behind our side of an entry is not what its publisher offers."""
        behind = paper.normals(entry["dataset"], entry["column"])
        group = self._group(entry["dataset"], entry["method"], profile)
        found = [(paper.normal_of(r["experiment"]), r["provenance"]["data"].get("copy_note")) for r in group]
        return sorted({note if len(behind) == 1 else f"{n}: {note}" for n, note in found if note and n in behind})

    def beside(self, entry: Entry) -> dict[str, Any]:
        """All columns of an entry in `scoreboard`."""
        profile = next((p for p in SHOWN if self.ours(entry, p).seeds), "")
        ours, seeds, notes = self.ours(entry, profile), {0}, []
        if profile:
            by_seed = self.by_seed(entry, profile)
            seeds = {seed for normal in paper.normals(entry["dataset"], entry["column"]) for seed in by_seed[normal]}
            notes = self.notes(entry, profile)
        settings: dict[str, Any] = {"preset": self.preset, "weights": self.weights}
        settings |= {"profile": profile or SHOWN[0], "seeds": sorted(seeds)}
        return {
            **{key: entry[key] for key in ("table", "task", "dataset", "method", "column", "plus_minus")},
            "published": entry["auroc"],
            **ours._asdict(),
            "difference": ours.ours - entry["auroc"],
            "profile": profile or NOT_RUN,
            "command": command(entry, **settings),
            "preset": self.preset,
            "note": "; ".join(self.printed_twice.get(_place(entry), []) + notes),
        }

    @cached_property
    def printed_twice(self) -> dict[Hashable, list[str]]:
        """By table, row and column: other tables that print another figure of the same experiment (rounding aside)."""
        same: dict[Hashable, list[Entry]] = {}
        for entry in _own():
            recipe = _recipe(entry["dataset"], entry["method"], self.preset, SHOWN[0], self.weights)
            same.setdefault((entry["task"], entry["dataset"], entry["column"], recipe), []).append(entry)
        found: dict[Hashable, list[str]] = {}
        for others in same.values():
            for entry in others:
                unlike = {o["table"]: o["auroc"] for o in others if abs(o["auroc"] - entry["auroc"]) > 0.1}
                found[_place(entry)] = [f"Table {table} prints {auroc:.2f}" for table, auroc in unlike.items()]
        return found

    def _find(self, dataset: str, method: str, profile: str) -> list[Record]:
        recipe = _recipe(dataset, method, self.preset, profile or SHOWN[0], self.weights)
        return self._groups.get((dataset, profile, recipe), [])


def scoreboard(results: Path | None = None, *, preset: str = "paper", weights: str = VGG16S[0]) -> pd.DataFrame:
    """Every entry of `paper.own_entries` with ours beside it, AUROC in %; `COLUMNS` names the columns.

    ``profile`` is the first of `SHOWN` in which the entry has a record, or `NOT_RUN`. Smoke figures are never shown. A
    mean is of one profile: all classes or categories in it, or not run. ``command`` remakes what is shown, or makes
    what is not. ``note``: where the data of our records differs from its publisher's, and which other table prints
    another figure of the same experiment.

    Args:
        weights: of the source, one of `presets.VGG16S`; records of others do not count.
    """
    measured = Measured(records(results, preset=preset), preset=preset, weights=weights)
    return pd.DataFrame([measured.beside(entry) for entry in _own()], columns=list(COLUMNS))


def status(results: Path | None = None, *, preset: str = "paper", weights: str = VGG16S[0]) -> list[dict[str, Any]]:
    """How much of the paper has records: a row a table, data set and profile that has any.

    Each has preset, table, dataset, entries (how many the paper prints of its own, means too), profile ("" where
    nothing ran), records (entries that have what they need) and mean_absolute_difference (points of AUROC, over
    those; None in profile smoke, which says nothing).
    """
    measured = Measured(records(results, preset=preset), preset=preset, weights=weights)
    rows: list[dict[str, Any]] = []
    groups: dict[tuple[int, str], list[Entry]] = {}
    for entry in _own():
        groups.setdefault((entry["table"], entry["dataset"]), []).append(entry)
    for (table, dataset), printed in sorted(groups.items()):
        about: dict[str, Any] = {"preset": preset, "table": table, "dataset": dataset, "entries": len(printed)}
        counted = []
        for profile in PROFILES:
            found = [(measured.ours(entry, profile), entry["auroc"]) for entry in printed]
            if differences := [abs(ours.ours - auroc) for ours, auroc in found if ours.seeds]:
                mean = None if profile not in SHOWN else round(float(np.mean(differences)), 2)
                counted += [{"profile": profile, "records": len(differences), "mean_absolute_difference": mean}]
        none = {"profile": "", "records": 0, "mean_absolute_difference": None}
        rows += [about | figures for figures in counted or [none]]
    return rows


def as_text(rows: Iterable[dict[str, Any]]) -> str:
    """What `status` found of one preset or several, side by side, for a terminal."""
    cells: dict[tuple[int, str], dict[str, dict[str, str]]] = {}
    presets: dict[str, dict[tuple[int, str], int]] = {}
    for row in rows:
        place, difference = (row["table"], row["dataset"]), row["mean_absolute_difference"]
        presets.setdefault(row["preset"], {})[place] = row["entries"]
        shown = "" if difference is None else f"{difference:.2f}"
        cell = f"{row['records']:>4} of {row['entries']:>3} {shown:>12}"
        cells.setdefault(place, {}).setdefault(row["profile"], {})[row["preset"]] = cell
    lines = [f"{'table':>5}  {'data set':<14} {'profile':<8}" + "".join(f"  {p:>11} |difference|" for p in presets)]
    for (table, dataset), profiles in cells.items():
        for profile in [p for p in profiles if p] or [""]:
            found = profiles[profile]
            none = {p: f"{0:>4} of {entries[table, dataset]:>3} {'':>12}" for p, entries in presets.items()}
            line = "".join(f"  {found.get(preset, none[preset]):>24}" for preset in presets)
            lines.append(f"{table:>5}  {dataset:<14} {profile:<8}{line}")
    return "\n".join(lines)


def command(
    entry: Entry,
    *,
    preset: str = "paper",
    profile: str = "paper",
    seeds: Sequence[int] = (0,),
    weights: str = VGG16S[0],
) -> str:
    """The shell command whose experiments are those behind an entry of `paper.own_entries`, and no others."""
    dataset, recipe = entry["dataset"], _recipe(entry["dataset"], entry["method"], preset, profile, weights)
    settings = {"dataset": dataset, "preset": preset, "profile": profile, "recipe": recipe}
    behind = paper.normals(dataset, entry["column"])
    return run_command(Experiment(normal=normal, seed=seed, **settings) for seed in seeds for normal in behind)


def _recipe(dataset: str, method: str, preset: str, profile: str, weights: str) -> Recipe:
    return recipe_for(dataset, preset=preset, profile=profile).replace(weights=weights, **paper.VARIANTS[method])


def _place(entry: Entry) -> Hashable:
    return entry["table"], entry["dataset"], entry["method"], entry["column"]


def _own() -> list[Entry]:
    return cast(list[Entry], paper.own_entries().to_dict("records"))
