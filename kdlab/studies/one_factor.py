"""One factor at a time: records sorted by the settings in which they differ from the paper's."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.experiments.records import Record
from kdlab.presets import recipe_for, reference
from kdlib.recipe import MAP, SCORE, SCORING, Recipe

BASE = "as the paper"
MAPS = {*MAP, "sigma", "opening"} - {*SCORE}  # settings that change no score


def changes(record: Record) -> dict[str, Any]:
    """The settings of a record's recipe that are not those of its data set, preset and profile."""
    experiment = record["experiment"]
    base = recipe_for(experiment["dataset"], preset=experiment["preset"], profile=experiment["profile"]).to_dict()
    recipe = Recipe.from_dict(experiment["recipe"]).to_dict()
    return {name: value for name, value in recipe.items() if value != base[name]}


def factors(
    records: Iterable[Record], *, table: int, dataset: str, preset: str = "paper", profile: str = "paper"
) -> pd.DataFrame:
    """What each change of settings is worth, AUROC in %: a row a class or category and a change, the paper's own first.

    Columns: normal, settings (`BASE`, or such as ``"normalize=True"``), published (of the table's own row), ours (mean
    over seeds), spread (over seeds), seeds, difference (ours - published), gain (over the paper's own settings, on the
    seeds that both have; NaN where they share none), experiments.
    """
    frame = paper.published(table=table, dataset=dataset, method=paper.OURS)
    task: str = frame["task"].iloc[0]
    printed = dict(zip(frame["column"], frame["auroc"].astype(float), strict=True))
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        experiment = record["experiment"]
        if (experiment["dataset"], experiment["preset"], experiment["profile"]) == (dataset, preset, profile):
            changed = changes(record)
            if task == "detection" and changed.keys() & MAPS:
                continue  # it has the scores of the same settings without
            groups.setdefault((paper.normal_of(experiment), label(changed)), []).append(record)
    rows = []
    for (normal, name), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] != BASE, item[0][1])):
        found = paper.by_seed(group, task).get(normal, {})
        base = paper.by_seed(groups.get((normal, BASE), []), task).get(normal, {})
        ours, shared = list(found.values()), found.keys() & base.keys()
        if not ours:
            continue
        rows.append(
            {
                "normal": normal,
                "settings": name,
                "published": printed[normal],
                "ours": np.mean(ours),
                "spread": np.std(ours, ddof=1) if len(ours) > 1 else np.nan,
                "seeds": len(ours),
                "difference": np.mean(ours) - printed[normal],
                "gain": np.mean([found[s] - base[s] for s in shared]) if shared and name != BASE else np.nan,
                "experiments": paper.experiments(group, dataset, [normal]),
            }
        )
    columns = ["normal", "settings", "published", "ours", "spread", "seeds", "difference", "gain", "experiments"]
    return pd.DataFrame(rows, columns=columns)


def causes(frame: pd.DataFrame, errors: Mapping[str, float] | None = None) -> str:
    """What `factors` says of each entry whose own figure is more than a point from the printed one, as Markdown.

    A setting that brings the figure half a point nearer is a lead; the one that brings it nearest is named. A setting
    that was tried on three or more entries is first judged on all of them.

    Args:
        errors: standard error over the draw of the test images, in points, by class or category.
    """
    lines = []
    for normal, rows in frame.groupby("normal"):
        own = rows.loc[rows["settings"] == BASE, "difference"]
        if own.empty or abs(own.item()) <= 1:
            continue
        start = f"- **{normal}**: {own.item():+.2f} points from the printed figure with the paper's settings"
        if error := (errors or {}).get(str(normal)):
            start += f"; other test images of the kind would move it by {error:.1f} (standard error)"
        start += "."
        tried = rows.dropna(subset="gain")
        if tried.empty:
            lines.append(f"{start} No other setting tried yet.")
            continue
        # On the seeds that both have, so that the choice of seeds drops out.
        nearer = (tried["difference"] - tried["gain"]).abs() - tried["difference"].abs()
        best = tried.iloc[int(nearer.argmax())]
        without = ", ".join(f"`{name}`" for name in tried["settings"][nearer < 0.5])
        if nearer.max() >= 0.5:
            lead = f" Nearest with `{best['settings']}`: {best['difference']:+.2f}, a gain of {best['gain']:+.2f}."
        else:
            lead = " The cause is none of the settings tried."
        lines.append(start + lead + (f" Less than half a point nearer, or farther: {without}." if without else ""))
    return "\n".join(_together(frame) + lines) or "Every entry with a record is within a point of the printed figure."


def _together(frame: pd.DataFrame) -> list[str]:
    """What `causes` says first: what a setting tried on three or more entries is worth on all, the best first."""
    lines = {}
    for name, rows in frame.dropna(subset="gain").groupby("settings"):
        after, before = rows["difference"].abs(), (rows["difference"] - rows["gain"]).abs()
        if len(rows) > 2:
            said = (
                f"- **{len(rows)} together**, `{name}`: mean absolute difference {after.mean():.1f} points, "
                f"{before.mean():.1f} with the paper's settings; nearer in {(after < before).sum()}."
            )
            lines[said] = after.mean() - before.mean()
    return sorted(lines, key=lambda said: lines[said])


def lambdas(records: Iterable[Record]) -> pd.DataFrame:
    """The lambda that balances both terms of Eq. 4 on the untrained cloner, a row a training with the paper's settings.

    Columns: dataset, normalize (whether the input was), weights (of the source; no other setting may be another),
    balanced, and code: the fixed lambda of the reference code.
    """
    found = {}
    for record in records:
        experiment, recipe = record["experiment"], Recipe.from_dict(record["experiment"]["recipe"])
        if recipe.lam is None and changes(record).keys() - set(SCORING) <= {"normalize", "weights"}:
            settings = recipe.normalize, recipe.weights
            training = experiment["dataset"], *settings, paper.normal_of(experiment), experiment["seed"]
            found[training] = float(record["training"]["lam"])
    rows = [(*training[:3], lam, reference(training[0]).lam) for training, lam in found.items()]
    return pd.DataFrame(rows, columns=["dataset", "normalize", "weights", "balanced", "code"])


def label(changed: Mapping[str, Any]) -> str:
    """Settings of `changes` in words: `BASE`, or such as ``"lam=1.0, map_points=pool2+pool3"``."""
    values = {name: "+".join(value) if isinstance(value, list) else value for name, value in changed.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items()) or BASE
