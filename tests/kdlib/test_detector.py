"""The one object a user needs: fit, score, threshold, localize, save, load, and what it refuses."""

import json
import math
import multiprocessing
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from conftest import TINY, known
from scipy import ndimage
from torch import Tensor

from kdlib import Detector, Memory, Recipe, Split, load, weights
from kdlib.data import as_images
from kdlib.detector import _warn_of_a_sequence, is_detector
from kdlib.losses import discrepancy
from kdlib.memory import MEMORY
from kdlib.metrics import auroc
from kdlib.networks import Source
from kdlib.recipe import ATTRIBUTIONS

GOOD = np.random.default_rng(0).integers(0, 256, (8, 40, 40), dtype=np.uint8)
ONE_EPOCH = TINY.replace(epochs=1)


@pytest.fixture
def saved(fitted: Detector, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "detector.safetensors")
    return tmp_path / "detector.safetensors"


def test_score_is_the_discrepancy(fitted: Detector, digits: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    images = digits.test[:5]
    x = images.pixels(32).float() / 255
    with torch.no_grad():
        expected = discrepancy(fitted.source(x), fitted.cloner(x), lam=fitted.training.lam)
    np.testing.assert_allclose(fitted.score(images), expected, rtol=1e-4)
    assert not fitted.cloner.training
    alone = [fitted.score(images[i])[0] for i in range(5)]  # batches do not matter
    np.testing.assert_allclose(alone, fitted.score(digits.test)[:5], rtol=1e-4)
    maps = fitted.localize(images)
    assert maps.shape == (5, 32, 32)
    assert (maps >= 0).all()
    assert (maps.max((1, 2)) > 0).all()
    monkeypatch.setattr("kdlib.detector.part_length", lambda _: 2)  # nor do the parts of many images
    np.testing.assert_allclose(fitted.score(images), expected, rtol=1e-4)
    np.testing.assert_allclose(fitted.localize(images), maps, rtol=1e-3, atol=1e-3 * maps.max())


@pytest.mark.parametrize("lam", [0.0, 3.0, math.inf])
def test_the_score_may_have_its_own_lambda(fitted: Detector, digits: Split, lam: float) -> None:
    images, x = digits.test[:5], digits.test[:5].pixels(32).float() / 255
    other, own = (Detector(fitted.recipe.replace(**{name: lam})) for name in ("score_lam", "map_lam"))
    for each in (other, own):
        each.cloner, each.training = fitted.cloner, fitted.training
    with torch.no_grad():
        expected = discrepancy(fitted.source(x), fitted.cloner(x), lam=lam)
    np.testing.assert_allclose(other.score(images), expected, rtol=1e-4)
    assert other.lam == lam != fitted.lam == fitted.training.lam
    # A map explains the score, unless it is given a lambda of its own.
    np.testing.assert_array_equal(other.localize(images), own.localize(images))


def test_threshold_is_a_quantile_of_held_out_scores(fitted: Detector) -> None:
    held_out = known(fitted.held_out_scores)
    assert len(held_out) == 4  # a tenth of 32, rounded up
    for quantile in (0, 0.3, 0.5, 0.8, 1):
        threshold = fitted.threshold(quantile)
        assert threshold in held_out
        assert np.mean(held_out <= threshold) >= quantile
    assert fitted.threshold(1) == held_out.max()
    with pytest.raises(ValueError, match=r"quantile is 1\.5, expected 0 to 1"):
        fitted.threshold(1.5)


def test_too_few_images_for_a_quantile_are_told() -> None:
    """Where 1 of n + 1, what exceeds the highest of n on average, is more than the quantile lets pass."""
    for mille in range(0, 1000, 3):
        needed = -(-1000 // (1000 - mille)) - 1
        for count in (needed - 1, needed, needed + 1):
            detector, quantile = SimpleNamespace(held_out_scores=np.zeros(max(count, 1))), mille / 1000
            with warnings.catch_warnings(record=True, action="always") as caught:
                Detector.threshold(detector, quantile)  # type: ignore[arg-type]
            expected = f"{count} good images cannot give quantile {quantile:g}: expect 1 good image in {count + 1} to"
            assert [str(each.message).startswith(expected) for each in caught] == [True] * (0 < count < needed)
            assert all(f"calibrate with {needed} or more" in str(each.message) for each in caught)


def test_frames_of_a_video_are_told_whose_order_is_lost_are_not() -> None:
    scene = ndimage.gaussian_filter(np.random.default_rng(0).random((40, 140)), 3)
    frames = np.stack([scene[:, n : n + 40] for n in range(60)]) / scene.max()
    frames = (200 * frames + np.random.default_rng(1).random(frames.shape)).astype(np.uint8)
    with pytest.warns(UserWarning, match="images: 100% of the images are most like one of the 5 before or after them"):
        Memory(MEMORY.replace(size=32)).fit(frames)
    with warnings.catch_warnings(action="error"):
        Memory(MEMORY.replace(size=32)).fit(frames, apart=frames[:5])
        for seed in range(20):
            _warn_of_a_sequence(as_images(np.random.default_rng(seed).permutation(frames)).pixels(32), "images")
        _warn_of_a_sequence(as_images(frames[:40]).pixels(32), "images")  # too few to tell


def test_calibrated_threshold_is_of_the_given_images(saved: Path, digits: Split) -> None:
    detector = Detector.load(saved)
    assert detector.calibrate(digits.train[:7]) is detector
    np.testing.assert_array_equal(detector.held_out_scores, detector.score(digits.train[:7]))
    assert detector.threshold(1) == detector.score(digits.train[:7]).max()
    detector.save(saved)
    assert Detector.load(saved).threshold(0.5) == detector.threshold(0.5)


def test_fitting_again_begins_anew(digits: Split) -> None:
    recipe = ONE_EPOCH
    twice = Detector(recipe).fit(digits.train[8:16]).fit(digits.train[:8])
    once = Detector(recipe).fit(digits.train[:8])
    np.testing.assert_array_equal(twice.score(digits.test[:5]), once.score(digits.test[:5]))


@pytest.mark.filterwarnings("ignore:.*backward hooks on ReLU")
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")])
def test_whatever_the_caller_s_mode_and_device(mode: Callable[[], AbstractContextManager[object]]) -> None:
    def fitted_and_used() -> tuple[Detector, list[np.ndarray]]:
        detector = Detector(TINY.replace(augment=True, samples=2), device="cpu").fit(GOOD)
        found = [detector.score(GOOD)]
        for method in ATTRIBUTIONS:
            detector.recipe = detector.recipe.replace(attribution=method)
            found.append(detector.localize(GOOD[:2]))
        return detector, found

    _, expected = fitted_and_used()
    with mode():
        detector, found = fitted_and_used()
    for inside, outside in zip(found, expected, strict=True):
        np.testing.assert_allclose(inside, outside, rtol=1e-3, atol=1e-3 * outside.max())
    detector.cloner.requires_grad_(True)  # nothing of it was made in inference mode


def test_threads_score_at_once(fitted: Detector) -> None:
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: fitted.score(GOOD), range(8)):
            np.testing.assert_allclose(found, fitted.score(GOOD), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_worker_scores(fitted: Detector) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected, context = fitted.score(GOOD), multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=lambda: there.send(fitted.score(GOOD)))
        child.start()
        try:
            assert here.poll(60), "it waits for threads that it does not have"
            np.testing.assert_allclose(here.recv(), expected, rtol=1e-5)
        finally:
            child.kill()
    finally:
        torch.set_num_threads(threads)


def test_the_range_of_deep_images_is_learned_kept_and_applied(tmp_path: Path) -> None:
    good = (1000 + 4.0 * GOOD).astype(np.uint16)
    detector = Detector(TINY).fit(good)
    low, high = known(detector.levels)
    assert (low, high) == pytest.approx((1000 - 255, 1000 + 1275), abs=2)
    detector.save(tmp_path / "d")
    again = Detector.load(tmp_path / "d")
    assert again.levels == (low, high)
    np.testing.assert_array_equal(again.score(good), detector.score(good))
    assert not np.allclose(again.score(good + 200), detector.score(good))  # not stretched anew
    assert Detector(TINY.replace(levels=(0, 4095))).fit(good).levels == (0, 4095)


def test_not_fitted_or_interrupted_in_a_second_fit(digits: Split, tmp_path: Path) -> None:
    def interrupt(epoch: int) -> None:
        raise KeyboardInterrupt

    detector = Detector(ONE_EPOCH).fit(digits.train[:8])
    with pytest.raises(KeyboardInterrupt):
        detector.fit(digits.train[8:16], evaluate=interrupt)
    for each in (Detector(TINY), detector):
        for use in (each.score, each.localize, each.calibrate, lambda _, each=each: each.save(tmp_path / "d")):
            with pytest.raises(ValueError, match="not fitted; call fit with normal images, or load one"):
                use(digits.test)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["cuda:7", "gpu"])
def test_a_device_that_is_not_here(device: str, saved: Path) -> None:
    for make in (lambda: Detector(TINY, device=device), lambda: Detector.load(saved, device=device)):
        with pytest.raises((RuntimeError, AssertionError), match=r"(?i)device|nvidia|cuda"):  # torch's own words
            make()


def test_images_that_are_not_like_the_good_ones(fitted: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted, "image_size", (40, 40))
    for images, message in (
        (np.zeros((2, 40, 80), np.uint8), "images: images of 80x40, the good ones have 40x40: another shape"),
        (np.zeros((2, 40, 40), np.uint16), "images: these have more than 8 bits, the good ones have 8"),
    ):
        for action in (fitted.score, fitted.localize, lambda x: Detector(TINY).fit(GOOD, apart=x)):
            with pytest.raises(ValueError, match=message):
                action(images)


NAN = torch.full((4, 3, 32, 32), torch.nan)


@pytest.mark.parametrize(
    ("images", "held_out", "message"),
    [
        (np.zeros((1, 32, 32), np.uint8), 0.1, "0 of 1 images left to train on, at least 2 are needed"),
        (np.zeros((1, 32, 32), np.uint8), 0, "1 of 1 images left to train on"),
        (np.zeros((5, 32, 32), np.uint8), 0.9, "0 of 5 images left"),
        (np.zeros((5, 32, 32), np.uint8), 1, "held_out is 1, expected a part of the images from 0 to below 1"),
        (NAN, 0.1, "NaN or infinite pixels in 4 of 4"),
    ],
)
def test_refused_before_any_work(images: Tensor | np.ndarray, held_out: float, message: str, tmp_path: Path) -> None:
    detector = Detector(TINY)
    with pytest.raises(ValueError, match=message):
        detector.fit(images, held_out=held_out)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file/folder: cannot be written"):
        detector.fit(GOOD, checkpoint=tmp_path / "file" / "folder" / "checkpoint")
    assert detector._source is None


def rewrite(path: Path, **about: str | None) -> None:
    """The same tensors with other metadata; None removes an entry."""
    with safetensors.safe_open(path, framework="pt") as file:
        found = file.metadata() | about
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    path.write_bytes(safetensors.torch.save(tensors, {k: v for k, v in found.items() if v is not None}))


def test_a_loaded_detector_is_the_saved_one(fitted: Detector, saved: Path, digits: Split) -> None:
    loaded = Detector.load(saved)
    images = digits.test[:10]
    np.testing.assert_array_equal(loaded.score(images), fitted.score(images))
    np.testing.assert_array_equal(loaded.localize(images[:2]), fitted.localize(images[:2]))
    assert loaded.threshold(0.5) == fitted.threshold(0.5)
    assert (loaded.recipe, loaded.seed, loaded.training) == (fitted.recipe, fitted.seed, fitted.training)
    assert loaded.image_size is None  # nobody looked at the sizes of these
    assert is_detector(saved)
    assert saved.stat().st_size < 2e6  # the cloner alone


@pytest.mark.parametrize(
    "removed",
    [[], ["weights"], ["weights", "scaling"], ["score_lam", "attribution", "map_points", "map_lam", "augment"]],
)
def test_a_detector_of_before_gives_the_same_scores(removed: list[str], digits: Split, tmp_path: Path) -> None:
    """Files had a setting ``scaling``, weights that were not named yet, and fewer settings than today."""
    detector = Detector(TINY.replace(weights="vgg-release", epochs=1)).fit(digits.train[:8])
    detector.save(path := tmp_path / "d")
    recipe = detector.recipe.to_dict() | {"scaling": "network"}
    rewrite(path, recipe=json.dumps({k: v for k, v in recipe.items() if k not in removed}), image_size=None)
    loaded, images = Detector.load(path), digits.test[:10]
    assert loaded.recipe == detector.recipe
    np.testing.assert_allclose(loaded.score(images), detector.score(images), rtol=1e-5)
    x = images.pixels(32).float() / 255
    released = weights.load("vgg-release")  # at a factor of 2**-8, which the setting "network" came to
    with torch.no_grad():
        expected = discrepancy(Source(released)(x), loaded.cloner(x), lam=loaded.training.lam)
    np.testing.assert_allclose(loaded.score(images), expected, rtol=1e-4)
    rewrite(path, recipe=json.dumps(recipe | {"scaling": "critical_point"}))
    with pytest.raises(ValueError, match=r"the scaling 'critical_point' of vgg-release is not offered any more"):
        Detector.load(path)


def test_size_infinite_lambda_and_no_threshold_survive(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (6, 20, 30), dtype=np.uint8)
    detector = Detector(ONE_EPOCH.replace(lam=math.inf)).fit(wide, held_out=0)
    detector.save(tmp_path / "d")
    loaded = Detector.load(tmp_path / "d")
    np.testing.assert_array_equal(loaded.score(wide), detector.score(wide))
    assert (loaded.image_size, loaded.held_out_scores) == (detector.image_size, None) == ((30, 20), None)
    with pytest.raises(ValueError, match="no held-out images; fit with held_out above 0"):
        loaded.threshold()


@pytest.mark.parametrize("kind", ["empty", "text", "zeros", "cut", "pickle"])
def test_damaged_file(kind: str, saved: Path, bomb: bytes) -> None:
    contents = {"empty": b"", "text": b"text", "zeros": bytes(1000), "cut": saved.read_bytes()[:-1000], "pickle": bomb}
    saved.write_bytes(contents[kind])
    assert not is_detector(saved)
    message = r"detector\.safetensors: not a safetensors file .*; expected a file that Detector\.save"
    with pytest.raises(ValueError, match=message):
        Detector.load(saved)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Detector.load(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        Detector.load(tmp_path)
    assert not is_detector(tmp_path / "nowhere")
    assert not is_detector(tmp_path)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"format": "kdlib.source/1"}, "format is 'kdlib.source/1', expected 'kdlib.detector/1'; this is another kind"),
        ({"checksum": "0" * 64}, r"made with other source weights \(0000.*, here 3979.*fit it again"),
        ({"format": "kdlib.detector/2"}, "format is 'kdlib.detector/2', expected .*/1'; written by a newer kdlib"),
        ({"format": "kdlib.detector/0"}, "format is 'kdlib.detector/0', expected .*/1'; written by an older kdlib"),
        ({"format": None}, "format is None, expected 'kdlib.detector/1'; this is another kind"),
        ({"checksum": None}, r"not a detector of this version of kdlib \(no 'checksum'\)"),
        ({"image_size": "[3]"}, "not a detector of this version"),
        ({"recipe": None}, "not a detector of this version"),
        ({"recipe": "{"}, "not a detector of this version"),
        ({"recipe": "null"}, "not a detector of this version"),
        ({"recipe": json.dumps({"momentum": 1})}, "not a detector of this version .*momentum.*; fit and save it again"),
        (
            {"recipe": json.dumps({"cloner": "equal"})},
            r"not a detector of this version of kdlib \(Error\(s\) in loading state_dict for Cloner\); fit and save",
        ),
        ({"seed": "first"}, "not a detector of this version"),
        ({"training": json.dumps({"steps": 3})}, "not a detector of this version"),
    ],
)
def test_foreign_file(saved: Path, about: dict[str, str | None], message: str) -> None:
    rewrite(saved, **about)
    with pytest.raises(ValueError, match=rf"detector\.safetensors: {message}"):
        Detector.load(saved)


def test_failed_save_leaves_the_old_file(saved: Path, fitted: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()
    saved.with_name("new").touch()
    assert saved.stat().st_mode == saved.with_name("new").stat().st_mode  # the usual permissions
    saved.with_name("new").unlink()
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError("no space left")))
    for path in (saved, saved.with_name("new")):
        with pytest.raises(OSError, match="no space left"):
            fitted.save(path)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


@pytest.mark.slow
def test_defects_in_real_texture_are_found() -> None:
    split = load("textures", "brick")
    detector = Detector(Recipe(size=64, normalize=True, epochs=20)).fit(split.train)
    assert known(auroc(known(split.test.labels), detector.score(split.test))) > 0.9
    assert known(auroc(split.test.mask_pixels(64), detector.localize(split.test))) > 0.8
