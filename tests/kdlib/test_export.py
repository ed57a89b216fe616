"""An exported detector, run by ONNX Runtime, gives what the detector gives."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import TINY
from hypothesis import given
from hypothesis import strategies as st

from kdlib import Detector, Recipe, Split
from kdlib.__main__ import main
from kdlib.export import Graph
from kdlib.localize import localization_map

BEST = TINY.replace(epochs=1, attribution="best")


def runs(path: Path, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(["scores", "maps"], {"pixels": images}))


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 48, "normalize": True},
        {"attribution": "discrepancy", "sigma": 0.0, "opening": 0, "map_lam": 2.0, "score_points": ("pool3",)},
        {"attribution": "product", "sigma": 9.0, "opening": 9, "crop": 32, "size": 40, "score_lam": float("inf")},
    ],
)
def test_scores_and_maps_of_any_number_of_images(changes: dict[str, Any], digits: Split, tmp_path: Path) -> None:
    detector = Detector(BEST.replace(**changes)).fit(digits.train[:12])
    detector.export(path := tmp_path / "new" / "d.onnx")
    for images in (digits.test[:1], digits.test[:5]):
        pixels = images.pixels(detector.recipe.size, crop=detector.recipe.crop)
        scores, maps = runs(path, pixels.numpy())
        np.testing.assert_allclose(scores, detector.score(images), rtol=1e-4)
        np.testing.assert_allclose(maps, expected := detector.localize(images), atol=1e-4 * expected.max())


@given(st.sampled_from([0, 1, 3, 5, 9, 31]), st.floats(0.1, 20), st.integers(0, 2**32))
def test_gaussian_and_opening_are_those_of_scipy(opening: int, sigma: float, seed: int) -> None:
    recipe = Recipe(size=32, opening=opening, sigma=sigma)
    maps = np.random.default_rng(seed).random((2, 32, 32), dtype=np.float32) ** 9
    found = Graph.smooth(torch.from_numpy(maps), recipe).numpy()
    np.testing.assert_allclose(found, localization_map(maps, recipe), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("changes", [{"attribution": "gradients"}, {"stretch": True}])
def test_maps_that_are_no_plain_graph(changes: dict[str, Any], fitted: Detector, tmp_path: Path) -> None:
    detector = Detector(BEST.replace(**changes))
    detector.cloner, detector.training = fitted.cloner, fitted.training
    message = r"export: (stretch|attribution 'gradients') is no plain graph.*; detector\.recipe"
    with pytest.raises(ValueError, match=message):
        detector.export(tmp_path / "d.onnx")
    detector.recipe = detector.recipe.replace(attribution="best", stretch=False)
    detector.export(tmp_path / "d.onnx")
    with pytest.raises(ValueError, match="not fitted"):
        Detector(BEST).export(tmp_path / "e.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["d.onnx"]


def test_from_a_shell(
    digits: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Detector(BEST).fit(digits.train[:8], held_out=0).save(tmp_path / "d")
    assert main(["export", str(tmp_path / "d"), str(tmp_path / "d.onnx")]) == 0
    assert "d.onnx: pixels (N, 3, 32, 32), 8-bit RGB, to scores (N,) and maps; no threshold" in capsys.readouterr().out
    assert main(["export", str(tmp_path / "d"), str(tmp_path / "d")]) == 2
    assert "expected a name that ends in .onnx" in capsys.readouterr().err
    assert Detector.load(tmp_path / "d").training.epoch == 1
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(tmp_path / "d"), str(tmp_path / "e.onnx")]) == 2
    assert "pip install 'kdlib[onnx]'" in capsys.readouterr().err
    assert not (tmp_path / "e.onnx").exists()
