"""The two networks: the source (frozen VGG-16) and the cloner (Fig. 2 and Sec. 3.2 of the paper).

Both hand out a dict of named activations, ``{"pool2": (B, 128, H/4, W/4), … "pool5": (B, 512, H/32, W/32)}``.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlib import weights

CRITICAL_POINTS = ("pool2", "pool3", "pool4", "pool5")
PRECISIONS = ("auto", "bf16", "fp32")

# Output channels of the convolutions of each block; a max-pool ends each block.
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
CLONERS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "tiny": ((4, 4), (4, 128), (4, 4, 256), (4, 4, 512), (4, 4, 512)),
    "small": ((16, 16), (16, 128), (16, 16, 256), (16, 16, 512), (16, 16, 512)),
    "medium": ((64, 64), (64, 128), (64, 64, 256), (64, 64, 512), (64, 64, 512)),
    "equal": VGG16,
}


class Source(nn.Module):
    """VGG-16 without its classifier, with the tensors of `weights.load`; frozen: they are buffers, no parameters."""

    def __init__(self, tensors: Mapping[str, Tensor], *, critical_points: Sequence[str] = CRITICAL_POINTS) -> None:
        super().__init__()
        self.critical_points = check_critical_points(critical_points)
        self.relu = nn.ReLU()  # a module, as Captum's guided backpropagation sees no others
        for name in weights.CONVOLUTIONS:
            for kind in ("weight", "bias"):
                self.register_buffer(f"conv{name}_{kind}", tensors[f"conv{name}.{kind}"])

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.get_buffer("conv1_1_weight").device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights and of the activations."""
        return self.get_buffer("conv1_1_weight").dtype

    @classmethod
    def pretrained(cls, name: str = "torchvision", **settings: object) -> Self:
        """The source with the weights of `weights.load`."""
        return cls(weights.load(name), **settings)  # type: ignore[arg-type]

    def forward(self, x: Tensor, points: Sequence[str] = ()) -> dict[str, Tensor]:
        """Activations of RGB images (B, 3, H, W), H and W at least 32, at all critical points or ``points``."""
        x = x.to(self.dtype)
        points, found = points or self.critical_points, {}
        for name in weights.CONVOLUTIONS:
            if name[2] == "1" and name != "1_1":  # a block begins: the one before it ends
                x = F.max_pool2d(x, 2)
                found[f"pool{int(name[0]) - 1}"] = x
                if found.keys() >= set(points):
                    break
            weight, bias = (self.get_buffer(f"conv{name}_{kind}") for kind in ("weight", "bias"))
            x = self.relu(F.conv2d(x, weight, bias, padding=1))
        else:
            found["pool5"] = F.max_pool2d(x, 2)
        return {point: found[point] for point in points}


class Cloner(nn.Module):
    """The small network that imitates the source: 3x3 convolutions without bias, Xavier-uniform (Sec. 3.2).

    BatchNorm after every convolution but the last one of a block, then ReLU.

    Args:
        channels: a name of `CLONERS`, or the output channels of the convolutions, block by block.
        critical_points: those that are handed out; blocks behind the last of them do not exist.
        norm_shift: BatchNorm learns a shift, as in the reference code.
        conv_bias: convolutions learn a bias.
    """

    def __init__(
        self,
        channels: str | Sequence[Sequence[int]] = "small",
        *,
        critical_points: Sequence[str] = CRITICAL_POINTS,
        norm_shift: bool = True,
        conv_bias: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(channels, str) and channels not in CLONERS:
            raise ValueError(f"cloner: no {channels!r}; known are {', '.join(CLONERS)}")
        blocks = CLONERS[channels] if isinstance(channels, str) else channels
        self.critical_points = check_critical_points(critical_points)
        inputs = 3
        self.blocks = nn.ModuleDict()
        for number, block in enumerate(blocks[: int(self.critical_points[-1][-1])], start=1):
            layers: list[nn.Module] = []
            for position, outputs in enumerate(block, start=1):
                convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=conv_bias)
                nn.init.xavier_uniform_(convolution.weight)
                norm = nn.BatchNorm2d(outputs)
                if not norm_shift:
                    norm.register_parameter("bias", None)
                # The pool comes before its ReLU: the two commute, and a quarter is left to do.
                layers += [convolution, norm if position < len(block) else nn.MaxPool2d(2), nn.ReLU()]
                inputs = outputs
            self.blocks[f"pool{number}"] = nn.Sequential(*layers)

    def forward(self, x: Tensor, points: Sequence[str] = ()) -> dict[str, Tensor]:
        """Activations of images (B, 3, H, W), H and W at least 32; ``points`` as for `Source.forward`."""
        points, found = points or self.critical_points, {}
        for name, block in self.blocks.items():
            found[name] = x = block(x)
            if found.keys() >= set(points):
                break
        return {point: found[point] for point in points}


def check_critical_points(points: Sequence[str]) -> tuple[str, ...]:
    """The critical points in the order of the network; ValueError where they are unknown, doubled or none."""
    unknown = [p for p in points if p not in CRITICAL_POINTS]
    if unknown or not points or len(set(points)) < len(points) or isinstance(points, str):
        raise ValueError(f"critical points: expected one or more of {', '.join(CRITICAL_POINTS)}; found {points!r}")
    return tuple(sorted(points))


def parameter_count(network: nn.Module) -> int:
    """Number of learned values; buffers, such as BatchNorm's running statistics, do not count."""
    return sum(p.numel() for p in network.parameters())


def default_device() -> torch.device:
    """CUDA where there is a GPU for it, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_precision(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: ``"bf16"`` yes, ``"fp32"`` no, ``"auto"`` where the machine gains from it."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision: no {precision!r}; known are {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
    return device.type == "cpu" and bool(supported)
