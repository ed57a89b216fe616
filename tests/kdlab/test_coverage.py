"""Every entry of the paper with ours beside it: figures from made records, commands, status."""

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Write

from kdlab import coverage, paper
from kdlab.experiments.experiment import Experiment
from kdlab.presets import PRESETS, VGG16S


def chosen(frame: pd.DataFrame, **wanted: object) -> Any:
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame


def one(frame: pd.DataFrame, **wanted: object) -> Any:
    (row,) = (row for _, row in chosen(frame, **wanted).iterrows())
    return row


def test_a_row_for_each_entry_in_the_order_of_the_paper(results: Path) -> None:
    frame = coverage.scoreboard()
    printed = paper.own_entries()
    assert list(frame.columns) == list(coverage.COLUMNS)
    assert len(frame) == 387
    for column in ("table", "task", "dataset", "method", "column", "plus_minus"):
        pd.testing.assert_series_equal(frame[column], printed[column])
    assert frame["published"].tolist() == printed["auroc"].tolist()
    assert frame["ours"].isna().all()
    assert set(frame["profile"]) == {coverage.NOT_RUN}


def test_figures_are_means_over_seeds(write: Write) -> None:
    write("fashion_mnist", "3", 0.93)
    write("fashion_mnist", "3", 0.95, seed=4)
    write("mvtec_ad", "bottle", None)  # an undefined metric is no figure
    row = one(coverage.scoreboard().dropna(subset="ours"))
    assert (row["table"], row["dataset"], row["column"]) == (2, "fashion_mnist", "3")
    assert row["published"] == 93.8
    assert row["plus_minus"] == pytest.approx(0.095)
    assert row["ours"] == pytest.approx(94)
    assert row["difference"] == pytest.approx(0.2)
    assert row["spread"] == pytest.approx(math.sqrt(2))
    assert (row["profile"], row["seeds"], row["preset"]) == ("paper", 2, "paper")
    assert row["command"] == "python -m kdlab run --dataset fashion_mnist --normal-class 3 --seed 0 4"


def test_one_record_settles_every_entry_of_its_experiment(write: Write) -> None:
    write("mvtec_ad", "bottle", 0.9)
    have = coverage.scoreboard().dropna(subset="ours")
    assert [(r.table, r.method, r.column) for r in have.itertuples()] == [
        (3, "MKDAD", "bottle"),
        (4, "MKDAD", "bottle"),
        (7, "last-4", "bottle"),
        (9, "cloner=small", "bottle"),
        (9, "loss=total", "bottle"),
        (11, "gradients+gaussian", "bottle"),
    ]
    assert have[have["task"] == "detection"]["ours"].tolist() == pytest.approx([90] * 4)
    assert have[have["task"] == "localization"]["ours"].tolist() == pytest.approx([95] * 2)  # all pixels


@pytest.mark.parametrize(
    ("dataset", "normal", "changes", "places"),
    [
        ("mvtec_ad", "bottle", {"sigma": 0.0}, [(11, "gradients")]),
        ("mnist", "1", {"critical_points": ["pool5"], "score_points": ["pool5"]}, [(8, "last-1")]),
        ("cifar10", "dog", {"lam": 0.0}, [(10, "loss=val")]),
        ("cifar10", "dog", {"lam": math.inf}, [(10, "loss=dir")]),
        ("cifar10", "dog", {"cloner": "equal"}, [(10, "cloner=equal")]),
        ("head_ct", "head_ct", {"augment": True}, [(6, "MKDAD+aug")]),
        ("head_ct", "head_ct", {}, [(6, "MKDAD")]),
        ("retinal_oct", "RESC", {}, [(5, "MKDAD")]),
        ("mnist", "1", {"lam": 7.0}, []),
        ("textures", "brick", {}, []),
    ],
)
def test_a_variant_is_its_recipe(
    write: Write, dataset: str, normal: str, changes: dict[str, Any], places: list[tuple[int, str]]
) -> None:
    write(dataset, normal, 0.9, **changes)
    have = coverage.scoreboard().dropna(subset="ours")
    assert [(r.table, r.method) for r in have.itertuples()] == places
    settings = {name: str(value) for name, value in changes.items() if not isinstance(value, list)}
    for command in have["command"]:
        assert all(f"{name}={value}" in command for name, value in settings.items())


def test_profiles(write: Write) -> None:
    """Paper before laptop; smoke never; a mean is of one profile or not run."""
    for number in range(10):
        write("fashion_mnist", str(number), 0.9, profile="laptop")
        write("mnist", str(number), 0.9, profile="laptop" if number else "paper")
    for number in range(9):
        write("fashion_mnist", str(number), 0.8)
    write("cifar10", "dog", 0.7, profile="smoke")
    frame = chosen(coverage.scoreboard(), table=2)
    fashion = chosen(frame, dataset="fashion_mnist").set_index("column")
    assert fashion["profile"].tolist() == ["paper"] * 9 + ["laptop"] * 2
    assert fashion.loc["0", "ours"] == pytest.approx(80)
    assert fashion.loc["mean", "ours"] == pytest.approx(90)
    assert fashion.loc["9", "command"].endswith("--normal-class 9 --profile laptop")
    digits = chosen(frame, dataset="mnist").set_index("column")
    assert digits["profile"].tolist() == ["paper"] + ["laptop"] * 9 + [coverage.NOT_RUN]
    assert math.isnan(digits.loc["mean", "ours"])
    assert set(chosen(frame, dataset="cifar10")["profile"]) == {coverage.NOT_RUN}
    counted = chosen(coverage.status(), preset="paper", table=2)[["dataset", "profile", "entries"]]
    assert counted.to_numpy().tolist() == [
        *(["cifar10", coverage.NOT_RUN, 11], ["fashion_mnist", "laptop", 2], ["fashion_mnist", "paper", 9]),
        *(["mnist", "laptop", 9], ["mnist", coverage.NOT_RUN, 1], ["mnist", "paper", 1]),
    ]


def test_a_mean_needs_all_that_is_behind_it(write: Write) -> None:
    """Also where the table prints nothing but the mean."""
    categories = paper.normals("mvtec_ad")
    assert len(categories) == 15
    for number, category in enumerate(categories):
        assert coverage.scoreboard()["ours"][3] != pytest.approx(95)
        write("mvtec_ad", category, 0.8 + number / 100)
        if number == 0:
            write("mvtec_ad", category, 0.82, seed=1)
    frame = coverage.scoreboard()
    mean = 80 + (1 + sum(range(15))) / 15  # of 81 and 81 to 94
    for number, ours in ((1, mean + 5), (3, mean), (4, mean + 5), (7, mean), (11, mean + 5)):
        method = {1: "gradients+gaussian", 7: "last-4", 11: "gradients+gaussian"}.get(number, paper.OURS)
        row = one(frame, table=number, method=method, column="mean")
        assert row["ours"] == pytest.approx(ours)
        assert row["seeds"] == 1  # of the category that has fewest
        assert row["command"].endswith(" --seed 0 1")  # of all: what has a record is skipped


def test_status_of_everything(write: Write) -> None:
    write("fashion_mnist", "3", 0.93)
    write("fashion_mnist", "4", 0.94, normalize=True)  # another recipe
    found = coverage.status()
    assert found.groupby("preset")["entries"].sum().to_dict() == dict.fromkeys(PRESETS, 387)
    assert set(found["table"]) == set(range(1, 12))
    run = one(found, profile="paper")
    assert (run["preset"], run["table"], run["dataset"]) == ("paper", 2, "fashion_mnist")
    assert (run["entries"], run["mean_absolute_difference"]) == (1, 0.8)
    assert chosen(found, profile=coverage.NOT_RUN)["mean_absolute_difference"].isna().all()


def test_presets_and_weights_stay_apart(write: Write) -> None:
    write("mnist", "3", 0.9, preset="reference")
    write("mnist", "4", 0.8, weights="vgg-release")
    assert coverage.scoreboard()["ours"].isna().all()
    release = one(coverage.scoreboard(weights="vgg-release").dropna(subset="ours"))
    assert (release["column"], release["ours"]) == ("4", pytest.approx(80))
    assert release["command"] == "python -m kdlab run --dataset mnist --normal-class 4 --set weights=vgg-release"
    run = [chosen(coverage.status(weights=weights), profile="paper")["preset"].tolist() for weights in VGG16S]
    assert run == [["reference"], ["paper"]]
    row = one(coverage.scoreboard(preset="reference").dropna(subset="ours"))
    assert (row["table"], row["column"], row["preset"]) == (2, "3", "reference")
    assert row["command"] == "python -m kdlab run --dataset mnist --normal-class 3 --preset reference"


def test_notes(write: Write) -> None:
    """Where a copy of the data differs from the original, and where the paper prints one experiment twice."""
    for category in paper.normals("mvtec_ad"):
        write("mvtec_ad", category, 0.9, note="13 are missing" if category == "capsule" else "")
    frame = coverage.scoreboard()
    assert one(frame, table=3, method=paper.OURS, column="capsule")["note"] == "13 are missing"
    assert one(frame, table=3, method=paper.OURS, column="mean")["note"] == "capsule: 13 are missing"
    assert one(frame, table=3, method=paper.OURS, column="bottle")["note"] == ""
    twice = one(frame, table=7, method="last-4", column="cable")["note"]
    assert re.fullmatch(r"Table 3 prints \d\d\.\d\d; Table 9 prints \d\d\.\d\d", twice)
    first = one(frame, table=1, method="gradients+gaussian", column="mean")["note"]
    assert first.startswith("Table 4 prints 90.71; Table 11 prints 90.71; capsule: ")


@pytest.mark.parametrize(("preset", "profile", "seeds"), [("paper", "paper", [0]), ("reference", "laptop", [2, 0])])
def test_a_command_lists_the_experiments_of_its_entry_and_no_others(
    preset: str, profile: str, seeds: list[int], results: Path, dry_run: Callable[[str], list[Experiment]]
) -> None:
    seen: dict[str, set[Experiment]] = {}
    entries: list[Any] = paper.own_entries().to_dict("records")
    for entry in entries:
        dataset, behind = entry["dataset"], paper.normals(entry["dataset"], entry["column"])
        command = coverage.command(entry, preset=preset, profile=profile, seeds=seeds)
        if command not in seen:
            listed = dry_run(command)
            seen[command] = set(listed)
            assert len(listed) == len(behind) * len(seeds)
        settings = paper.VARIANTS[entry["method"]]
        wanted = {(normal, seed) for normal in behind for seed in seeds}
        assert seen[command] == {
            Experiment.of(dataset, n, seed=s, preset=preset, profile=profile, **settings) for n, s in wanted
        }, command
    assert len(seen) > 200


def test_hundreds_of_records_take_less_than_a_second(write: Write) -> None:
    for seed in range(10):
        for category in paper.normals("mvtec_ad"):
            write("mvtec_ad", category, 0.9, seed=seed)
            write("mvtec_ad", category, 0.9, seed=seed, cloner="equal")
    start = time.process_time()
    frame = coverage.scoreboard()
    assert time.process_time() - start < 1
    assert (frame["seeds"] == 10).sum() == 7 * 16 + 1  # with the mean of Table 1
