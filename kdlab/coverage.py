"""How much of the paper has records: each of its own entries with ours beside it, and the command that remakes it."""

from collections.abc import Hashable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.audit.claims import TABLES
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, records
from kdlab.presets import PRESETS, PROFILES, VGG16S, recipe_for
from kdlab.studies.statistics import PairedDifference, holm, paired_difference
from kdlib.recipe import Recipe

SHOWN = ("paper", "laptop")  # profiles that may stand beside a printed figure: the first that has the entry does
NOT_RUN = "not run"  # no record
NO_DIFFERENCE = PairedDifference(np.nan, np.nan, np.nan, 0, np.nan)
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

    def beside(self, entry: Entry) -> dict[str, Any]:
        """All columns of an entry in `scoreboard`; the note is of the copies of the data behind it."""
        profile = next((p for p in SHOWN if self.ours(entry, p).seeds), "")
        ours, seeds, notes = self.ours(entry, profile), {0}, set[str]()
        if profile:
            by_seed, behind = self.by_seed(entry, profile), paper.normals(entry["dataset"], entry["column"])
            seeds = {seed for normal in behind for seed in by_seed[normal]}
            for record in self._group(entry["dataset"], entry["method"], profile):
                normal, note = paper.normal_of(record["experiment"]), record["provenance"]["data"].get("copy_note")
                if note and normal in behind:
                    notes.add(note if len(behind) == 1 else f"{normal}: {note}")
        remake = command(
            entry, preset=self.preset, weights=self.weights, profile=profile or SHOWN[0], seeds=sorted(seeds)
        )
        return {
            **entry,
            "published": entry["auroc"],
            **ours._asdict(),
            "difference": ours.ours - entry["auroc"],
            "profile": profile or NOT_RUN,
            "command": remake,
            "preset": self.preset,
            "note": "; ".join([*_printed_elsewhere(entry, self.preset), *sorted(notes)]),
        }

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
    return pd.DataFrame([measured.beside(entry) for entry in _plain(paper.own_entries())], columns=list(COLUMNS))


def data_sets(found: Iterable[Record]) -> pd.DataFrame:
    """The paper's own row of each main table beside ours, image AUROC in %, profile ``paper``: a row a data set.

    Columns: dataset, printed (its mean), of (classes or categories), control and trained (a source of random weights
    and the VGG-16, the same classes, profile ``control_profile``; NaN without records); for each preset such as
    ``paper``: ``paper_ours`` (mean over what was run), and with ``paper_`` before it what `paired_difference` tells of
    ours minus printed, p corrected for the whole table.
    """
    rows = []
    by = {(preset, w): Measured(found, preset=preset, weights=w) for preset in PRESETS for w in (*VGG16S, "random")}
    for dataset, table in TABLES.items():
        printed = paper.published(table=table, dataset=dataset, method=paper.OURS).set_index("column")["auroc"]
        entry = {"task": "detection", "dataset": dataset, "method": paper.OURS}
        row: dict[str, Any] = {"dataset": dataset, "printed": printed.iloc[-1], "of": len(paper.normals(dataset))}
        for preset in PRESETS:
            ours = _flat(by[preset, VGG16S[0]].by_seed(entry, "paper"))
            test = paired_difference({place: printed[place[0]] for place in ours}, ours) if ours else NO_DIFFERENCE
            row[f"{preset}_ours"] = printed[list({normal for normal, _ in ours})].mean() + test.mean
            row |= {f"{preset}_{name}": value for name, value in test._asdict().items()}
        for profile in SHOWN[::-1]:
            random = _flat(by["paper", "random"].by_seed(entry, profile))
            for weights in VGG16S[::-1]:
                trained = _flat(by["paper", weights].by_seed(entry, profile))
                if shared := random.keys() & trained.keys():
                    means = (float(np.mean([each[place] for place in shared])) for each in (random, trained))
                    row |= dict(zip(("control", "trained"), means, strict=True), control_profile=profile)
        rows.append(row)
    columns = [f"{preset}_{name}" for preset in PRESETS for name in ("ours", *NO_DIFFERENCE._fields)]
    about = ["dataset", "printed", "of", *columns, "control", "trained", "control_profile"]
    frame = pd.DataFrame(rows).reindex(columns=about)
    p = [f"{preset}_p" for preset in PRESETS]
    frame[p] = holm(frame[p].to_numpy().ravel().tolist()).reshape(-1, len(p))
    return frame


def _flat(by_seed: dict[str, dict[int, float]]) -> dict[tuple[str, int], float]:
    return {(normal, seed): auroc for normal, seeds in by_seed.items() for seed, auroc in seeds.items()}


def status(results: Path | None = None, *, preset: str = "paper", weights: str = VGG16S[0]) -> list[dict[str, Any]]:
    """How much of the paper has records, by table, data set and profile that has any.

    Each has preset, table, dataset, entries (how many the paper prints of its own, means too), profile ("" where
    nothing ran), records (entries that have what they need) and mean_absolute_difference (points of AUROC, over
    those; None in profile smoke, which says nothing).
    """
    measured = Measured(records(results, preset=preset), preset=preset, weights=weights)
    rows: list[dict[str, Any]] = []
    for (table, dataset), printed in paper.own_entries().groupby(["table", "dataset"]):
        about: dict[str, Any] = {"preset": preset, "table": table, "dataset": dataset, "entries": len(printed)}
        counted = []
        for profile in PROFILES:
            found = [(measured.ours(entry, profile), entry["auroc"]) for entry in _plain(printed)]
            if differences := [abs(ours.ours - auroc) for ours, auroc in found if ours.seeds]:
                mean = None if profile not in SHOWN else round(float(np.mean(differences)), 2)
                counted.append({"profile": profile, "records": len(differences), "mean_absolute_difference": mean})
        none = {"profile": "", "records": 0, "mean_absolute_difference": None}
        rows += [about | figures for figures in counted or [none]]
    return rows


def as_text(rows: Iterable[dict[str, Any]]) -> str:
    """What `status` found of one preset or several, side by side, for a terminal."""
    frame, lines = pd.DataFrame(rows), []
    presets = frame["preset"].unique()
    for (table, dataset), its in frame.groupby(["table", "dataset"]):
        for profile in [name for name in its["profile"].unique() if name] or [""]:
            line = [table, dataset, profile]
            for preset in presets:
                ran = its[(its["preset"] == preset) & (its["profile"] == profile)]
                means = ran["mean_absolute_difference"].dropna()
                line += [f"{ran['records'].sum()} of {its['entries'].iloc[0]:>3}", "".join(f"{x:.2f}" for x in means)]
            lines.append(line)
    heads = [head for preset in presets for head in (preset, "|difference|")]
    return pd.DataFrame(lines, columns=["table", "data set", "profile", *heads]).to_string(index=False)


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


@cache
def _same_experiment(preset: str) -> dict[Hashable, dict[int, float]]:
    """By what makes an entry: the tables that print it, each with its AUROC."""
    found: dict[Hashable, dict[int, float]] = {}
    for entry in _plain(paper.own_entries()):
        found.setdefault(_made_of(entry, preset), {})[entry["table"]] = entry["auroc"]
    return found


def _printed_elsewhere(entry: Entry, preset: str) -> list[str]:
    """Other tables that print another figure of the same experiment, rounding aside."""
    others = _same_experiment(preset)[_made_of(entry, preset)].items()
    return [f"Table {table} prints {auroc:.2f}" for table, auroc in others if abs(auroc - entry["auroc"]) > 0.1]


def _made_of(entry: Entry, preset: str) -> Hashable:
    recipe = _recipe(entry["dataset"], entry["method"], preset, SHOWN[0], VGG16S[0])
    return entry["task"], entry["dataset"], entry["column"], recipe


def _plain(frame: pd.DataFrame) -> list[Entry]:
    return cast(list[Entry], frame.to_dict("records"))
