"""Copies of data sets against the originals; splits that are drawn by seed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import data_provenance
from kdlab.originals import copy_note
from kdlib import Images, Split, load
from kdlib.data import SPLIT_BY_SEED


def test_an_experiment_s_seed_is_the_split_s_and_the_split_is_in_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BrainMRI with 15 normal images and 4 others."""
    for name, count in (("no", 15), ("yes", 4)):
        (folder := tmp_path / "brain_mri" / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((8, 8), 7 * count + number, np.uint8)).save(folder / f"{number:02d}.png")
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path))
    split = load("brain_mri", "brain_mri", seed=3)
    held_out = data_provenance(split)["held_out"]
    assert len(held_out) == 10
    assert not set(held_out) & set(split.train.names)
    assert set(held_out) | set(split.train.names) == {f"no/{n:02d}.png" for n in range(15)}
    one, other = (Experiment.of("brain_mri", "brain_mri", seed=seed) for seed in (0, 1))
    assert one.data.train.names == load("brain_mri", "brain_mri", seed=0).train.names
    assert one.data.train.names != other.data.train.names
    assert "brain_mri" in SPLIT_BY_SEED


@pytest.mark.parametrize(
    ("dataset", "good", "note"),
    [
        ("mvtec_ad", 1, "19 good test images of the original are missing; resized copy"),
        ("mvtec_ad", 20, "resized copy"),
        ("textures", 1, "resized copy"),
    ],
)
def test_good_test_images_that_a_copy_lacks(dataset: str, good: int, note: str) -> None:
    test = Images(np.zeros((good + 2, 4, 4), np.uint8), ("x",) * (good + 2), np.array([0] * good + [1, 1]))
    assert copy_note(Split(dataset, "bottle", test, test, copy_note="resized copy")) == note
