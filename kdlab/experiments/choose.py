"""From a table or a study of the paper to its experiments, and from experiments to the command that makes them."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kdlab import paper
from kdlab.experiments.experiment import Experiment
from kdlab.presets import recipe_for
from kdlab.studies import catalogue
from kdlib.data import ONE_VS_REST
from kdlib.errors import unknown
from kdlib.recipe import Recipe


def of_table(
    number: int,
    *,
    dataset: str | None = None,
    normals: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    preset: str = "paper",
    profile: str = "paper",
    **changes: Any,
) -> list[Experiment]:
    """The experiments behind the entries of a printed table that are the paper's own.

    Args:
        number: of the table.
        dataset, normals: only this data set, only these classes or categories.
        changes: settings of the recipe beside those of the table's own variants.
    """
    entries, what = paper.entries(table=number), f"table {number}"
    chosen = entries[entries["dataset"] == dataset] if dataset else entries
    _check(what, dataset, normals, entries["dataset"], chosen["column"])
    chosen = chosen[chosen["column"].isin(normals)] if normals else chosen
    _undecided(f"{what}: its rows", changes, *(paper.VARIANTS[entry] for entry in chosen["method"]))
    settings = {"preset": preset, "profile": profile}
    found = (
        Experiment.of(e["dataset"], e["column"], seed=seed, **settings, **paper.VARIANTS[e["method"]] | changes)
        for seed in seeds
        for e in chosen.to_dict("records")
    )
    return list(dict.fromkeys(found))  # one experiment may stand in several rows


def of_study(
    name: str,
    *,
    dataset: str | None = None,
    normals: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    profile: str | None = None,
    **changes: Any,
) -> list[Experiment]:
    """The experiments of an ablation study of `kdlab.studies.catalogue`, cheap ones first.

    Args:
        dataset, normals: only this data set, only these classes or categories.
        seeds, profile: instead of those of the study.
        changes: settings of the recipe beside those that the study compares.
    """
    study, what = catalogue.study(name), f"study {name}"
    cells = [cell for cell in study.cells if dataset in (None, cell.dataset)]
    known = [normal for cell in cells for normal in cell.normals]
    _check(what, dataset, normals, [cell.dataset for cell in study.cells], known)
    decided = (study.changes(label, cell.dataset) for cell in cells for label in study.settings)
    _undecided(f"{what}: its settings", changes, *decided)
    found = (
        study.experiment(label, cell.dataset, normal, seed=seed, profile=profile or cell.profile, **changes)
        for cell in cells
        for seed in seeds or cell.seeds
        for normal in cell.normals
        if not normals or normal in normals
        for label in study.labels(cell.dataset)
    )
    return list(dict.fromkeys(found))


def _check(
    what: str, dataset: str | None, normals: Sequence[str] | None, datasets: Iterable[str], known: Iterable[str]
) -> None:
    for kind, name, names in [("data set", dataset, datasets), *(("class", n, known) for n in normals or ())]:
        if name is not None and name not in (there := dict.fromkeys(names)):
            raise ValueError(unknown(f"{what}: no {kind}", name, there))


def _undecided(who: str, changes: Mapping[str, Any], *decided: Mapping[str, Any]) -> None:
    if both := changes.keys() & {key for each in decided for key in each}:
        raise ValueError(f"{who} decide {', '.join(sorted(both))}; it cannot be set as well")


def run_command(experiments: Iterable[Experiment]) -> str:
    """``python -m kdlab run …`` for these experiments and no others; a line each for unlike settings or seeds."""
    alike: dict[tuple[str, str, str, Recipe], dict[str, set[int]]] = {}
    for each in experiments:
        settings = each.dataset, each.preset, each.profile, each.recipe
        alike.setdefault(settings, {}).setdefault(each.normal, set()).add(each.seed)
    lines = []
    for (dataset, preset, profile, recipe), seeds in alike.items():
        default = vars(recipe_for(dataset, preset=preset, profile=profile))
        changes = [f"{name}={_plain(value)}" for name, value in vars(recipe).items() if value != default[name]]
        for wanted in dict.fromkeys(tuple(sorted(found)) for found in seeds.values()):
            names = [normal for normal, found in seeds.items() if found == {*wanted}]
            words = ["--dataset", dataset, "--normal-class" if dataset in ONE_VS_REST else "--category", *names]
            words += ["--set", *changes] if changes else []
            words += ["--preset", preset] if preset != "paper" else []
            words += ["--profile", profile] if profile != "paper" else []
            words += ["--seed", *map(str, wanted)] if wanted != (0,) else []
            lines.append(shlex.join(["python", "-m", "kdlab", "run", *words]))
    return "\n".join(lines)


def _plain(value: object) -> str:
    return json.dumps(value) if isinstance(value, tuple) else str(value)
