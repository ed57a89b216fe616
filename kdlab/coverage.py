"""How much of the paper has records: each of its own entries with ours beside it, and the command that remakes it."""

from collections.abc import Hashable, Iterable, Sequence
from functools import cache
from itertools import product
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
            made = Experiment.from_dict(record["experiment"])  # with the settings that the library learned since
            self._groups.setdefault((made.dataset, made.profile, made.recipe), []).append(record)

    def records(self, entry: Entry, profile: str) -> list[Record]:
        """Those of an entry's row of the table."""
        recipe = _recipe(entry["dataset"], entry["method"], self.preset, profile, self.weights)
        return self._groups.get((entry["dataset"], profile, recipe), [])

    def by_seed(self, entry: Entry, profile: str) -> dict[str, dict[int, float]]:
        """AUROC in % by class or category, then by seed, of an entry's row of the table."""
        return paper.by_seed(self.records(entry, profile), entry["task"])

    def ours(self, entry: Entry, profile: str) -> paper.Ours:
        """Our side of an entry. A mean is of one profile: it needs all classes or categories in that one."""
        return paper.ours(self.by_seed(entry, profile), paper.normals(entry["dataset"], entry["column"]))

    def beside(self, entry: Entry, elsewhere: Sequence[str]) -> dict[str, Any]:
        """All columns of an entry in `scoreboard`; the note is also of the copies of the data behind it."""
        shown = next((p for p in SHOWN if self.ours(entry, p).seeds), None)
        profile, behind = shown or SHOWN[0], paper.normals(entry["dataset"], entry["column"])
        ours = self.ours(entry, profile)
        found = [r for r in self.records(entry, profile) if paper.normal_of(r["experiment"]) in behind] if shown else []
        seeds = sorted({record["experiment"]["seed"] for record in found}) or [0]
        notes = {(paper.normal_of(r["experiment"]), r["provenance"]["data"].get("copy_note")) for r in found}
        copies = sorted(note if len(behind) == 1 else f"{normal}: {note}" for normal, note in notes if note)
        return {
            **entry,
            "published": entry["auroc"],
            **ours._asdict(),
            "difference": ours.ours - entry["auroc"],
            "profile": shown or NOT_RUN,
            "command": command(entry, preset=self.preset, weights=self.weights, profile=profile, seeds=seeds),
            "preset": self.preset,
            "note": "; ".join([*elsewhere, *copies]),
        }


def scoreboard(
    found: Iterable[Record] | None = None, *, preset: str = "paper", weights: str = VGG16S[0]
) -> pd.DataFrame:
    """Every entry of `paper.own_entries` with ours beside it, AUROC in %; `COLUMNS` names the columns.

    ``profile`` is the first of `SHOWN` in which the entry has a record, or `NOT_RUN`. Smoke figures are never shown. A
    mean is of one profile: all classes or categories in it, or not run. ``command`` remakes what is shown, or makes
    what is not. ``note``: where the data of our records differs from its publisher's, and which other table prints
    another figure of the same experiment.

    Args:
        found: records, of the preset; where left out, all that there are.
        weights: of the source, one of `presets.VGG16S`; records of others do not count.
    """
    measured = Measured(records(preset=preset) if found is None else found, preset=preset, weights=weights)
    entries, same = _plain(paper.own_entries()), dict[Hashable, dict[int, float]]()
    for entry in entries:
        same.setdefault(_made_of(entry, preset), {})[entry["table"]] = entry["auroc"]
    rows = []
    for entry in entries:
        others = same[_made_of(entry, preset)].items()
        apart = [f"Table {table} prints {auroc:.2f}" for table, auroc in others if abs(auroc - entry["auroc"]) > 0.1]
        rows.append(measured.beside(entry, apart))
    return pd.DataFrame(rows, columns=list(COLUMNS))


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
        for profile, weights in product(SHOWN[::-1], VGG16S[::-1]):  # the last that has both counts
            both = [_flat(by["paper", source].by_seed(entry, profile)) for source in ("random", weights)]
            if shared := both[0].keys() & both[1].keys():
                control, trained = (float(np.mean([each[place] for place in shared])) for each in both)
                row |= {"control": control, "trained": trained, "control_profile": profile}
        rows.append(row)
    columns = [f"{preset}_{name}" for preset in PRESETS for name in ("ours", *NO_DIFFERENCE._fields)]
    about = ["dataset", "printed", "of", *columns, "control", "trained", "control_profile"]
    frame = pd.DataFrame(rows).reindex(columns=about)
    p = [f"{preset}_p" for preset in PRESETS]
    frame[p] = holm(frame[p].to_numpy().ravel().tolist()).reshape(-1, len(p))
    return frame


def _flat(by_seed: dict[str, dict[int, float]]) -> dict[tuple[str, int], float]:
    return {(normal, seed): auroc for normal, seeds in by_seed.items() for seed, auroc in seeds.items()}


def status(*, preset: str = "paper", weights: str = VGG16S[0]) -> list[dict[str, Any]]:
    """How much of the paper has records, by table, data set and profile that has any.

    Each has preset, table, dataset, entries (how many the paper prints of its own, means too), profile ("" where
    nothing ran), records (entries that have what they need) and mean_absolute_difference (points of AUROC, over
    those; None in profile smoke, which says nothing).
    """
    measured = Measured(records(preset=preset), preset=preset, weights=weights)
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


@cache
def _recipe(dataset: str, method: str, preset: str, profile: str, weights: str) -> Recipe:
    return recipe_for(dataset, preset=preset, profile=profile).replace(weights=weights, **paper.VARIANTS[method])


def _made_of(entry: Entry, preset: str) -> Hashable:
    recipe = _recipe(entry["dataset"], entry["method"], preset, SHOWN[0], VGG16S[0])
    return entry["task"], entry["dataset"], entry["column"], recipe


def _plain(frame: pd.DataFrame) -> list[Entry]:
    return cast(list[Entry], frame.to_dict("records"))
