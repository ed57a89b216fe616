"""`Memory`: the distances are those of plain torch, and all that a `Detector` promises holds for it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import known
from PIL import Image

from kdlib import Detector, Memory, Split
from kdlib.__main__ import main
from kdlib.activations import prepare
from kdlib.detector import is_detector
from kdlib.memory import MEMORY
from kdlib.metrics import auroc
from kdlib.networks import Source

TINY = MEMORY.replace(size=32, precision="fp32", sigma=1)


@pytest.fixture(scope="module")
def memory(digits: Split) -> Memory:
    return Memory(TINY, positions=100).fit(digits.train)


def vectors(source: Source, pixels: torch.Tensor) -> torch.Tensor:
    """Positions of pool3 with those of pool4 enlarged, each the mean of its neighbourhood: (N, h, w, C)."""
    found = source(prepare(pixels, TINY, source.device), ("pool3", "pool4"))
    fine, coarse = (F.avg_pool2d(found[point], 3, stride=1, padding=1) for point in ("pool3", "pool4"))
    return torch.cat([fine, F.interpolate(coarse, scale_factor=2, mode="bilinear")], 1).permute(0, 2, 3, 1)


def test_scores_are_distances_to_the_nearest(memory: Memory, source: Source, digits: Split) -> None:
    pixels = digits.test[:5].pixels(32)
    rows = vectors(source, pixels).flatten(1, 2)  # (N, hw, C)
    distances = (rows[:, :, None] - memory.memory).norm(dim=-1).amin(-1)
    np.testing.assert_allclose(memory.score(digits.test[:5]), distances.amax(1), rtol=1e-3)
    enlarged = F.interpolate(distances.view(5, 1, 4, 4), (32, 32), mode="bilinear")[:, 0]
    np.testing.assert_allclose(memory.attribute(digits.test[:5]), enlarged, rtol=1e-3)
    np.testing.assert_array_equal(memory.localize(pixels).shape, (5, 32, 32))


def test_it_remembers_positions_of_all_images_alike(memory: Memory, source: Source, digits: Split) -> None:
    whole = Memory(TINY).fit(digits.train, held_out=0)  # fewer positions than it would take
    every = vectors(source, digits.train.pixels(32))
    assert len(whole.memory) == every[..., 0].numel()
    nearest = torch.cdist(memory.memory, every.flatten(0, 2)).min(1)
    assert nearest.values.max() < 0.5
    assert len(memory.memory) == 100
    counts = np.bincount(nearest.indices // every[0, ..., 0].numel(), minlength=len(every))
    assert counts.max() <= 4  # 28 of 32 images are remembered
    assert np.count_nonzero(counts) >= 25
    assert whole.score(digits.train).max() < 0.5
    assert whole.held_out_scores is None


def test_other_digits_are_anomalous(memory: Memory, digits: Split) -> None:
    assert known(auroc(known(digits.test.labels), memory.score(digits.test))) > 0.95


def test_a_loaded_memory_is_the_saved_one(memory: Memory, digits: Split, tmp_path: Path) -> None:
    memory.save(path := tmp_path / "m")
    loaded = Memory.load(path)
    np.testing.assert_array_equal(loaded.score(digits.test[:5]), memory.score(digits.test[:5]))
    np.testing.assert_array_equal(loaded.localize(digits.test[:2]), memory.localize(digits.test[:2]))
    assert loaded.threshold(0.5) == memory.threshold(0.5)
    assert (loaded.recipe, loaded.seed) == (memory.recipe, memory.seed)
    assert is_detector(path, Memory.format)
    assert not is_detector(path)
    with pytest.raises(ValueError, match=r"expected 'kdlib\.detector/1'; this is another kind of file"):
        Detector.load(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"m: not a safetensors file .*; expected a file that Memory\.save wrote"):
        Memory.load(path)


def test_settings_that_are_not_its_own(digits: Split) -> None:
    for changes in ({"epochs": 3}, {"augment": True}, {"score_lam": 1.0}):
        (name,) = changes
        with pytest.raises(ValueError, match=f"memory: {name} is a setting of the cloner"):
            Memory(TINY.replace(**changes))
    with pytest.raises(ValueError, match="0 positions, expected 1 or more"):
        Memory(positions=0)
    with pytest.raises(ValueError, match="a memory has no epochs"):
        Memory(TINY).fit(digits.train[:4], checkpoint=Path("c"))


def test_not_fitted_and_images_apart(digits: Split) -> None:
    with pytest.raises(ValueError, match="not fitted"):
        Memory(TINY).score(digits.test[:2])
    memory = Memory(TINY, positions=50).fit(digits.train[4:], apart=digits.train[:4])
    assert memory.held_out_scores is not None
    np.testing.assert_allclose(memory.held_out_scores, memory.score(digits.train[:4]))


def test_the_shell_takes_either(
    fitted: Detector, digits: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, images in {"good": digits.train[:8], "new": digits.test[:4]}.items():
        Path(name).mkdir()
        for number in range(len(images)):
            images.image(number).save(f"{name}/{number}.png")
    tiny = ["--set", "size=32", "precision=fp32", "sigma=1"]
    fitted.save("m")  # of another method: replaced too
    for _ in range(2):
        assert main(["fit", "--method", "memory", "good", "m", *tiny]) == 0
    assert "7 images trained on, 1 held out" in capsys.readouterr().out
    memory = Memory.load("m")
    assert main(["score", "m", "new"]) == 0
    best = capsys.readouterr().out.splitlines()[1].split(",")
    assert float(best[1]) == pytest.approx(memory.score("new").max(), rel=1e-4)
    assert main(["localize", "m", "new", "maps"]) == 0
    assert np.asarray(Image.open("maps/0_map.png")).shape == (32, 32)
    assert main(["fit", "--method", "memory", "good", "m", "--set", "epochs=3"]) == 2
    assert "memory: epochs is a setting of the cloner" in capsys.readouterr().err
    Path("text").write_text("mine")
    assert main(["fit", "--method", "memory", "good", "text", *tiny]) == 2
    assert "exists and is no detector" in capsys.readouterr().err
