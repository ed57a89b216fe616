"""Tiles: they cover each image, and scores and maps of images follow from those of their tiles."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, known
from hypothesis import given
from hypothesis import strategies as st

from kdlib import Detector, Memory
from kdlib.__main__ import main
from kdlib.memory import MEMORY
from kdlib.tiles import corners, cut, join

GOOD = np.random.default_rng(0).integers(0, 256, (8, 60, 60), dtype=np.uint8)
TILED = {"size": 80, "crop": 72, "tile": 32, "precision": "fp32", "sigma": 0.0, "opening": 0}


@given(st.integers(32, 300), st.integers(32, 300))
def test_tiles_cover_and_overlap_by_a_quarter(one: int, other: int) -> None:
    tile, side = sorted((one, other))
    edges = sorted({y for y, _ in corners(side, tile)})
    assert corners(side, tile) == [(y, x) for y in edges for x in edges]
    assert (edges[0], edges[-1] + tile) == (0, side)
    assert all(after - before <= 0.75 * tile + 1 for before, after in itertools.pairwise(edges))


@given(st.integers(4, 40), st.integers(4, 40))
def test_joined_tiles_are_the_image(one: int, other: int) -> None:
    tile, side = sorted((one, other))
    images = np.random.default_rng(0).random((3, side, side))
    tiles = cut(torch.from_numpy(images)[:, None], tile)[:, 0].numpy()
    np.testing.assert_allclose(join(tiles, side), images)
    y, x = corners(side, tile)[-1]
    np.testing.assert_array_equal(tiles[-1], images[2, y : y + tile, x : x + tile])


@pytest.mark.parametrize("make", [Detector, Memory])
def test_an_image_is_judged_by_its_tiles(make: type[Detector], tmp_path: Path) -> None:
    recipe = (MEMORY if make is Memory else TINY.replace(epochs=1, attribution="best")).replace(**TILED)
    detector = make(recipe).fit(GOOD, held_out=0.25)
    detector.save(tmp_path / "d")
    detector = make.load(tmp_path / "d")
    assert detector.recipe.tile == 32
    pixels = torch.from_numpy(np.repeat(GOOD[:, None], 3, 1))[..., :60, :60]
    pixels = torch.nn.functional.interpolate(pixels.float(), 72).byte()
    places = corners(72, 32)
    assert len(places) == 9
    tiles = torch.cat([pixels[:, :, y : y + 32, x : x + 32] for y, x in places])  # all images of one place together
    of_tile = make.load(tmp_path / "d")
    of_tile.recipe = recipe.replace(size=32, crop=None, tile=None)
    scores, maps = of_tile.score(tiles).reshape(9, 8), of_tile.localize(tiles).reshape(9, 8, 32, 32)
    np.testing.assert_allclose(detector.score(pixels), scores.max(0), rtol=1e-4)
    whole = detector.localize(pixels)
    assert whole.shape == (8, 72, 72)
    np.testing.assert_allclose(whole[:, :20, :20], maps[0, :, :20, :20], rtol=1e-3, atol=1e-6)  # of one tile alone
    np.testing.assert_allclose(whole[:, :20, 22], (maps[0, :, :20, 22] + maps[1, :, :20, 2]) / 2, rtol=1e-3, atol=1e-6)
    assert len(known(detector.held_out_scores)) == 2  # images, not tiles


def test_a_spot_counts_however_large_the_image() -> None:
    spot = GOOD[:6].copy()
    spot[:, 5:15, 5:15] = 0
    gain = {}
    for tile in (None, 32):
        detector = Detector(TINY.replace(size=96, tile=tile, epochs=4)).fit(GOOD, held_out=0)
        gain[tile] = np.median(detector.score(spot) / detector.score(GOOD[:6]))
    assert gain[32] > gain[None] > 1


def test_what_is_refused_and_what_export_advises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tile in (16, 128):
        with pytest.raises(ValueError, match=f"tile is {tile}, expected from 32 to 64, or None"):
            TINY.replace(size=80, crop=64, tile=tile)
    detector = Detector(TINY.replace(**TILED, epochs=1, attribution="best")).fit(GOOD, held_out=0)
    detector.save(tmp_path / "d")
    assert main(["export", str(tmp_path / "d"), str(tmp_path / "d.onnx")]) == 2
    said = capsys.readouterr().err
    assert (
        "export: a graph of one tile; detector.recipe = detector.recipe.replace(size=32, crop=None, tile=None)" in said
    )
    detector.recipe = detector.recipe.replace(size=32, crop=None, tile=None)
    detector.export(tmp_path / "d.onnx")
