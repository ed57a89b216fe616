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
from kdlab.presets import PRESETS, VGG16S, recipe_for
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
Rows = dict[tuple[str, str, Recipe], list[Record]]


def by_row(found: Iterable[Record]) -> Rows:
    """Records by data set, profile and recipe: what makes a row of a table."""
    rows: Rows = {}
    for record in found:
        made = Experiment.from_dict(record["experiment"])  # with the settings that the library learned since
        rows.setdefault((made.dataset, made.profile, made.recipe), []).append(record)
    return rows


def behind(rows: Rows, entry: Entry, *, preset: str, profile: str, weights: str) -> tuple[list[Record], paper.Ours]:
    """The records behind an entry, of one profile, and what they say of it; ``rows`` as of `by_row`."""
    recipe = _recipe(entry["dataset"], entry["method"], preset, profile, weights)
    normals = paper.normals(entry["dataset"], entry["column"])
    its = rows.get((entry["dataset"], profile, recipe), [])
    its = [record for record in its if paper.normal_of(record["experiment"]) in normals]
    return its, paper.ours(paper.by_seed(its, entry["task"]), normals)


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
    kept = by_row(records(preset=preset) if found is None else found)
    entries, same = _plain(paper.own_entries()), dict[Hashable, dict[int, float]]()
    for entry in entries:
        same.setdefault(_made_of(entry, preset), {})[entry["table"]] = entry["auroc"]
    rows = []
    for entry in entries:
        sides = {p: behind(kept, entry, preset=preset, profile=p, weights=weights) for p in SHOWN}
        shown = next((profile for profile, (_, ours) in sides.items() if ours.seeds), None)
        its, ours = sides[shown] if shown else ([], paper.Ours())
        seeds = sorted({record["experiment"]["seed"] for record in its}) or [0]
        others = same[_made_of(entry, preset)].items()
        apart = [f"Table {table} prints {auroc:.2f}" for table, auroc in others if abs(auroc - entry["auroc"]) > 0.1]
        row = {
            "published": entry["auroc"],
            "difference": ours.ours - entry["auroc"],
            "profile": shown or NOT_RUN,
            "command": command(entry, preset=preset, weights=weights, profile=shown or SHOWN[0], seeds=seeds),
            "preset": preset,
            "note": "; ".join([*apart, *_copy_notes(entry, its)]),
        }
        rows.append(entry | ours._asdict() | row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _copy_notes(entry: Entry, its: Iterable[Record]) -> list[str]:
    """Where the data of records differs from its publisher's; of a mean with the class or category before it."""
    found = {(paper.normal_of(r["experiment"]), r["provenance"]["data"].get("copy_note")) for r in its}
    return sorted(f"{normal}: {note}" if entry["column"] == "mean" else note for normal, note in found if note)


def data_sets(found: Iterable[Record]) -> pd.DataFrame:
    """The paper's own row of each main table beside ours, image AUROC in %, profile ``paper``: a row a data set.

    Columns: dataset, printed (its mean), of (classes or categories), control and trained (a source of random weights
    and the VGG-16, the same classes, profile ``control_profile``; NaN without records); for each preset such as
    ``paper``: ``paper_ours`` (mean over what was run), and with ``paper_`` before it what `paired_difference` tells of
    ours minus printed, p corrected for the whole table.
    """
    kept, rows = by_row(found), []
    for dataset, table in TABLES.items():
        printed = paper.published(table=table, dataset=dataset, method=paper.OURS).set_index("column")["auroc"]
        row: dict[str, Any] = {"dataset": dataset, "printed": printed.iloc[-1], "of": len(paper.normals(dataset))}
        for preset in PRESETS:
            ours = _aurocs(kept, dataset, preset=preset, profile="paper", weights=VGG16S[0])
            test = paired_difference({place: printed[place[0]] for place in ours}, ours) if ours else NO_DIFFERENCE
            row[f"{preset}_ours"] = printed[list({normal for normal, _ in ours})].mean() + test.mean
            row |= {f"{preset}_{name}": value for name, value in test._asdict().items()}
        for profile, trained in product(SHOWN[::-1], VGG16S[::-1]):  # the last that has both counts
            both = [_aurocs(kept, dataset, preset="paper", profile=profile, weights=w) for w in ("random", trained)]
            if shared := both[0].keys() & both[1].keys():
                means = (float(np.mean([each[place] for place in shared])) for each in both)
                row |= dict(zip(("control", "trained"), means, strict=True)) | {"control_profile": profile}
        rows.append(row)
    columns = [f"{preset}_{name}" for preset in PRESETS for name in ("ours", *NO_DIFFERENCE._fields)]
    about = ["dataset", "printed", "of", *columns, "control", "trained", "control_profile"]
    frame = pd.DataFrame(rows).reindex(columns=about)
    p = [f"{preset}_p" for preset in PRESETS]
    frame[p] = holm(frame[p].to_numpy().ravel().tolist()).reshape(-1, len(p))
    return frame


def _aurocs(kept: Rows, dataset: str, **settings: str) -> dict[tuple[str, int], float]:
    """Image AUROC in % of the paper's own row of a data set, by class or category and seed."""
    entry = {"task": "detection", "dataset": dataset, "method": paper.OURS, "column": "mean"}
    found = paper.by_seed(behind(kept, entry, **settings)[0], "detection")
    return {(normal, seed): auroc for normal, seeds in found.items() for seed, auroc in seeds.items()}


def status(*, weights: str = VGG16S[0]) -> pd.DataFrame:
    """How much of the paper has records: of each preset, table and data set how many entries, by profile.

    Columns: preset, table, dataset, profile (one of `SHOWN`, or `NOT_RUN`), entries (that the paper prints of its own,
    means too), mean_absolute_difference (points of AUROC).
    """
    board = pd.concat([scoreboard(preset=preset, weights=weights) for preset in PRESETS])
    apart = board.assign(apart=board["difference"].abs()).groupby(["preset", "table", "dataset", "profile"])["apart"]
    return apart.agg(entries="size", mean_absolute_difference="mean").round(2).reset_index()


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
