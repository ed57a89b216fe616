"""``kdlib fit | score | localize`` in shells as they are: globs, odd names, closed pipes, folders of others."""

import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from kdlib import Detector, Gaussian, Memory, Split
from kdlib.__main__ import LEFT_OUT, main
from kdlib.data.reading import LeftOut
from kdlib.files import cache_folder, data_folder, write_atomically
from kdlib.memory import Positions

TINY_FIT = ["--set", "size=32", "epochs=1", "precision=fp32"]
Captured = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def detector(fitted: Detector, tmp_path: Path) -> Detector:
    """Of images of 8 x 8; its file is ``d``."""
    fitted.save(tmp_path / "d")
    detector = Detector.load(tmp_path / "d")
    detector.image_size = 8, 8
    detector.save(tmp_path / "d")
    return detector


@pytest.fixture(autouse=True)
def place(tmp_path: Path, digits: Split, detector: Detector, monkeypatch: Patch) -> Path:
    """The current folder: ``d``, and ``good``, ``apart`` and ``new`` with digits of 8 x 8."""
    monkeypatch.chdir(tmp_path)
    for name, images in {"good": digits.train[:12], "apart": digits.train[12:18], "new": digits.test[:5]}.items():
        Path(name).mkdir()
        for number in range(len(images)):
            images.image(number).save(f"{name}/{number}.png")
    return tmp_path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def written_maps() -> np.ndarray:
    assert sorted(path.name for path in Path("maps").glob("*.png")) == [f"{n}_map.png" for n in range(5)]
    return np.stack([np.asarray(Image.open(f"maps/{n}_map.png")) for n in range(5)])


def test_a_folder_from_good_images_to_maps(capsys: Captured) -> None:
    assert main(["fit", "good", "to/e", "--seed", "1", *TINY_FIT, "--held-out", "0.25"]) == 0
    detector = Detector.load("to/e")
    assert (detector.seed, detector.recipe.size, detector.recipe.normalize) == (1, 32, True)
    assert detector.image_size == (8, 8)
    out, err = capsys.readouterr()
    limit = f"{detector.threshold(1):.6g}"
    about = rf"to/e: 9 images trained on, 3 held out, \d+ s; threshold {limit}, quantile 0.99 of 3 good images\n"
    assert re.fullmatch(about, out)
    expected = "expect 1 good image in 4 to be flagged; calibrate with 99 or more, or lower the quantile"
    assert err == f"kdlib: 3 good images cannot give quantile 0.99: {expected}\n"

    assert main(["score", "to/e", "new", "--quantile", "0.5"]) == 0
    out, err = capsys.readouterr()
    assert err == f"kdlib: threshold {detector.threshold(0.5):.6g}, quantile 0.5 of 3 good images\n"
    scores = dict(zip([f"{n}.png" for n in range(5)], detector.score("new"), strict=True))
    assert [row["name"] for row in rows(out)] == sorted(scores, key=lambda name: -scores[name])
    for row in rows(out):
        assert float(row["score"]) == pytest.approx(scores[row["name"]], rel=1e-5)
        assert row["anomalous"] == str(int(scores[row["name"]] > detector.threshold(0.5)))

    assert main(["localize", "to/e", "new", "maps"]) == 0
    maps = detector.localize("new")
    np.testing.assert_allclose(written_maps(), 255 * (maps - maps.min()) / (maps.max() - maps.min()), atol=1)
    low, high = f"{maps.min():.6g}", f"{maps.max():.6g}"
    scale = f"black is {low}, white is {high}; other images on this scale: --scale {low} {high}"
    assert scale in capsys.readouterr().err


@pytest.mark.parametrize("method", [Memory, Gaussian])
def test_methods_without_a_cloner(method: type[Positions], capsys: Captured) -> None:
    fit = ["fit", "--method", method.__name__.lower(), "good", "d", "--set"]
    for _ in range(2):  # first in place of a cloner
        assert main([*fit, "size=32", "precision=fp32", "sigma=1"]) == 0
    assert "10 images trained on, 2 held out" in capsys.readouterr().out
    assert main(["score", "d", "new"]) == main(["localize", "d", "new", "maps"]) == 0
    best = rows(capsys.readouterr().out)[0]
    assert float(best["score"]) == pytest.approx(method.load("d").score("new").max(), rel=1e-4)
    assert written_maps().shape == (5, 32, 32)
    assert main([*fit, "epochs=3"]) == 2
    assert "epochs is a setting of the cloner" in capsys.readouterr().err


def test_threshold_from_images_apart(capsys: Captured) -> None:
    Path("e").touch()  # as mktemp leaves it
    arguments = ["fit", "good", "e", *TINY_FIT, "--apart", "apart"]
    assert main([*arguments, "--held-out", "0"]) == 0
    assert "12 images trained on, 0 held out, 6 apart" in capsys.readouterr().out
    detector = Detector.load("e")
    np.testing.assert_array_equal(detector.held_out_scores, detector.score("apart"))
    assert main(arguments) == 0  # a detector is replaced
    assert "10 images trained on, 2 held out, 6 apart" in capsys.readouterr().out


def test_a_given_threshold_and_none(detector: Detector, capsys: Captured) -> None:
    middle = f"{np.median(detector.score('new')):.6g}"
    assert main(["score", "d", "new", "--threshold", middle]) == 0
    out, err = capsys.readouterr()
    assert [row["anomalous"] for row in rows(out)][:2] == ["1", "1"]
    assert err == f"kdlib: threshold {middle}, as given\n"
    detector.held_out_scores = None
    detector.save("d")
    assert main(["score", "d", "new"]) == 0
    out, err = capsys.readouterr()
    assert [row["anomalous"] for row in rows(out)] == [""] * 5
    assert "no threshold, as no good images were held out: fit with --held-out or --apart, or give --threshold" in err


def test_a_given_scale(detector: Detector) -> None:
    maps = detector.localize("new")
    low, high = (f"{value:.6g}" for value in np.quantile(maps, [0.2, 0.8]))
    assert main(["localize", "d", "new", "maps", "--scale", low, high]) == 0
    expected = 255 * ((maps - float(low)) / (float(high) - float(low))).clip(0, 1)
    np.testing.assert_allclose(written_maps(), expected, atol=1.01)


def test_options_and_globs_anywhere(capsys: Captured) -> None:
    assert main(["score", "--quantile", "0.5", "d", "new/0.png", "new/3.png"]) == 0
    assert {row["name"] for row in rows(capsys.readouterr().out)} == {"0.png", "3.png"}
    assert main(["fit", *TINY_FIT, "--seed", "0", "new", "first"]) == main(["fit", "new", "second", *TINY_FIT]) == 0
    assert Detector.load("first").recipe == Detector.load("second").recipe


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit good new/0.png", "new/0.png: exists and is no detector; fit takes the images first, then the file"),
        ("fit good new", "new: exists and is no detector"),
        ("fit good new/0.png/d", "new/0.png: cannot be written (it is a file); free it, or name another folder"),
        ("fit nowhere other/d", "nowhere: no such folder"),
        ("fit good other --apart wide", "wide: images of 16x8, the good ones have 8x8: another shape"),
        ("fit good other --set train_limit=5", "--set: train_limit is for experiments; fit takes all images"),
        ("fit good other --set size=32 size=64", "--set: size comes twice"),
        ("score new/0.png new", "new/0.png: is an image; score takes the detector first, then the folder of images"),
        ("score new d", "new: is a folder; score takes the detector first"),
        ("score nowhere.safetensors new", "No such file or directory: nowhere.safetensors"),
        ("score notes.txt new", "notes.txt: not a safetensors file"),
        ("score d new --threshold nan", "--threshold"),
        ("score d new --threshold 1 --quantile 0.5", "--threshold"),
        ("localize new d maps", "new: is a folder; localize takes the detector first"),
        ("localize d new notes.txt", "notes.txt: is there already; localize takes the detector, the images"),
        ("localize d new new", "new: is there already"),
        ("localize d new maps --scale 2 1", "--scale: expected LOW below HIGH, found 2 and 1"),
        ("localize d twins maps", "twins: A.png and a.bmp would have one map; rename one of them"),
    ],
)
def test_what_is_refused(arguments: str, message: str, place: Path, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr("kdlib.detector.distill", lambda *_, **__: pytest.fail("trained"))
    for name, size in {"wide/0.png": (16, 8), "twins/A.png": (8, 8), "twins/a.bmp": (8, 8)}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("L", size).save(name)
    Path("notes.txt").write_text("no tensors")
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit, match="2"):  # argparse's way, or ours
        sys.exit(main(arguments.split()))
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith(("kdlib: ", "usage: kdlib"))
    assert "delete" not in err
    assert "KDLIB" not in err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


def test_images_of_another_size(capsys: Captured) -> None:
    """The same shape: a note, for they may show more or less of the part."""
    for path in Path("new").iterdir():
        Image.open(path).resize((16, 16)).save(path)
    assert main(["score", "d", "new"]) == 0
    out, err = capsys.readouterr()
    assert len(rows(out)) == 5
    assert "new: images of 16x16, the good ones have 8x8; this is right if they show the same" in err


def test_what_is_not_judged_decides_the_exit_status(capsys: Captured) -> None:
    Path("new/e.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["score", "d", "new"]) == LEFT_OUT
    said = capsys.readouterr()
    assert "not judged: 1: e.heic (not read)" in said.err
    assert len(rows(said.out)) == 5
    assert main(["score", "d", "new", "--allow-left-out"]) == 0
    with pytest.warns(LeftOut):
        Detector.load("d").score("new")


@pytest.mark.parametrize(
    "error", [RuntimeError("can't allocate memory: 9999 bytes"), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_out_of_memory_is_said_in_words(error: Exception, monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setattr("kdlib.detector.prepare", Mock(side_effect=error))
    assert main(["score", "d", "new"]) == 2
    assert re.search("out of memory.*smaller size", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["fit", "score", "localize"])
def test_help_says_what_each_argument_is(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    for argument in re.findall(r"^  (?:--?)?\w[\w-]*.*", text, re.MULTILINE):
        assert re.search(r"\S {2,}\S", argument) or len(argument) > 20, argument  # long ones go on in the next line
    assert ("0.99 by default" in text) == (command == "score")


def test_images_in_parts_and_who_was_stopped_goes_on(monkeypatch: Patch, capsys: Captured) -> None:
    monkeypatch.setenv("KDLIB_WORK", "work")
    found = []
    for length in (5, 2):  # images at once: all, fewer
        monkeypatch.setattr("kdlib.__main__.part_length", lambda _, length=length: length)
        shutil.rmtree("maps", ignore_errors=True)
        assert main(["score", "d", "new"]) == main(["localize", "d", "new", "maps"]) == 0
        scores = {row["name"]: float(row["score"]) for row in rows(capsys.readouterr().out)}
        found.append((scores, written_maps().astype(int)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1)
    assert not list(Path("work/judged").iterdir())
    content = (last := Path("new/4.png")).read_bytes()
    last.write_bytes(content[:60])  # the header is whole
    assert main(["score", "d", "new"]) == 2
    kept = list(Path("work/judged").iterdir())
    for path in kept:
        np.save(path, np.full(2, -1.0))
    last.write_bytes(content)
    assert main(["score", "d", "new"]) == 0
    assert [float(row["score"]) for row in rows(capsys.readouterr().out)][1:] == [-1] * 2 * len(kept) == [-1] * 4


def test_a_name_as_long_as_a_disk_takes(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("ä" * 125 + ".png"), b"1")  # 254 bytes


def test_folders_in_variables(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KDLIB_DATA", "~/data")
    assert data_folder() == tmp_path / "data"
    monkeypatch.delenv("KDLIB_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "kdlib"
    monkeypatch.delenv("HOME")
    assert cache_folder().is_absolute()


KDLIB = [sys.executable, "-m", "kdlib"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "darwin", reason="its disks take no such name")
def test_names_that_are_not_utf8() -> None:
    os.rename(b"new/1.png", b"new/gr\xf6sse.png")
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run([*KDLIB, "score", "d", "new"], capture_output=True, check=True, env=environment)
    assert {row["name"] for row in rows(done.stdout.decode())} >= {"0.png", r"gr\xf6sse.png", "2.png"}


@pytest.mark.slow
def test_a_log_file_has_no_bars() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "KDLIB_PROGRESS"}
    done = subprocess.run([*KDLIB, "score", "d", "new"], capture_output=True, check=True, env=environment)
    assert b"\r" not in done.stderr


@pytest.mark.slow
def test_stopped_by_the_user() -> None:
    command = [*KDLIB, "fit", "new", "e", "--set", "epochs=1000000"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell ignore it
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGINT, before)
        time.sleep(12)
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said.decode().splitlines()[-1]) == (130, "kdlib: stopped")
    assert not Path("e").exists()
