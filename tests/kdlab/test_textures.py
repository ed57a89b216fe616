"""`textures`: disjoint, exact, the same every time, whole or not there."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import known
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from kdlab import textures as module
from kdlab.textures import BORDER, DEFECTS, GRAFTED, GRAFTS, SIZE, make_category, paint_defect, textures
from kdlib import load


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("TRAIN", 5), ("GOOD", 3), ("EACH_DEFECT", 2)):
        monkeypatch.setattr(module, name, count)


def test_layout() -> None:
    with pytest.raises(ValueError, match="no category 'sand'; known are brick, grass, gravel"):
        load("textures", "sand")
    split = load("textures", "brick")
    assert split.has_masks
    assert Counter(Path(name).parent.name for name in split.train.names) == {"good": 80}
    assert Counter(Path(name).parent.name for name in split.test.names) == {"good": 20} | dict.fromkeys(DEFECTS, 10)
    masks = split.test.mask_pixels(SIZE)
    np.testing.assert_array_equal(masks.any((1, 2)), known(split.test.labels) == 1)


def test_no_pixel_is_in_training_and_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a photograph whose grey value is the column, patches say where they were cut."""
    monkeypatch.setattr(module, "GOOD", 80)
    monkeypatch.setattr("skimage.data.brick", lambda: np.tile((np.arange(512) // 2).astype(np.uint8), (512, 1)))
    split = textures("brick", root=tmp_path)
    labels = known(split.test.labels)
    train, good = (part.pixels(SIZE) for part in (split.train, split.test[labels == 0]))
    assert len(train) == len(good) == 80
    assert train.max() < BORDER // 2 <= good.min()
    defective = split.test[labels == 1]
    assert defective.pixels(SIZE)[:, 0].numpy()[~defective.mask_pixels(SIZE)].min() >= BORDER // 2


@given(st.sampled_from(DEFECTS), st.integers(0, 2**32))
def test_masks_are_exact(kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    patch = random.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
    other = np.full((SIZE, SIZE), 300, np.int16)  # a texture that no patch has
    before = patch.copy()
    painted, mask = paint_defect(patch, kind, random, other=other)
    assert 0 < mask.mean() < 0.2
    np.testing.assert_array_equal(painted[~mask], before[~mask])
    np.testing.assert_array_equal(patch, before)
    if kind == "swap":
        assert (painted[mask] == 300 - 256).all()
    else:  # a shift of 50 to 90, cut at black and white
        shifted = np.abs(painted[mask].astype(int) - before[mask])
        assert ((shifted >= 49) | np.isin(painted[mask], (0, 255))).all()


@pytest.mark.parametrize("category", GRAFTED)
def test_a_graft_is_as_bright_as_what_it_replaces(category: str) -> None:
    split = load("grafts", category)
    assert Counter(Path(name).parent.name for name in split.test.names) == {"good": 20} | dict.fromkeys(GRAFTS, 10)
    random = np.random.default_rng(0)
    patch, other = (images.pixels(SIZE)[0, 0].numpy() for images in (split.train, load("textures", "gravel").train))
    for kind in GRAFTS:
        painted, mask = paint_defect(patch, kind, random, other=other)
        far = ndimage.distance_transform_edt(~mask) > 12  # beyond the soft edge
        assert np.abs(painted.astype(int) - patch)[far].max() == 0
        assert abs(painted[mask].mean() - patch[mask].mean()) < 8


@pytest.mark.usefixtures("few")
def test_the_same_every_time(tmp_path: Path) -> None:
    first, second = (textures("grass", root=tmp_path / name) for name in "ab")
    assert first.train.fingerprint == second.train.fingerprint
    assert first.test.fingerprint == second.test.fingerprint
    make_category(tmp_path / "c", "grass", seed=1)
    make_category(tmp_path / "c", "grass")  # somebody else was faster
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["grass"]
    assert textures("grass", root=tmp_path / "c").train.fingerprint != first.train.fingerprint


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_interrupted_making_leaves_nothing(
    interruption: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = module._write

    def interrupted(folder: Path, number: int, image: np.ndarray, *, suffix: str = "") -> None:
        write(folder, number, image, suffix=suffix)
        if suffix == "_mask":
            raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", interrupted)
        with pytest.raises(interruption):
            textures("gravel", root=tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(textures("gravel", root=tmp_path).train) == 5
