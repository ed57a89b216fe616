"""The shell commands that make records again."""

import json
import shlex
from collections.abc import Iterable

from kdlab.experiments.experiment import Experiment
from kdlab.presets import recipe_for
from kdlib.data import ONE_VS_REST
from kdlib.recipe import Recipe


def run_command(experiments: Iterable[Experiment]) -> str:
    """``python -m kdlab run …`` for these experiments and no others; a line each for unlike settings or seeds."""
    seeds: dict[tuple[str, str, str, Recipe], dict[str, list[int]]] = {}
    for each in dict.fromkeys(experiments):
        alike = seeds.setdefault((each.dataset, each.preset, each.profile, each.recipe), {})
        alike.setdefault(each.normal, []).append(each.seed)
    lines = []
    for (dataset, preset, profile, recipe), by_normal in seeds.items():
        normals: dict[tuple[int, ...], list[str]] = {}
        for normal, found in by_normal.items():
            normals.setdefault(tuple(sorted(found)), []).append(normal)
        default = vars(recipe_for(dataset, preset=preset, profile=profile))
        changes = [f"{name}={_plain(value)}" for name, value in vars(recipe).items() if value != default[name]]
        for wanted, names in normals.items():
            words = ["--dataset", dataset, "--normal-class" if dataset in ONE_VS_REST else "--category", *names]
            words += ["--set", *changes] if changes else []
            words += ["--preset", preset] if preset != "paper" else []
            words += ["--profile", profile] if profile != "paper" else []
            words += ["--seed", *map(str, wanted)] if wanted != (0,) else []
            lines.append(shlex.join(["python", "-m", "kdlab", "run", *words]))
    return "\n".join(lines)


def _plain(value: object) -> str:
    return json.dumps(value) if isinstance(value, tuple) else str(value)
