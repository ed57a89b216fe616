"""What is fast, measured side by side: `python benchmarks/speed.py [training source scoring localization]`.

Each pair of ways is timed in one run, alternating, and compared by the median: machines are noisy, ratios less so.
Run it with nothing else running. The last line of each benchmark is JSON.
"""

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.cost import passes
from kdlab.experiments.records import commit, processor
from kdlab.presets import recipe_for
from kdlib import Detector, load, weights
from kdlib.activations import make_source, prepare, source_activations, take
from kdlib.distill import make_cloner
from kdlib.losses import discrepancy
from kdlib.networks import CRITICAL_POINTS, VGG16, Cloner, default_device, half_precision
from kdlib.recipe import Recipe

DEVICE = default_device()


def seconds(ways: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median seconds of a call of each way, called in turn after one call that does not count."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, call in ways.items():
            start = time.perf_counter()
            call()
            if DEVICE.type == "cuda":
                torch.cuda.synchronize()  # a call returns before the GPU has done it
            if number:
                found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in found.items()}


def reference_source() -> nn.Sequential:
    """VGG-16 as the reference code has it: modules with parameters, single precision, contiguous."""
    layers: list[nn.Module] = []
    inputs = 3
    for block in VGG16:
        for outputs in block:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    network = nn.Sequential(*layers).eval()
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    for name, convolution in zip(weights.CONVOLUTIONS, convolutions, strict=True):
        tensors = weights.load("vgg-release")
        convolution.load_state_dict({kind: tensors[f"conv{name}.{kind}"] for kind in ("weight", "bias")})
    return network.to(DEVICE)


def reference_step(*, frozen: bool) -> Callable[[], object]:
    """A training step of the reference recipe: both networks in the graph, the source's gradients computed and unused.

    ``frozen`` is the same with gradients of the source's weights switched off: what somebody careful would write.
    """
    source, cloner = reference_source(), Cloner().to(DEVICE)
    source.requires_grad_(not frozen)
    optimizer = torch.optim.Adam(cloner.parameters(), lr=1e-3)
    x = torch.rand(64, 3, 128, 128, generator=torch.Generator().manual_seed(0)).to(DEVICE)

    def step() -> None:
        found, pools, y = cloner(x), [], x
        for layer in source:
            y = layer(y)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(y)
        loss = torch.zeros((), device=DEVICE)
        for point, a in zip(CRITICAL_POINTS, pools[1:], strict=True):
            c = found[point]
            loss = loss + F.mse_loss(a, c) + 2 * (1 - F.cosine_similarity(a.flatten(1), c.flatten(1))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step() -> Callable[[], object]:
    """A training step of `distill.distill`, with its batch taken from kept activations."""
    recipe = Recipe(size=128, normalize=True)
    pixels = torch.randint(0, 256, (128, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    kept, pixels = source_activations(make_source(recipe, DEVICE), pixels, recipe), pixels.to(DEVICE)
    cloner = make_cloner(recipe, DEVICE, seed=0).train()
    optimizer = torch.optim.Adam(cloner.parameters(), lr=1e-3, fused=True)
    chosen = torch.randperm(128, generator=torch.Generator().manual_seed(0))[:64]

    def step() -> None:
        x, source = prepare(pixels[chosen], recipe, DEVICE), take(kept, chosen, DEVICE)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=half_precision("auto", DEVICE)):
            found = cloner(x)
        loss = discrepancy(source, found, lam=2.0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def training() -> dict[str, float]:
    """Images/s of training at 128 px, batch 64, against the reference recipe."""
    ways = {
        "reference": reference_step(frozen=False),
        "reference, frozen": reference_step(frozen=True),
        "kdlib": our_step(),
    }
    rate = {name: 64 / s for name, s in seconds(ways, rounds=5).items()}
    return {f"{name}, images/s": r for name, r in rate.items()} | {
        "kdlib / reference": rate["kdlib"] / rate["reference"],
        "kdlib / reference, frozen": rate["kdlib"] / rate["reference, frozen"],
    }


def source() -> dict[str, float]:
    """The source's forward pass at 128 px against a matrix product of the same precision."""
    recipe = Recipe(size=128, normalize=True)
    network = make_source(recipe, DEVICE)
    x = torch.rand(32, 3, 128, 128, device=DEVICE).contiguous(memory_format=torch.channels_last)
    matrix = torch.rand(2048, 2048, device=DEVICE).to(network.dtype)

    def forward() -> dict[str, Tensor]:
        with torch.inference_mode():
            return network(x)

    multiplications = 32 * passes(128)["source"]
    found = seconds({"source": forward, "matrix": lambda: [matrix @ matrix for _ in range(16)]}, rounds=9)
    rates = {"source": 2e-9 * multiplications / found["source"], "matrix": 2e-9 * 16 * 2048**3 / found["matrix"]}
    return {f"{k}, GFLOP/s": v for k, v in rates.items()} | {"source / matrix": rates["source"] / rates["matrix"]}


def scoring() -> dict[str, float]:
    """10,000 images of Fashion-MNIST at 32 px, source warm."""
    data = load("fashion_mnist", "0")
    detector = Detector(recipe_for("fashion_mnist").replace(epochs=1)).fit(data.train[:256], held_out=0)
    return {"seconds for 10,000 images": seconds({"score": lambda: detector.score(data.test)}, rounds=3)["score"]}


def localization() -> dict[str, float]:
    """Maps at 128 px against a loop over images in single precision, the source in the graph, as the reference."""
    data = load("textures", "brick")
    detector = Detector(Recipe(size=128, normalize=True, epochs=1)).fit(data.train[:16], held_out=0)
    smooth = Detector(detector.recipe.replace(attribution="smoothgrad"))
    smooth.cloner, smooth.training = detector.cloner, detector.training
    source, lam = reference_source(), detector.training.lam
    cloner = copy.deepcopy(detector.cloner).to(memory_format=torch.contiguous_format)
    images = data.test[:8].pixels(128)

    def loop(samples: int, count: int) -> None:
        for image in prepare(images[:count], detector.recipe, DEVICE).contiguous():
            for _ in range(samples):
                x = (image[None] + (samples > 1) * 0.2 * torch.randn_like(image)).requires_grad_()
                found, known, total = cloner(x), x, 0.0
                for number, layer in enumerate(source):
                    known = layer(known)
                    if number in (9, 16, 23, 30):  # the last four max-pools
                        c = found[f"pool{(9, 16, 23, 30).index(number) + 2}"]
                        cosine = F.cosine_similarity(known.flatten(1), c.flatten(1))
                        total = total + F.mse_loss(c, known) + lam * (1 - cosine).sum()
                total.backward()

    times = seconds(
        {
            "gradients": lambda: detector.localize(images),
            "gradients, loop": lambda: loop(1, 8),
            "smoothgrad": lambda: smooth.localize(images[:1]),
            "smoothgrad, loop": lambda: loop(50, 1),
        },
        rounds=3,
    )
    return {
        "gradients, milliseconds an image": 1000 * times["gradients"] / 8,
        "gradients, times as fast": times["gradients, loop"] / times["gradients"],
        "smoothgrad-50, seconds an image": times["smoothgrad"],
        "smoothgrad-50, times as fast": times["smoothgrad, loop"] / times["smoothgrad"],
    }


BENCHMARKS = {f.__name__: f for f in (training, source, scoring, localization)}


def main(chosen: list[str]) -> None:
    """Run the chosen benchmarks, or all."""
    if unknown := set(chosen) - set(BENCHMARKS):
        sys.exit(f"benchmarks: no {', '.join(sorted(unknown))}; known are {', '.join(BENCHMARKS)}")
    for name in chosen or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name].__doc__}")
        found = {key: float(np.round(value, 3)) for key, value in BENCHMARKS[name]().items()}
        machine = {"processor": processor(), "threads": torch.get_num_threads(), "commit": commit()}
        if DEVICE.type == "cuda":
            machine["gpu"] = torch.cuda.get_device_name()
        print(json.dumps({"benchmark": name, **found, **machine}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
