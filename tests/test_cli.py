"""``python -m kdlib``."""

import csv
import json
import math
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kdlib import Detector, Split
from kdlib.__main__ import main, parse_settings
from kdlib.data.textures import make_category
from kdlib.records import digest, records


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def test_run(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["train_limit=8", "test_limit=20", "epochs=1", "lam=inf"]
    arguments = [
        "run",
        "--dataset",
        "digits",
        "--normal",
        "0",
        "1",
        "--seed",
        "3",
        "--profile",
        "smoke",
        "--set",
        *settings,
    ]
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
        (["--dataset", "digit", "--normal", "0"], "no data set 'digit'; did you mean 'digits'?"),
        (["--dataset", "digits", "--normal", "zero"], "digits: no class 'zero'; known are 0, 1, 2"),
        ([], "expected --table, --study, or --dataset"),
        (["--dataset", "digit"], "no 'digit'; did you mean 'digits'?"),
        (["--table", "12"], "its tables are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"),
        (["--dataset", "digits", "--normal", "0", "--workers", "0"], "--workers: expected 1 or more, found 0"),
        (["--table", "2", "--dataset", "mnits"], "table 2: no data set 'mnits'; did you mean 'mnist'?"),
        (["--table", "3", "--category", "botle"], "table 3: no class 'botle'; did you mean 'bottle'?"),
        (["--table", "7", "--set", "critical_points=('pool5',)"], "table 7: its rows decide critical_points"),
        (["--dataset", "digits", "--normal", "0", "--profile", "papr"], "profile: no 'papr'; did you mean 'paper'?"),
        (["--dataset", "digits", "--normal", "0", "--preset", "Paper"], "preset: no 'Paper'; did you mean 'paper'?"),
        (["--dataset", "digits", "--normal", "0", "--workers", "2", "--scheduler", "tcp://here:1"], "leave one of the"),
        (["--dataset", "mvtec_ad", "--normal", "bottle"], "mvtec_ad: no folder"),
        (["--dataset", "digits", "--normal", "0", "--set", "epochs"], "--set: expected NAME=VALUE, found 'epochs'"),
        (
            ["--dataset", "digits", "--normal", "0", "--set", "epoch=3"],
            "no setting 'epoch'; did you mean 'epochs'? Known are weights",
        ),
        (["--dataset", "digits", "--normal", "0", "--set", "lam=1", "--set", "lam=2"], "--set: lam comes twice"),
        (["--dataset", "digits", "--normal", "0", "--set", "epochs=0"], "epochs is 0, expected more than 0"),
        (["--dataset", "digits", "--normal", "0", "--set", "epochs=ten"], "epochs is 'ten', expected"),
        (["--dataset", "digits", "--normal", "0", "--set", "weights=[1]"], r"weights is [1], expected"),
    ],
)
def test_unusable_arguments(
    arguments: list[str], message: str, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("kdlib: ")
    assert message in err
    assert not list(results.glob("**/*.json"))


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "--seed", "one"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m kdlib" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lam=1", ("lam", 1)),
        ("lam=inf", ("lam", math.inf)),
        ("lam=None", ("lam", None)),
        ("normalize=True", ("normalize", True)),
        ("cloner=equal", ("cloner", "equal")),
        ("score_points=('pool3',)", ("score_points", ("pool3",))),
    ],
)
def test_settings(text: str, expected: tuple[str, object]) -> None:
    assert parse_settings([text]) == dict([expected])


def test_dry_run_runs_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["run", "--dataset", "digits", "--profile", "smoke", "--set", "train_limit=8", "test_limit=20"]
    assert main([*tiny, "--normal", "0", "1", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 5)[-1] for line in lines[:2]] == ["to do, time unknown"] * 2
    assert lines[2].startswith("2 to do: time unknown of work, 0.0 GB of disk")
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
    record = json.loads(path.read_text()) | {"id": "0123456789abcdef"}  # as if other images had given another id
    path.unlink()
    path = path.with_name("0123456789abcdef.json")
    path.write_text(json.dumps(record | {"sha256": digest(record)}))
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
    assert main(["data", "brain_mri", "head_ct", "--json"]) == 0
    here, away = json.loads(capsys.readouterr().out)
    assert here["parts"][0]["counts"] == [3, 10, 13]
    assert here["parts"][0]["official"] == [88, 10, 155]
    assert (here["problems"], away["folder"], away["parts"]) == ([], "", [])
    (tmp_path / "brain_mri" / "yes" / "3.png").write_text("no image")
    assert main(["data", "brain_mri", "head_ct"]) == 1
    text = capsys.readouterr().out
    assert "DIFFERS from the original's 88 + 10 + 155" in text
    assert "yes/3.png: not a readable image" in text
    assert "not here; offered at https://www.kaggle.com" in text
    assert main(["data", "mnits"]) == 2
    assert "did you mean 'mnist'?" in capsys.readouterr().err


def test_status_as_json_and_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    (row,) = (row for row in rows if (row["table"], row["dataset"]) == (2, "mnist"))
    assert row == {
        "table": 2,
        "dataset": "mnist",
        "entries": 11,  # ten classes and their mean
        "profile": "",
        "records": 0,
        "mean_absolute_difference": None,
    }
    assert main(["status"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(rows)


def test_a_reader_that_goes_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there, here = os.pipe()
    os.close(there)
    with os.fdopen(here, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["status"]) == 141
    assert not capsys.readouterr().err


# --- fit, score, localize ---------------------------------------------------------------------------------------------

TINY_FIT = ["--seed", "1", "--set", "size=32", "epochs=1", "precision=fp32"]


@pytest.fixture
def place(tmp_path: Path, digits: Split) -> Path:
    """Folders ``good``, ``apart`` and ``new`` with digits of 8 x 8."""
    parts = {"good": digits.train[:12], "apart": digits.train[12:18], "new": digits.test[:5]}
    for name, images in parts.items():
        (tmp_path / name).mkdir()
        for number in range(len(images)):
            images.image(number).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.fixture
def file(place: Path, fitted: Detector) -> str:
    """A detector of images of 8 x 8."""
    fitted.save(path := place / "detector.safetensors")
    detector = Detector.load(path)
    detector.image_size = 8, 8
    detector.save(path)
    return str(path)


def test_a_folder_from_good_images_to_maps(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, new = str(place / "to" / "detector.safetensors"), place / "new"
    assert main(["fit", str(place / "good"), file, *TINY_FIT, "--held-out", "0.25"]) == 0
    detector = Detector.load(file)
    assert (detector.seed, detector.recipe.size, detector.recipe.normalize) == (1, 32, True)
    assert detector.image_size == (8, 8)
    out, err = capsys.readouterr()
    threshold = f"{detector.threshold():.6g}"
    assert re.fullmatch(
        rf"{file}: 9 images trained on, 3 held out, \d+ s; threshold {threshold}, quantile 0.99 of 3 good images\n", out
    )
    assert err == "kdlib: 3 good images cannot give quantile 0.99: expect 1 good image in 4 to be flagged\n"

    assert main(["score", file, str(new), "--quantile", "0.5"]) == 0
    out, err = capsys.readouterr()
    assert err == f"kdlib: threshold {detector.threshold(0.5):.6g}, quantile 0.5 of 3 good images\n"
    rows = list(csv.DictReader(out.splitlines()))
    scores = dict(zip([f"{n}.png" for n in range(5)], detector.score(new), strict=True))
    assert [row["name"] for row in rows] == sorted(scores, key=lambda name: -scores[name])
    for row in rows:
        assert float(row["score"]) == pytest.approx(scores[row["name"]], rel=1e-5)
        assert row["anomalous"] == str(int(scores[row["name"]] > detector.threshold(0.5)))

    assert main(["localize", file, str(new), str(place / "maps")]) == 0
    maps = detector.localize(new)
    expected = 255 * (maps - maps.min()) / (maps.max() - maps.min())
    np.testing.assert_allclose(written_maps(place), expected, atol=1)
    low, high = f"{maps.min():.6g}", f"{maps.max():.6g}"
    assert (
        f"black is {low}, white is {high}; other images on this scale: --scale {low} {high}" in capsys.readouterr().err
    )


def written_maps(place: Path) -> np.ndarray:
    assert sorted(path.name for path in (place / "maps").iterdir()) == [f"{n}_map.png" for n in range(5)]
    return np.stack([np.asarray(Image.open(place / "maps" / f"{n}_map.png")) for n in range(5)])


def test_threshold_from_images_apart(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "detector.safetensors"
    file.touch()  # as mktemp leaves it
    arguments = ["fit", str(place / "good"), str(file), *TINY_FIT, "--apart", str(place / "apart")]
    assert main([*arguments, "--held-out", "0"]) == 0
    assert "12 images trained on, 0 held out, 6 apart" in capsys.readouterr().out
    detector = Detector.load(file)
    np.testing.assert_array_equal(detector.held_out_scores, detector.score(place / "apart"))
    (place / "good/2.png").write_bytes((place / "apart/4.png").read_bytes())
    assert main(arguments) == 0  # a detector is replaced
    out, err = capsys.readouterr()
    assert "10 images trained on, 2 held out, 6 apart" in out
    assert f"1 copies, such as {place}/apart/4.png, the same as {place}/good/2.png" in err


def test_a_given_threshold_and_none(
    place: Path, file: str, fitted: Detector, capsys: pytest.CaptureFixture[str]
) -> None:
    middle = f"{np.median(fitted.score(place / 'new')):.6g}"
    assert main(["score", file, str(place / "new"), "--threshold", middle]) == 0
    out, err = capsys.readouterr()
    assert [row["anomalous"] for row in csv.DictReader(out.splitlines())][:2] == ["1", "1"]
    assert err == f"kdlib: threshold {middle}, as given\n"
    detector = Detector.load(file)
    detector.held_out_scores = None
    detector.save(file)
    assert main(["score", file, str(place / "new")]) == 0
    out, err = capsys.readouterr()
    assert [row["anomalous"] for row in csv.DictReader(out.splitlines())] == [""] * 5
    assert "no threshold, as no good images were held out: fit with --held-out or --apart, or give --threshold" in err


def test_a_given_scale(place: Path, file: str, fitted: Detector) -> None:
    maps = fitted.localize(place / "new")
    low, high = (f"{value:.6g}" for value in np.quantile(maps, [0.2, 0.8]))
    assert main(["localize", file, str(place / "new"), str(place / "maps"), "--scale", low, high]) == 0
    expected = 255 * ((maps - float(low)) / (float(high) - float(low))).clip(0, 1)
    np.testing.assert_allclose(written_maps(place), expected, atol=1.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit good new/0.png", "new/0.png: exists and is no detector; name another file to write"),
        ("fit good new", "new: is a folder; fit takes the images first, then the file to write"),
        ("fit detector.safetensors other", "detector.safetensors: is a file, expected a folder of images"),
        ("fit good new/0.png/d", "new/0.png: cannot be written (it is a file); free it, or name another folder"),
        ("fit nowhere other/d", "nowhere: no such folder"),
        ("fit good other --apart wide", "wide: images of 16x8, the good ones have 8x8: another shape"),
        ("fit good other --held-out 1", "held_out is 1.0, expected a part of the images from 0 to below 1"),
        ("fit good other --set train_limit=5", "--set: train_limit is for experiments; fit takes all images"),
        ("fit good other --set test_limit=5", "--set: test_limit is for experiments"),
        ("fit good other --set size=32 size=64", "--set: size comes twice"),
        ("score new/0.png new", "new/0.png: is an image; score takes the detector first, then the folder of images"),
        ("score new detector.safetensors", "new: is a folder; score takes the detector first"),
        ("score nowhere.safetensors new", "nowhere.safetensors: no such file"),
        ("score notes.txt new", "notes.txt: not a safetensors file"),
        ("score detector.safetensors wide", "wide: images of 16x8, the good ones have 8x8: another shape"),
        ("localize new detector.safetensors maps", "new: is a folder; localize takes the detector first"),
        ("localize detector.safetensors new new", "new: is the folder of the images; name another one for the maps"),
        ("localize detector.safetensors new ./apart/../new", "is the folder of the images"),
        ("localize detector.safetensors new notes.txt", "notes.txt: cannot be written (it is a file)"),
        ("localize detector.safetensors new maps --scale 2 1", "--scale: expected LOW below HIGH, found 2 and 1"),
        ("localize detector.safetensors twins maps", "twins: a.bmp and a.png would have one map; rename one of them"),
    ],
)
def test_what_a_batch_job_refuses(
    arguments: str,
    message: str,
    place: Path,
    file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(Detector, "fit", lambda *_, **__: pytest.fail("trained")) if "--held" not in arguments else None
    Path("notes.txt").write_text("no tensors")
    for name, size in (("wide/0.png", (16, 8)), ("twins/a.png", (8, 8)), ("twins/a.bmp", (8, 8))):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("L", size).save(name)
    before = {path: path.read_bytes() for path in place.glob("**/*.*") if path.is_file()}
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err[:7]) == ("", "kdlib: ")
    assert message in err
    assert "delete" not in err
    assert "KDLIB" not in err
    assert {path: path.read_bytes() for path in place.glob("**/*.*") if path.is_file()} == before


def test_images_of_another_size(place: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same shape: a note, for they may show more or less of the part."""
    for path in (place / "new").iterdir():
        Image.open(path).resize((16, 16)).save(path)
    assert main(["score", file, str(place / "new")]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 6
    assert f"{place / 'new'}: images of 16x16, the good ones have 8x8; this is right if they show the same" in err


@pytest.mark.parametrize("options", [["--threshold", "nan"], ["--threshold", "1", "--quantile", "0.5"]])
def test_unusable_thresholds(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["score", "detector", "new", *options])
    assert "--threshold" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit", "score", "localize"])
def test_help_says_what_each_argument_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    for argument in re.findall(r"^  (?:--?)?\w[\w-]*.*", text, re.MULTILINE):
        assert re.search(r"\S {2,}\S", argument) or len(argument) > 20, argument  # long ones go on in the next line
    assert ("0.99 by default" in text) == (command == "score")
