"""One factor at a time: records sorted by the settings in which they differ from the paper's."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.experiments.records import Record
from kdlab.presets import VGG16S, recipe_for, reference
from kdlib.recipe import MAP, SCORE, SCORING, Recipe

BASE = "as the paper"
MAPS = {*MAP, "sigma", "opening"} - {*SCORE}  # settings that change no score


def changes(record: Record) -> dict[str, Any]:
    """The settings of a record's recipe that are not those of its data set, preset and profile, on either VGG-16."""
    experiment = record["experiment"]
    base = recipe_for(experiment["dataset"], preset=experiment["preset"], profile=experiment["profile"]).to_dict()
    recipe = Recipe.from_dict(experiment["recipe"]).to_dict()
    base["weights"] = recipe["weights"] if recipe["weights"] in VGG16S else base["weights"]
    return {name: value for name, value in recipe.items() if value != base[name]}


def weights_of(record: Record) -> str:
    """The weights of a record's source."""
    return str(Recipe.from_dict(record["experiment"]["recipe"]).weights)


def one_source(seen: Iterable[tuple[Hashable, str, Hashable, str]], base: str = BASE) -> dict[Hashable, str]:
    """Which of `VGG16S` a group of records is told of: never both, as they give other numbers.

    The paper's own, where a setting can be compared with ``base`` on it, or none can on the release's either.

    Args:
        seen: a group, the weights, where they are compared (such as class and seed), and the setting, of each record.
    """
    settings: dict[tuple[Hashable, str], dict[Hashable, set[str]]] = {}
    for group, weights, place, setting in seen:
        settings.setdefault((group, weights), {}).setdefault(place, set()).add(setting)
    most = {key: max(len(s) * (base in s) for s in places.values()) for key, places in settings.items()}
    found = {}
    for group, _ in most:
        own, other = (most.get((group, weights), 0) for weights in VGG16S)
        found[group] = VGG16S[0] if (group, VGG16S[0]) in most and own >= min(2, other) else VGG16S[1]
    return found


def factors(
    records: Iterable[Record], *, table: int, dataset: str, preset: str = "paper", profile: str = "paper"
) -> pd.DataFrame:
    """What each change of settings is worth, AUROC in %: a row a class or category and a change, the paper's own first.

    Columns: normal, settings (`BASE`, or such as ``"normalize=True"``), published (of the table's own row), ours (mean
    over seeds), spread (over seeds), seeds, difference (ours - published), gain (over the paper's own settings, on the
    seeds that both have; NaN where they share none), weights (of `one_source`, by class), experiments.
    """
    frame = paper.published(table=table, dataset=dataset, method=paper.OURS)
    task: str = frame["task"].iloc[0]
    printed = dict(zip(frame["column"], frame["auroc"].astype(float), strict=True))
    known = []
    for record in records:
        experiment = record["experiment"]
        if (experiment["dataset"], experiment["preset"], experiment["profile"]) == (dataset, preset, profile):
            changed = changes(record)
            if task == "detection" and changed.keys() & MAPS:
                continue  # it has the scores of the same settings without
            place = paper.normal_of(experiment), weights_of(record), experiment["seed"], label(changed)
            known.append((place, record))
    source = one_source(place for place, _ in known)
    groups: dict[tuple[str, str], list[Record]] = {}
    for (normal, weights, _, name), record in known:
        if weights not in VGG16S or weights == source[normal]:
            groups.setdefault((normal, name), []).append(record)
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
                "weights": source[normal],
                "experiments": paper.experiments(group, dataset, [normal]),
            }
        )
    columns = ["normal", "settings", "published", "ours", "spread", "seeds", "difference", "gain"]
    return pd.DataFrame(rows, columns=[*columns, "weights", "experiments"])


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

    Columns: dataset, normalize (whether the input was; the one setting that may be another), balanced, code: the fixed
    lambda of the reference code, and weights (of `one_source`, by data set).
    """
    found = {}
    for record in records:
        experiment, recipe = record["experiment"], Recipe.from_dict(record["experiment"]["recipe"])
        if recipe.lam is None and changes(record).keys() - set(SCORING) <= {"normalize"}:
            training = (
                experiment["dataset"],
                recipe.normalize,
                recipe.weights,
                paper.normal_of(experiment),
                experiment["seed"],
            )
            found[training] = float(record["training"]["lam"])
    source = one_source((dataset, weights, 0, BASE) for dataset, _, weights, *_ in found)
    rows = [
        (dataset, normalize, lam, reference(dataset).lam, weights)
        for (dataset, normalize, weights, *_), lam in found.items()
        if weights == source[dataset]
    ]
    return pd.DataFrame(rows, columns=["dataset", "normalize", "balanced", "code", "weights"])


def label(changed: Mapping[str, Any]) -> str:
    """Settings of `changes` in words: `BASE`, or such as ``"lam=1.0, map_points=pool2+pool3"``."""
    values = {name: "+".join(value) if isinstance(value, list) else value for name, value in changed.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items()) or BASE
