"""``kdlib fit | score | localize | export``, or ``python -m kdlib``: detectors on folders of images, as a batch job."""

import argparse
import ast
import csv
import hashlib
import itertools
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from kdlib.activations import part_length
from kdlib.data import Images, as_images
from kdlib.data.reading import SUFFIXES, LeftOut
from kdlib.detector import DEFAULT, Detector, is_detector
from kdlib.files import ensure_folder, keep_array, work_folder
from kdlib.memory import MEMORY, Gaussian, Memory

METHODS = {"cloner": (Detector, DEFAULT), "memory": (Memory, MEMORY), "gaussian": (Gaussian, MEMORY)}
QUANTILE = 0.99
LEFT_OUT = 3  # exit status: done, but something in a folder was not judged


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kdlib", description="Multiresolution knowledge distillation.")
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit", help="fit a detector on a folder of good images")
    score = commands.add_parser("score", help="score a folder of images: CSV with name, score, anomalous; worst first")
    localize = commands.add_parser("localize", help="write a localization map of each image as PNG, one scale for all")
    export = commands.add_parser("export", help="write a detector's scores and maps as one ONNX file")
    export.add_argument("detector", type=Path, help="file that fit wrote")
    export.add_argument("onnx", type=Path, help="file to write, such as detector.onnx")
    fit.add_argument("images", type=Path, nargs="+", help="folder of good images, or files, all of one size")
    fit.add_argument("detector", type=Path, help="file to write, such as detector.safetensors")
    method = "gaussian: for parts that lie alike; memory: for textures; cloner: the paper's, by default"
    fit.add_argument("--method", choices=METHODS, default="cloner", help=method)
    fit.add_argument("--seed", type=int, default=0, help="of all that is drawn at random, 0")
    held_out = "of the good images, not trained on: the threshold comes from them; 0.1 by default"
    fit.add_argument("--held-out", type=float, default=0.1, metavar="FRACTION", help=held_out)
    fit.add_argument("--apart", type=Path, metavar="FOLDER", help="good images of another day, for the threshold")
    settings = "settings, such as size=512 tile=128; behind the file"
    fit.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help=settings)
    for command in (score, localize):
        command.add_argument("detector", type=Path, help="file that fit wrote")
        command.add_argument("images", type=Path, nargs="+", help="folder of images, or files, shaped as the good ones")
    add = score.add_mutually_exclusive_group().add_argument
    add("--quantile", type=float, default=QUANTILE, help=f"of good images that should pass, {QUANTILE} by default")
    add("--threshold", type=number, metavar="VALUE", help="score above which an image is anomalous")
    localize.add_argument("maps", type=Path, help="folder to write <name>_map.png to; new or empty")
    scale = "what is black and what is white; lowest and highest of these maps by default"
    localize.add_argument("--scale", type=number, nargs=2, metavar=("LOW", "HIGH"), help=scale)
    allowed = f"exit 0, not {LEFT_OUT}, though something in a folder was not judged"
    for command in (fit, score, localize):
        command.add_argument("--allow-left-out", action="store_true", help=allowed)
    return parser


def number(text: str) -> float:
    """A finite number: above a threshold of nan no score lies, and all parts would pass."""
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def fit(options: argparse.Namespace) -> int:
    """Whatever would stop it is found before the training; an existing file is replaced if it is a detector."""
    path, settings = options.detector, options.settings
    if limits := {"train_limit", "test_limit"} & settings.keys():
        raise ValueError(f"--set: {limits.pop()} is for experiments; fit takes all images of the folder")
    if path.is_dir() or (path.exists() and path.stat().st_size and not _method(path)):
        raise ValueError(f"{path}: exists and is no detector; fit takes the images first, then the file to write")
    method, recipe = METHODS[options.method]
    detector = method(recipe.replace(**settings), seed=options.seed)
    images, apart = _images(options.images), options.apart and as_images(options.apart)
    ensure_folder(path.parent)
    begin = time.monotonic()
    detector.fit(images, held_out=options.held_out, apart=apart)
    kept = math.ceil(options.held_out * len(images))
    detector.save(path)
    about = _threshold(detector, QUANTILE)[1]
    counts = f"{len(images) - kept} images trained on, {kept} held out" + (f", {len(apart)} apart" if apart else "")
    print(f"{path}: {counts}, {time.monotonic() - begin:.0f} s; {about}")
    return 0


def score(options: argparse.Namespace) -> int:
    """CSV to standard output; the threshold, and what is to be known about it, to standard error."""
    detector, images = _load(options)
    if options.threshold is None:
        limit, about = _threshold(detector, options.quantile)
    else:
        limit, about = options.threshold, f"threshold {options.threshold:.6g}, as given"
    scores = np.concatenate(_judged(options, detector, images, detector.score))
    _note(about)
    verdicts = [""] * len(scores) if limit is None else (scores > limit).astype(int)
    rows = [(_readable(images.names[i]), f"{scores[i]:.6g}", verdicts[i]) for i in np.argsort(-scores)]
    csv.writer(sys.stdout, lineterminator="\n").writerows([("name", "score", "anomalous"), *rows])
    return 0


def localize(options: argparse.Namespace) -> int:
    """``<name>_map.png`` for each image, its suffix dropped; the scale to standard error."""
    if options.maps.is_file() or (options.maps.is_dir() and any(options.maps.iterdir())):
        advice = "localize takes the detector, the images, and a folder for the maps that is new or empty"
        raise ValueError(f"{options.maps}: is there already; {advice}")
    if options.scale and not options.scale[0] < options.scale[1]:
        raise ValueError("--scale: expected LOW below HIGH, found {:g} and {:g}".format(*options.scale))
    detector, images = _load(options)
    names: dict[str, str] = {}  # by the file's name as case-blind disks see it
    for name in images.names:
        if (first := names.setdefault(Path(name).stem.lower(), name)) != name:
            raise ValueError(f"{options.images[0]}: {first} and {name} would have one map; rename one of them")
    ensure_folder(options.maps)
    maps = _judged(options, detector, images, detector.localize)
    low, high = options.scale or (min(part.min() for part in maps), max(part.max() for part in maps))
    for name, heat in zip(images.names, itertools.chain.from_iterable(maps), strict=True):
        grey = 255 * ((heat - low) / max(high - low, np.finfo(heat.dtype).tiny)).clip(0, 1)
        Image.fromarray(grey.astype(np.uint8)).save(options.maps / f"{Path(name).stem}_map.png")
    _note(f"black is {low:.6g}, white is {high:.6g}; other images on this scale: --scale {low:.6g} {high:.6g}")
    return 0


def export(options: argparse.Namespace) -> int:
    """An ONNX file; what an image must look like for it, and the threshold, to standard output."""
    if options.onnx.suffix != ".onnx":
        raise ValueError(f"{options.onnx}: expected a name that ends in .onnx; export takes the detector first")
    detector = Detector.load(options.detector)
    detector.export(options.onnx)
    side, about = detector.recipe.input_size, _threshold(detector, QUANTILE)[1]
    print(f"{options.onnx}: pixels (N, 3, {side}, {side}), 8-bit RGB, to scores (N,) and maps; {about}")
    return 0


def _load(options: argparse.Namespace) -> tuple[Detector, Images]:
    path = options.detector
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        kind = "a folder" if path.is_dir() else "an image"
        raise ValueError(f"{path}: is {kind}; {options.command} takes the detector first, then the folder of images")
    return (_method(path) or Detector).load(path), _images(options.images)


def _method(path: Path) -> type[Detector] | None:
    """What wrote a file; None where it is no detector."""
    return next((method for method, _ in METHODS.values() if is_detector(path, method.format)), None)


def _judged(
    options: argparse.Namespace, detector: Detector, images: Images, judge: Callable[[Images], np.ndarray]
) -> list[np.ndarray]:
    """What ``judge`` gives for the images, in parts; kept until all are done, so that who was stopped goes on there."""
    length, _ = part_length(detector.recipe), images.deep  # refuses a mixture before any work
    parts = [images[start : start + length] for start in range(0, len(images), length)]
    if len(parts) == 1:
        return [judge(images)]
    made_by = hashlib.sha256(options.detector.read_bytes() + options.command.encode()).hexdigest()[:16]
    kept = [work_folder() / "judged" / f"{made_by}-{part.fingerprint}.npy" for part in parts]
    found = [keep_array(path, partial(judge, part)) for path, part in zip(kept, parts, strict=True)]
    for path in kept:
        path.unlink(missing_ok=True)  # what is mapped stays until nobody uses it
    return found


def _images(paths: Sequence[Path]) -> Images:
    return as_images(paths[0] if len(paths) == 1 else paths)


def _threshold(detector: Detector, quantile: float) -> tuple[float | None, str]:
    """The threshold, None without images for it, and what to say about it."""
    if detector.held_out_scores is None:
        why = "as no good images were held out: fit with --held-out or --apart, or give --threshold"
        return None, f"no threshold, {why}"
    limit, count = detector.threshold(quantile), len(detector.held_out_scores)
    return limit, f"threshold {limit:.6g}, quantile {quantile:g} of {count} good images"


def _note(text: str) -> None:
    print("kdlib:", _readable(text), file=sys.stderr)


def _readable(text: str) -> str:
    """Names of files are bytes, of any encoding: what is not UTF-8 as ``\\xf6``."""
    return os.fsencode(text).decode(errors="backslashreplace")


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; the status is that of `finish`."""
    options = _parser().parse_args(arguments)
    return finish(options, {"fit": fit, "score": score, "localize": localize, "export": export}[options.command])


def finish(options: argparse.Namespace, action: Callable[[argparse.Namespace], int]) -> int:
    """What an action returns, 0 or 1; 2 where arguments or data are not usable; `LEFT_OUT` where some was not judged.

    Where the reader of the output has gone, as ``head`` does, 141 without a word; where the user stopped it, 130.
    """
    left_out = False

    def show(message: Warning | str, *_: object, **__: object) -> None:
        nonlocal left_out
        left_out |= isinstance(message, LeftOut)
        _note(str(message))

    try:
        options.settings = parse_settings(getattr(options, "set", []))
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)  # once, not with each part of the images
            warnings.showwarning = show
            code = action(options)
        sys.stdout.flush()
        return LEFT_OUT if left_out and code == 0 and not getattr(options, "allow_left_out", True) else code
    except KeyboardInterrupt:
        _note("stopped")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush goes nowhere
        return 141
    except (ValueError, OSError, MemoryError, ImportError) as error:
        _note(str(error))
        return 2


def parse_settings(texts: Sequence[str]) -> dict[str, object]:
    """``["lam=1", "cloner=equal"]`` as names and Python values; what is no literal is a string."""
    found: dict[str, object] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"--set: expected NAME=VALUE, found {text!r}")
        if name in found:
            raise ValueError(f"--set: {name} comes twice")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = float(value) if value == "inf" else value
    return found


if __name__ == "__main__":
    sys.exit(main())
