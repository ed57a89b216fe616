"""``kdlib fit | score | localize``, or ``python -m kdlib``: detectors on folders of images, as a batch job."""

import argparse
import ast
import csv
import hashlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from kdlib.data import Images, as_images
from kdlib.data.reading import SUFFIXES
from kdlib.detector import DEFAULT, Detector, is_detector
from kdlib.files import ensure_folder, write_atomically

QUANTILE = 0.99
SHAPE_TOLERANCE = 0.01  # relative, of width over height


def add_arguments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The three commands and their options."""
    add = commands.add_parser("fit", help="fit a detector on a folder of good images").add_argument
    add("images", type=Path, help="folder of good images, all of one size")
    add("detector", type=Path, help="file to write, such as detector.safetensors")
    add("--seed", type=int, default=0, help="of the cloner's weights and the order of training, 0")
    held_out = "of the good images, not trained on: the threshold comes from them; 0.1 by default"
    add("--held-out", type=float, default=0.1, metavar="FRACTION", help=held_out)
    add("--apart", type=Path, metavar="FOLDER", help="good images of another day: the threshold is from them instead")
    add("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="settings, such as size=256")

    score = commands.add_parser("score", help="score a folder of images: CSV with name, score, anomalous; worst first")
    localize = commands.add_parser("localize", help="write a localization map of each image as PNG, one scale for all")
    for command in (score, localize):
        command.add_argument("detector", type=Path, help="file that fit wrote")
        command.add_argument("images", type=Path, help="folder of images, of one size, the shape of the good ones")
    add = score.add_mutually_exclusive_group().add_argument
    add("--quantile", type=float, default=QUANTILE, help=f"of good images that should pass, {QUANTILE} by default")
    add("--threshold", type=number, metavar="VALUE", help="score above which an image is anomalous")
    localize.add_argument("maps", type=Path, help="folder to write <name>_map.png to")
    scale = "what is black and what is white; lowest and highest of these maps by default"
    localize.add_argument("--scale", type=number, nargs=2, metavar=("LOW", "HIGH"), help=scale)


def number(text: str) -> float:
    """A finite number."""
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


def fit(options: argparse.Namespace) -> int:
    """Whatever would stop it is found before the training; an existing file is replaced if it is a detector."""
    path, settings = options.detector, options.settings
    if limits := {"train_limit", "test_limit"} & settings.keys():
        raise ValueError(f"--set: {limits.pop()} is for experiments; fit takes all images of the folder")
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; fit takes the images first, then the file to write")
    if path.exists() and path.stat().st_size and not is_detector(path):
        raise ValueError(f"{path}: exists and is no detector; name another file to write")
    detector = Detector(DEFAULT.replace(**settings), seed=options.seed)
    images, apart = as_images(options.images), options.apart and as_images(options.apart)
    if apart:
        _check_size(apart, images.size, options.apart)
    _tell_copies(images, apart)
    ensure_folder(path.parent)
    begin = time.monotonic()
    detector.fit(images, held_out=options.held_out)
    kept = 0 if detector.held_out_scores is None else len(detector.held_out_scores)
    if apart:
        detector.calibrate(apart)
    detector.save(path)
    about = _threshold(detector, QUANTILE)[1]
    counts = f"{len(images) - kept} images trained on, {kept} held out" + (f", {len(apart)} apart" if apart else "")
    print(f"{path}: {counts}, {time.monotonic() - begin:.0f} s; {about}")
    return 0


def score(options: argparse.Namespace) -> int:
    """CSV to standard output; the threshold, and what is to be known about it, to standard error."""
    detector, images = _load(options)
    limit, about = options.threshold, f"threshold {options.threshold or 0:.6g}, as given"
    if limit is None:
        limit, about = _threshold(detector, options.quantile)
    scores = detector.score(images)
    _note(about)
    verdicts = [""] * len(scores) if limit is None else (scores > limit).astype(int)
    rows = [(images.names[i], f"{scores[i]:.6g}", verdicts[i]) for i in np.argsort(-scores)]
    csv.writer(sys.stdout, lineterminator="\n").writerows([("name", "score", "anomalous"), *rows])
    return 0


def localize(options: argparse.Namespace) -> int:
    """``<name>_map.png`` for each image, its suffix dropped; the scale to standard error."""
    if options.maps.exists() and options.images.exists() and options.maps.samefile(options.images):
        raise ValueError(f"{options.maps}: is the folder of the images; name another one for the maps")
    if options.scale and not options.scale[0] < options.scale[1]:
        raise ValueError("--scale: expected LOW below HIGH, found {:g} and {:g}".format(*options.scale))
    detector, images = _load(options)
    names: dict[str, str] = {}  # by the file's name as case-blind disks see it
    for name in images.names:
        if (first := names.setdefault(Path(name).stem.lower(), name)) != name:
            raise ValueError(f"{options.images}: {first} and {name} would have one map; rename one of them")
    folder = ensure_folder(options.maps)
    maps = detector.localize(images)
    low, high = options.scale or (maps.min(), maps.max())
    for name, heat in zip(images.names, maps, strict=True):
        content = BytesIO()
        grey = 255 * ((heat - low) / max(high - low, np.finfo(heat.dtype).tiny)).clip(0, 1)
        Image.fromarray(grey.astype(np.uint8)).save(content, format="PNG")
        write_atomically(folder / f"{Path(name).stem}_map.png", content.getvalue())
    _note(f"black is {low:.6g}, white is {high:.6g}; other images on this scale: --scale {low:.6g} {high:.6g}")
    return 0


def _load(options: argparse.Namespace) -> tuple[Detector, Images]:
    path = options.detector
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        kind = "a folder" if path.is_dir() else "an image"
        raise ValueError(f"{path}: is {kind}; {options.command} takes the detector first, then the folder of images")
    detector, images = Detector.load(path), as_images(options.images)
    _check_size(images, detector.image_size, options.images)
    return detector, images


def _check_size(images: Images, good: tuple[int, int] | None, folder: Path) -> None:
    """Refuse another shape than the good images have: all become squares, and a circle no longer the same ellipse."""
    if good is None or images.size is None or images.size == good:
        return
    sizes = "{}: images of {}x{}, the good ones have {}x{}".format(folder, *images.size, *good)
    if abs(images.size[0] * good[1] / (images.size[1] * good[0]) - 1) > SHAPE_TOLERANCE:
        raise ValueError(f"{sizes}: another shape, which would be squeezed; crop or pad them alike")
    _note(f"{sizes}; this is right if they show the same field of view")


def _threshold(detector: Detector, quantile: float) -> tuple[float | None, str]:
    """The threshold, None without images for it, and what to say about it."""
    if detector.held_out_scores is None:
        why = "as no good images were held out: fit with --held-out or --apart, or give --threshold"
        return None, f"no threshold, {why}"
    limit, count = detector.threshold(quantile), len(detector.held_out_scores)
    if (count + 1) * (1 - quantile) < 1 - 1e-9:
        expected = f"expect 1 good image in {count + 1} to be flagged"
        _note(f"{count} good images cannot give quantile {quantile:g}: {expected}")
    return limit, f"threshold {limit:.6g}, quantile {quantile:g} of {count} good images"


def _tell_copies(images: Images, apart: Images | None) -> None:
    """Note files with the same bytes: a copy of a trained image makes the threshold too low."""
    first: dict[bytes, object] = {}
    copies = []
    for path in (*images.content, *(apart.content if apart else ())):
        twin = first.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        copies += [f"{path}, the same as {twin}"] if twin is not path else []
    if copies:
        _note(f"{len(copies)} copies, such as {copies[0]}; a threshold from copies is too low")


def _note(text: str) -> None:
    print(f"kdlib: {text}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; the status is that of `finish`."""
    parser = argparse.ArgumentParser(prog="kdlib", description="Multiresolution knowledge distillation.")
    add_arguments(parser.add_subparsers(dest="command", required=True))
    options = parser.parse_args(arguments)
    return finish(options, {"fit": fit, "score": score, "localize": localize}[options.command])


def finish(options: argparse.Namespace, action: Callable[[argparse.Namespace], int]) -> int:
    """What an action returns, 0 or 1; 2 where arguments or data are not usable.

    Where the reader of the output has gone, as ``head`` does, it ends without a word: 141, as the signal would.
    """
    try:
        options.settings = parse_settings(getattr(options, "set", []))
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"kdlib: {message}", file=sys.stderr)
            code = action(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush goes nowhere
        return 141
    except (ValueError, OSError) as error:
        print(f"kdlib: {error}", file=sys.stderr)
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
