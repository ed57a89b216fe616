"""``python -m kdlib run``: experiments from the command line."""

import argparse
import ast
import sys

from kdlib.recipe import PRESETS, PROFILES
from kdlib.runs import Experiment, run


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments say; 2 where they, or the data, are not usable."""
    parser = argparse.ArgumentParser(prog="python -m kdlib", description="Multiresolution knowledge distillation.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run", help="run experiments that have no record yet")
    command.add_argument("--dataset", required=True, help="such as fashion_mnist, textures, mvtec_ad")
    command.add_argument("--normal-class", "--category", dest="normal", required=True, nargs="+", help="one or more")
    command.add_argument("--seed", type=int, nargs="+", default=[0])
    command.add_argument("--preset", choices=PRESETS, default="paper")
    command.add_argument("--profile", choices=PROFILES, default="paper")
    command.add_argument(
        "--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the recipe, such as lam=1"
    )
    options = parser.parse_args(arguments)
    try:
        changes = dict(parse_setting(setting) for setting in options.set)
        for seed in options.seed:
            for normal in options.normal:
                experiment = Experiment.of(
                    options.dataset, normal, seed=seed, preset=options.preset, profile=options.profile, **changes
                )
                record = run(experiment)
                print(
                    options.dataset, normal, f"seed {seed}", record["id"], record["metrics"]["image_auroc"], flush=True
                )
    except (ValueError, OSError) as error:
        print(f"kdlib: {error}", file=sys.stderr)
        return 2
    return 0


def parse_setting(text: str) -> tuple[str, object]:
    """``"lam=1"`` as a name and a Python value; what is no literal is a string."""
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--set: expected NAME=VALUE, found {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, float(value) if value == "inf" else value


if __name__ == "__main__":
    sys.exit(main())
