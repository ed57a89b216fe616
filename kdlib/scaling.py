"""One scale for the source's activations, whatever its weights: a release's own differ by a factor of hundreds."""

import hashlib
import json
import math

import numpy as np
import torch
from torch import Tensor

from kdlib.files import cache_folder, write_atomically
from kdlib.weights import IMAGENET_MEAN, IMAGENET_STD


def scale_exponents(tensors: dict[str, Tensor], scaling: str) -> dict[str, int]:
    """Exponents e of the factors 2**e that the activations of each block are multiplied by, ``{"1": e, … "5": e}``.

    ``"native"`` leaves them as released. ``"network"`` is one factor for the whole network, which keeps the
    proportions between the critical points: their RMS on photographs has a geometric mean of about 1.
    ``"critical_point"`` brings each RMS to about 1. Powers of two change no digit of an activation. The photographs are
    scikit-image's, never the data of an experiment.
    """
    if scaling == "native":
        return dict.fromkeys("12345", 0)
    if scaling not in ("network", "critical_point"):
        raise ValueError(f"scaling: no {scaling!r}; known are native, network, critical_point")
    log_rms = _log2_rms_on_photographs(tensors)
    if scaling == "network":
        return dict.fromkeys("12345", -round(sum(log_rms.values()) / len(log_rms)))
    each = {block: -round(value) for block, value in log_rms.items()}
    return {"1": each["2"]} | each  # pool1 is never matched: it goes with pool2


def _log2_rms_on_photographs(tensors: dict[str, Tensor]) -> dict[str, float]:
    """log2 of the RMS at pool2 … pool5 over four photographs at 128 px, kept beside the weights."""
    key = hashlib.sha256(tensors["conv1_1.weight"].numpy().tobytes()).hexdigest()[:16]
    path = cache_folder() / "weights" / f"rms-{key}.json"
    if not path.exists():
        from kdlib.networks import Source

        points = ("pool2", "pool3", "pool4", "pool5")
        with torch.inference_mode():
            found = Source(tensors, critical_points=points)(photographs())
        rms = {p[-1]: math.log2(found[p].square().mean().sqrt().item()) for p in points}
        write_atomically(path, json.dumps(rms).encode())
    return dict(json.loads(path.read_text()))


def photographs(size: int = 128) -> Tensor:
    """scikit-image's astronaut, cat, coffee and rocket, ImageNet-normalised: (4, 3, size, size)."""
    from skimage import data
    from skimage.transform import resize

    images = [
        resize(getattr(data, n)(), (size, size), anti_aliasing=True)
        for n in ("astronaut", "chelsea", "coffee", "rocket")
    ]
    x = torch.from_numpy(np.stack(images)).float().permute(0, 3, 1, 2)
    return (x - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
