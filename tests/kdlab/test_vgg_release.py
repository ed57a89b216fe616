"""The release of the VGG group: the file is the original, and folding keeps the function."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from kdlab.vgg_release import CAFFE_MEAN, CAFFE_SCALE, unfolded
from kdlib import Detector, Recipe, Split
from kdlib.networks import Source
from kdlib.weights import IMAGENET_MEAN, IMAGENET_STD


def literal_vgg(x: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """VGG-16 as in the paper of Simonyan & Zisserman, configuration D."""
    found = {}
    for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
        for number in range(1, convolutions + 1):
            name = f"conv{block}_{number}"
            x = F.relu(F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1))
        found[f"pool{block}"] = x = F.max_pool2d(x, 2)
    return found


def test_the_file_is_the_original() -> None:
    raw = unfolded()
    first = pytest.approx([0.42947057, 0.373467, -0.06136011], rel=0, abs=6e-9)  # to the digits that were noted
    assert raw["conv1_1.weight"].flatten()[:3].tolist() == first
    assert raw["conv5_3.bias"][0].item() == pytest.approx(0.18837857, rel=0, abs=6e-9)


def test_folding_keeps_the_function() -> None:
    """RGB normalised for ImageNet into the folded network; BGR, 0…255, minus the mean into the one as released."""
    photograph = torch.from_numpy(data.astronaut()[:128, 160:288].copy()).permute(2, 0, 1)[None] / 255
    normalised = (photograph - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    rgb = 255 * (normalised * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
    released = literal_vgg(rgb.flip(1) - torch.tensor(CAFFE_MEAN).view(3, 1, 1), unfolded())
    folded = {p: a / CAFFE_SCALE for p, a in Source.pretrained("vgg-release")(normalised).items()}
    # Zero padding stands for the subtracted mean; the two means differ by 0.5 of 255, so the border differs a little.
    for point, inner in (("pool2", slice(4, -4)), ("pool3", slice(4, -4)), ("pool4", None), ("pool5", None)):
        scale = released[point].square().mean().sqrt()
        assert (folded[point] - released[point]).abs().max() < 0.05 * scale
        if inner:
            part = (..., inner, inner)
            assert (folded[point][part] - released[point][part]).abs().max() < 1e-5 * scale


def test_kdlib_alone_says_who_has_the_release(digits: Split, tmp_path: Path) -> None:
    recipe = Recipe(size=32, epochs=1, weights="vgg-release", precision="fp32")
    Detector(recipe).fit(digits.train[:4]).save(tmp_path / "d")
    code = f"import kdlib; kdlib.Detector.load({str(tmp_path / 'd')!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "expected one of torchvision, random; kdlab.vgg_release, once imported, adds one" in done.stderr
    subprocess.run([sys.executable, "-c", f"import kdlab.presets; {code}"], check=True)
