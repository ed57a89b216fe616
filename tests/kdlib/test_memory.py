"""`Memory` and `Gaussian`: the distances are those of plain torch, and what a `Detector` promises holds for them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import known

from kdlib import Detector, Gaussian, Memory, Split
from kdlib.activations import prepare
from kdlib.detector import is_detector
from kdlib.memory import MEMORY, Positions
from kdlib.metrics import auroc
from kdlib.networks import Source

TINY = MEMORY.replace(size=32, precision="fp32", sigma=1)


@pytest.fixture(scope="module")
def memory(digits: Split) -> Memory:
    return Memory(TINY, positions=100).fit(digits.train)


@pytest.fixture(scope="module")
def gaussian(digits: Split) -> Gaussian:
    return Gaussian(TINY, channels=20, seed=3).fit(digits.train)


@pytest.fixture(params=["memory", "gaussian"])
def either(request: pytest.FixtureRequest) -> Positions:
    fitted: Positions = request.getfixturevalue(request.param)
    return fitted


def vectors(source: Source, pixels: torch.Tensor) -> torch.Tensor:
    """Positions of pool3 with those of pool4 enlarged, each the mean of its neighbourhood: (N, h, w, C)."""
    found = source(prepare(pixels, TINY, source.device), ("pool3", "pool4"))
    fine, coarse = (F.avg_pool2d(found[point], 3, stride=1, padding=1) for point in ("pool3", "pool4"))
    return torch.cat([fine, F.interpolate(coarse, scale_factor=2, mode="bilinear")], 1).permute(0, 2, 3, 1)


def check_distances(fitted: Positions, images: Split, distances: torch.Tensor) -> None:
    """They are at the bottom of scores and maps of the first five images to test with: (5, 4, 4)."""
    five = images.test[:5]
    np.testing.assert_allclose(fitted.score(five), distances.amax((1, 2)), rtol=1e-3)
    enlarged = F.interpolate(distances[:, None].float(), (32, 32), mode="bilinear")[:, 0]
    np.testing.assert_allclose(fitted.attribute(five), enlarged, rtol=1e-3)
    assert fitted.localize(five.pixels(32)).shape == (5, 32, 32)


def test_of_a_memory_to_the_nearest(memory: Memory, source: Source, digits: Split) -> None:
    rows = vectors(source, digits.test[:5].pixels(32)).flatten(1, 2)  # (N, hw, C)
    check_distances(memory, digits, (rows[:, :, None] - memory.kept["memory"]).norm(dim=-1).amin(-1).view(5, 4, 4))


def test_of_a_gaussian_by_mahalanobis_at_each_place(gaussian: Gaussian, source: Source, digits: Split) -> None:
    """Equations (1) and (2) of PaDiM, place by place, in double precision."""
    held_out = np.sort(np.random.default_rng(3).permutation(32)[:4])
    chosen = torch.randperm(768, generator=torch.Generator().manual_seed(3))[:20]
    good = vectors(source, digits.train[np.setdiff1d(np.arange(32), held_out)].pixels(32))[..., chosen].double().numpy()
    new = vectors(source, digits.test[:5].pixels(32))[..., chosen].double().numpy()
    covariances = np.array([[np.cov(good[:, y, x].T) for x in range(4)] for y in range(4)])
    regular = 0.1 * np.mean([np.diag(c) for c in covariances.reshape(16, 20, 20)]) * np.eye(20)
    distances = torch.zeros(5, 4, 4)
    for n, y, x in np.ndindex(5, 4, 4):
        away = new[n, y, x] - good[:, y, x].mean(0)
        distances[n, y, x] = np.sqrt(away @ np.linalg.inv(covariances[y, x] + regular) @ away)
    check_distances(gaussian, digits, distances)


def test_it_remembers_positions_of_all_images_alike(memory: Memory, source: Source, digits: Split) -> None:
    whole = Memory(TINY).fit(digits.train, held_out=0)  # fewer positions than it would take
    every = vectors(source, digits.train.pixels(32))
    assert len(whole.kept["memory"]) == every[..., 0].numel()
    nearest = torch.cdist(memory.kept["memory"], every.flatten(0, 2)).min(1)
    assert nearest.values.max() < 0.5
    assert len(memory.kept["memory"]) == 100
    counts = np.bincount(nearest.indices // every[0, ..., 0].numel(), minlength=len(every))
    assert counts.max() <= 4  # 28 of 32 images are remembered
    assert np.count_nonzero(counts) >= 25
    assert whole.score(digits.train).max() < 0.5
    assert whole.held_out_scores is None


def test_other_digits_are_anomalous(either: Positions, digits: Split) -> None:
    assert known(auroc(known(digits.test.labels), either.score(digits.test))) > 0.95


def test_a_loaded_one_is_the_saved_one(either: Positions, digits: Split, tmp_path: Path) -> None:
    either.save(path := tmp_path / "m")
    loaded = type(either).load(path)
    np.testing.assert_array_equal(loaded.score(digits.test[:5]), either.score(digits.test[:5]))
    np.testing.assert_array_equal(loaded.localize(digits.test[:2]), either.localize(digits.test[:2]))
    assert loaded.threshold(0.5) == either.threshold(0.5)
    assert (loaded.recipe, loaded.seed) == (either.recipe, either.seed)
    assert [is_detector(path, each.format) for each in (type(either), Detector)] == [True, False]
    with pytest.raises(ValueError, match=r"expected 'kdlib\.detector/1'; this is another kind of file"):
        Detector.load(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=rf"not a safetensors file .*; expected a file that {type(either).__name__}"):
        type(either).load(path)


@pytest.mark.parametrize("method", [Memory, Gaussian])
def test_what_is_not_its_own(method: type[Positions], digits: Split, tmp_path: Path) -> None:
    name = method.__name__.lower()
    for setting, value in {"epochs": 3, "augment": True, "score_lam": 1.0}.items():
        with pytest.raises(ValueError, match=f"{name}: {setting} is a setting of the cloner; a {name} has critical"):
            method(TINY.replace(**{setting: value}))
    with pytest.raises(ValueError, match=f"a {name} has no epochs"):
        method(TINY).fit(digits.train[:4], checkpoint=Path("c"))
    with pytest.raises(ValueError, match="not fitted"):
        method(TINY).score(digits.test[:2])
    fitted = method(TINY).fit(digits.train[4:], apart=digits.train[:4])
    np.testing.assert_allclose(known(fitted.held_out_scores), fitted.score(digits.train[:4]))
    with pytest.raises(ValueError, match=f"export: of a Detector alone, this is a {method.__name__}"):
        fitted.export(tmp_path / "d.onnx")


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="0 positions, expected 1 or more"):
        Memory(positions=0)
    with pytest.raises(ValueError, match="0 channels, expected 1 or more"):
        Gaussian(channels=0)
    with pytest.raises(ValueError, match="tile is 64; it compares each place by itself: raise size alone"):
        Gaussian(MEMORY.replace(tile=64))
