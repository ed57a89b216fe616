"""Python and shells as they are used: modes, devices, forks, globs, odd names, closed pipes; folders of others."""

import csv
import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

from kdlib import Detector
from kdlib.__main__ import LEFT_OUT, main
from kdlib.data.reading import LeftOut
from kdlib.files import OURS, cache_folder, data_folder, fill_own, refuse_foreign

RNG = np.random.default_rng(0)
GOOD = RNG.integers(0, 256, (8, 40, 40), dtype=np.uint8)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return Detector(TINY).fit(GOOD)


@pytest.fixture
def place(tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: ``d``, a detector, and ``new``, three images."""
    detector.save(tmp_path / "d")
    (tmp_path / "new").mkdir()
    for name, pixels in zip("abc", GOOD, strict=False):
        Image.fromarray(pixels).save(tmp_path / "new" / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- Python -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_in_any_mode(mode: Callable[[], AbstractContextManager[object]], detector: Detector) -> None:
    expected, heat = detector.score(GOOD), detector.localize(GOOD[:2])
    with mode():
        np.testing.assert_array_equal(detector.score(GOOD), expected)
        np.testing.assert_array_equal(detector.localize(GOOD[:2]), heat)
        fitted = Detector(TINY).fit(GOOD)
    np.testing.assert_allclose(fitted.score(GOOD), expected, rtol=1e-5)
    fitted.cloner.requires_grad_(True)  # nothing of it was made in inference mode


def test_with_double_precision_as_default(detector: Detector) -> None:
    expected = detector.score(GOOD)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_allclose(Detector(TINY).fit(GOOD).score(GOOD), expected, rtol=1e-5)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def _scored_in_a_child(detector: Detector, there: "multiprocessing.connection.Connection") -> None:
    there.send(detector.score(GOOD))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_worker_scores(detector: Detector) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected, context = detector.score(GOOD), multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_scored_in_a_child, args=(detector, there))
        child.start()
        try:
            assert here.poll(60), "it waits for threads that it does not have"
            np.testing.assert_allclose(here.recv(), expected, rtol=1e-5)
        finally:
            child.kill()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("device", ["cuda:7", "gpu", "mps"])
def test_a_device_that_is_not_here(device: str, place: Path) -> None:
    for make in (lambda: Detector(TINY, device=device), lambda: Detector.load(place / "d", device=device)):
        with pytest.raises(ValueError, match=rf"^device: no '{device}' here; expected one of cpu"):
            make()


def test_out_of_memory_is_said_in_words(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99999999 bytes")

    monkeypatch.setattr("kdlib.detector.prepare", full)
    assert main(["score", "d", "new"]) == 2
    assert "out of memory" in (said := capsys.readouterr().err)
    assert "smaller size" in said


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 40, 80), np.uint8), "images: images of 80x40, the good ones have 40x40: another shape"),
        (np.zeros((2, 40, 40), np.uint16), "images: these have more than 8 bits, the good ones have 8"),
    ],
)
def test_the_api_refuses_what_the_shell_refuses(images: np.ndarray, message: str, detector: Detector) -> None:
    for action in (detector.score, detector.localize, lambda x: Detector(TINY).fit(GOOD, apart=x)):
        with pytest.raises(ValueError, match=message):
            action(images)


def test_the_range_of_deep_images_is_learned_kept_and_applied(tmp_path: Path) -> None:
    good = (1000 + 4.0 * GOOD).astype(np.uint16)
    detector = Detector(TINY).fit(good)
    low, high = detector.levels or (0, 0)
    assert (low, high) == pytest.approx((1000 - 255, 1000 + 1275), abs=2)
    detector.save(tmp_path / "d")
    again = Detector.load(tmp_path / "d")
    assert again.levels == (low, high)
    np.testing.assert_array_equal(again.score(good), detector.score(good))
    assert not np.allclose(again.score(good + 300), detector.score(good))  # not stretched anew
    assert Detector(TINY.replace(levels=(0, 4095))).fit(good).levels == (0, 4095)


# --- folders that are not ours ----------------------------------------------------------------------------------------


def test_a_folder_with_anything_else_is_refused_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    fill_own(folder, {"a": b"1", "b": b"2"})
    fill_own(folder, {"b": b"3"})  # of an earlier call nothing is left
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"b": b"3", OURS: b"b\n"}
    (folder / "mine").write_bytes(b"4")
    for act in (lambda: refuse_foreign(folder), lambda: fill_own(folder, {"c": b"5"})):
        with pytest.raises(FileExistsError, match="holds 1 files that kdlib did not write there, such as mine"):
            act()
    assert sorted(p.name for p in folder.iterdir()) == sorted(["b", "mine", OURS])


def test_maps_of_two_calls_do_not_mix(place: Path) -> None:
    assert main(["localize", "d", "new", "maps"]) == 0
    assert main(["localize", "d", "new/a.png", "maps"]) == 0
    assert [p.name for p in (place / "maps").glob("*.png")] == ["a_map.png"]
    (place / "theirs").mkdir()
    (place / "theirs" / "a_map.png").write_text("mine")
    assert main(["localize", "d", "new", "theirs"]) == 2
    assert (place / "theirs" / "a_map.png").read_text() == "mine"


# --- shells -----------------------------------------------------------------------------------------------------------


def test_what_is_not_judged_decides_the_exit_status(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "new" / "e.heic").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["score", "d", "new"]) == LEFT_OUT
    said = capsys.readouterr()
    assert "not judged: 1: e.heic (not read)" in said.err
    assert len(said.out.splitlines()) == 1 + 3
    assert main(["score", "d", "new", "--allow-left-out"]) == 0
    with pytest.warns(LeftOut):
        Detector.load("d").score("new")


def test_globs_and_options_anywhere(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--quantile", "0.5", "d", "new/a.png", "new/c.png"]) == 0
    assert {row["name"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))} == {"a.png", "c.png"}
    settings = ["size=32", "epochs=1", "precision=fp32"]
    assert main(["fit", "--set", *settings, "new", "first"]) == 0
    assert main(["fit", "new", "second", "--set", *settings]) == 0
    assert Detector.load("first").recipe == Detector.load("second").recipe


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "new", "models/"], "models/ is a folder; name a file in it"),
        (["localize", "d", "new", "d"], "d: is a file"),
        (["run", "--table", "2"], "run is a command of the laboratory now: python -m kdlab run --table 2"),
    ],
)
def test_refused_before_any_work(
    arguments: list[str], message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):  # argparse's way, or ours
        sys.exit(main(arguments))
    assert message in capsys.readouterr().err


def run(*words: str, **options: object) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-m", "kdlib", *words], capture_output=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "darwin", reason="its disks take no such name")
def test_names_that_are_not_utf8(place: Path) -> None:
    os.rename(b"new/b.png", b"new/gr\xf6sse.png")
    done = run("score", "d", "new", env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 0, done.stderr
    names = {row["name"] for row in csv.DictReader(io.StringIO(done.stdout.decode()))}
    assert names == {"a.png", r"gr\xf6sse.png", "c.png"}


@pytest.mark.slow
def test_a_log_file_has_no_bars_and_a_closed_output_is_an_error(place: Path) -> None:
    done = run("score", "d", "new", env={k: v for k, v in os.environ.items() if k != "KDLIB_PROGRESS"})
    assert b"\r" not in done.stderr
    closed = subprocess.run(
        f"{sys.executable} -m kdlib score d new >&-", shell=True, capture_output=True, text=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (2, "kdlib: standard output is closed; there is nowhere to write to\n")


@pytest.mark.slow
def test_stopped_by_the_user(place: Path) -> None:
    command = [sys.executable, "-m", "kdlib", "fit", "new", "e", "--set", "epochs=1000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        time.sleep(12)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode().splitlines()[-1]) == (130, "kdlib: stopped")
    assert not Path("e").exists()


def test_folders_in_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KDLIB_DATA", "~/data")
    assert data_folder() == tmp_path / "data"
    monkeypatch.delenv("KDLIB_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "kdlib"
    monkeypatch.delenv("HOME")
    assert cache_folder().is_absolute()
