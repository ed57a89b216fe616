"""``kdlib fit | score | localize``."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdlib import Detector, Split
from kdlib.__main__ import main

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
    assert sorted(path.name for path in (place / "maps").glob("*.png")) == [f"{n}_map.png" for n in range(5)]
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
        ("fit detector.safetensors other", "detector.safetensors: not a readable image"),
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
        (
            "localize detector.safetensors new notes.txt",
            "notes.txt: is a file; localize takes the detector, the images",
        ),
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
    monkeypatch.setattr("kdlib.detector.distill", lambda *_, **__: pytest.fail("trained"))
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
