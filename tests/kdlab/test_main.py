"""``python -m kdlab``."""

import json
import math
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import keep_record
from PIL import Image
from sklearn.datasets import load_digits

from kdlab.__main__ import main
from kdlab.experiments.records import records
from kdlab.textures import make_category
from kdlib.__main__ import parse_settings

pytestmark = pytest.mark.usefixtures("results")


def test_run(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--dataset", "digits", "--normal", "0", "1", "--seed", "3", "--profile", "smoke"]
    arguments += ["--workers", "1", "--set", "train_limit=8", "test_limit=20", "epochs=1", "lam=inf"]
    assert main(arguments) == 0
    made = {r["experiment"]["normal_class"]: r for r in records()}
    assert set(made) == {"0", "1"}
    assert made["0"]["experiment"]["seed"] == 3
    assert made["0"]["experiment"]["recipe"]["lam"] == "inf"
    lines = capsys.readouterr().out.splitlines()
    for line, normal in zip(lines, "01", strict=True):
        area = 100 * made[normal]["metrics"]["image_auroc"]["mean_last_10"]
        expected = f"digits {normal} seed 3 {made[normal]['id']}: image AUROC {area:.2f} (last evaluation)"
        assert line.startswith(expected)
        assert f"({int(normal) + 1} of 2 done, {1 - int(normal)} running, 0 failed" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--dataset digit --normal 0", "no data set 'digit'; did you mean 'digits'?"),
        ("--dataset digits --normal zero", "digits: no class 'zero'; known are 0, 1, 2"),
        ("", "expected --table, --study, or --dataset"),
        ("--dataset digit", "no 'digit'; did you mean 'digits'?"),
        ("--table 12", "its tables are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"),
        ("--dataset digits --normal 0 --workers 0", "--workers: expected 1 or more, found 0"),
        ("--table 2 --dataset mnits", "table 2: no data set 'mnits'; did you mean 'mnist'?"),
        ("--table 3 --category botle", "table 3: no class 'botle'; did you mean 'bottle'?"),
        ("--table 7 --set critical_points=('pool5',)", "table 7: its rows decide critical_points"),
        ("--dataset digits --normal 0 --profile fast", "no 'fast'; known are smoke, laptop, paper"),
        ("--dataset digits --normal 0 --preset Paper", "preset: no 'Paper'; did you mean 'paper'?"),
        ("--dataset digits --normal 0 --workers 2 --scheduler tcp://here:1", "leave one of the"),
        ("--dataset mvtec_ad --normal bottle", "mvtec_ad: no folder"),
        ("--dataset digits --normal 0 --set epochs", "--set: expected NAME=VALUE, found 'epochs'"),
        ("--dataset digits --normal 0 --set epoch=3", "did you mean 'epochs'? Known are weights"),
        ("--dataset digits --normal 0 --set lam=1 --set lam=2", "--set: lam comes twice"),
        ("--dataset digits --normal 0 --set epochs=0", "epochs is 0, expected more than 0"),
        ("--dataset digits --normal 0 --set epochs=ten", "epochs is 'ten', expected"),
        ("--dataset digits --normal 0 --set weights=[1]", "weights is [1], expected"),
        ("--study loss_term", "no study 'loss_term'; did you mean 'loss_terms'? Known are critical_points"),
        ("--study loss_terms --table 2", "--study and --table: a study has its own settings"),
        ("--study loss_terms --preset reference", "--study and --preset: a study has its own settings"),
        ("--study loss_terms --set lam=3", "its settings decide lam; it cannot be set as well"),
        ("--study loss_terms --dataset mnits", "loss_terms: no data set 'mnits'; did you mean 'mnist'?"),
        ("--study loss_terms --category botle", "loss_terms: no class 'botle'; did you mean 'bottle'?"),
    ],
)
def test_unusable_arguments(arguments: str, message: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("kdlib: ")
    assert message in err
    assert not list(results.glob("**/*.json"))


@pytest.mark.parametrize(
    ("device", "asked", "workers"), [("cpu", [], 7), ("cuda", [], 1), ("cpu", ["--workers", "3"], 3)]
)
def test_one_process_per_processor(
    device: str, asked: list[str], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def run_all(*_: object, workers: int, **__: object) -> list[object]:
        found.append(workers)
        return []

    monkeypatch.setattr("kdlab.__main__.default_device", lambda: torch.device(device))
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    monkeypatch.setattr("kdlab.experiments.run_many.run_all", run_all)
    assert main(["run", "--dataset", "digits", "--profile", "smoke", *asked]) == 0
    assert found == [workers]


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--seed", "one"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m kdlab" in capsys.readouterr().err


def test_settings() -> None:
    text = ["lam=inf", "score_lam=1", "map_lam=None", "normalize=True", "cloner=equal", "score_points=('pool3',)"]
    found = {"lam": math.inf, "score_lam": 1, "map_lam": None, "normalize": True, "cloner": "equal"}
    assert parse_settings(text) == found | {"score_points": ("pool3",)}


def test_dry_run_runs_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["run", "--dataset", "digits", "--profile", "smoke", "--set", "train_limit=8", "test_limit=20"]
    assert main([*tiny, "--normal", "0", "1", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err.endswith(f"{results} holds no record\n")
    assert [line.split(" ", 5)[-1] for line in lines[:2]] == ["to do, time unknown"] * 2
    assert lines[2] == "2 to do: time unknown of work"
    assert not list(results.glob("**/*.json"))
    assert main([*tiny, "--normal", "0"]) == main([*tiny, "--normal", "0", "1", "--dry-run"]) == 0
    done, todo, total = capsys.readouterr().out.splitlines()[-3:]
    assert done.endswith(" done")
    assert re.search(r"to do, about \d+ s$", todo)
    assert re.match(r"1 to do: about \d+ s of work", total)


def test_a_data_set_alone_is_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--profile", "smoke", "--dry-run"]
    assert main(["run", "--dataset", "digits", *tiny]) == 0
    *listed, total = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in listed] == list("0123456789")
    assert total.startswith("10 to do")
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    assert main(["run", "--dataset", "mvtec_ad", *tiny]) == 2  # without the folder: all are missing
    assert "mvtec_ad: no folder" in capsys.readouterr().err
    make_category(tmp_path / "mvtec_ad", "brick")  # none of the original
    assert main(["run", "--dataset", "mvtec_ad", *tiny]) == 2
    assert "no category of mvtec_ad is here" in capsys.readouterr().err
    (tmp_path / "mvtec_ad" / "brick").rename(tmp_path / "mvtec_ad" / "bottle")
    assert main(["run", "--dataset", "mvtec_ad", *tiny]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[:-1]] == ["bottle"]


def test_dry_run_tells_of_a_record_of_other_data(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["run", "--dataset", "digits", "--normal", "0", "--profile", "smoke", "--set", "train_limit=8", "epochs=1"]
    assert main(tiny) == 0
    (path,) = results.glob("*/*.json")
    keep_record(json.loads(path.read_text()) | {"id": "0123456789abcdef"}, results)  # other images give another id
    path.unlink()
    capsys.readouterr()
    assert main([*tiny, "--dry-run"]) == 0
    assert "(record 0123456789abcdef is of other data or weights)" in capsys.readouterr().out


def test_data_lists_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    pictures = load_digits().images.astype(np.uint8)
    for number in range(13):
        for part, shift in (("no", 0), ("yes", 13)):
            (tmp_path / "brain_mri" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[number + shift]).save(tmp_path / "brain_mri" / part / f"{number}.png")
    assert main(["data", "brain_mri", "head_ct"]) == 0
    here, away = capsys.readouterr().out.split("\n\n")
    assert re.search(r"brain_mri +3 for training, +10 normal and +13 anomalous for testing  \w+ \w+  DIFFERS", here)
    assert "PROBLEM" not in here + away
    (tmp_path / "brain_mri" / "yes" / "3.png").write_text("no image")
    assert main(["data", "brain_mri", "head_ct"]) == 1
    text = capsys.readouterr().out
    assert "DIFFERS from the original's 88 + 10 + 155" in text
    assert "yes/3.png: not a readable image" in text
    assert "not here; offered at https://www.kaggle.com" in text
    assert main(["data", "mnits"]) == 2
    assert "did you mean 'mnist'?" in capsys.readouterr().err


def test_status_as_json_and_as_text(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == f"{results} holds no record\n"
    rows = json.loads(said.out)
    row, other = (row for row in rows if (row["table"], row["dataset"]) == (2, "mnist"))
    assert (row["preset"], row["profile"], row["entries"]) == ("paper", "not run", 11)  # ten classes and their mean
    assert other == row | {"preset": "reference"}
    assert main(["status"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(rows)


def test_a_reader_that_goes_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there, here = os.pipe()
    os.close(there)
    with os.fdopen(here, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["status"]) == 141
    assert capsys.readouterr().err.endswith("holds no record\n")
