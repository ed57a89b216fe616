"""The explorer: a localization map under any setting, followed live; what a move does not touch is not computed again.

With a kernel, `controls` computes what is asked for. A page without one cannot call Python, and a linked widget can
only copy one value: there `page` carries every combination of a small grid, maps as tiles of one sheet per image and
method, and the script of `explorer.html` looks them up. Nothing is drawn by matplotlib: a move may take milliseconds.
"""

import base64
import hashlib
import html
import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import matplotlib
import numpy as np
import torch
from IPython.core.getipython import get_ipython
from IPython.display import HTML
from PIL import Image
from scipy import ndimage
from sklearn.metrics import auc, roc_curve
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from book.figures import HEAT
from kdlab.localization import f1_and_iou, pixel_threshold
from kdlab.terms import QUICK, Terms
from kdlib.activations import prepare
from kdlib.data import Images
from kdlib.detector import Detector
from kdlib.localize import localization_map

LABELS = {  # of the fields of `Setting`
    "image": "image",
    "method": "method",
    "points": "critical points",
    "lam": "λ",
    "sigma": "σ of the Gaussian, px",
    "opening": "structuring element, px",
    "quantile": "threshold: good pixels unmarked",
}
SLIDERS = ("lam", "sigma", "opening", "quantile")
INSIDE = ("points", "lam", "sigma", "opening")  # what the tiles of a sheet are of, the last the fastest
KEPT = 64  # results of a kind
SIDE, COLUMNS = 192, 12  # pixels of a picture; tiles of a sheet in a row
FALSE_RATES = np.concatenate([np.linspace(0, 0.1, 11), np.linspace(0.15, 1, 18)])  # where a ROC curve is drawn
COLOURS = (matplotlib.colormaps[HEAT](np.arange(256))[:, :3] * 255).astype(np.uint8)  # (256, 3)
MARK, OUTLINE = (0, 200, 150, 150), (86, 180, 233)  # colour and opacity of a marked pixel; a mask's contour
STYLE, VIEW, SCRIPT = Path(__file__).with_suffix(".html").read_text().split("\n\n")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a reader chooses: an image, settings of the recipe's map, a threshold."""

    image: int
    method: str  # Recipe.attribution
    points: tuple[str, ...]  # Recipe.map_points
    lam: float  # Recipe.map_lam
    sigma: float
    opening: int
    quantile: float  # fraction of the good images' pixels that stays unmarked


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """The maps of all images under one setting, whatever its image and threshold."""

    maps: np.ndarray  # (N, H, W)
    auroc: float
    bright: float  # 99.9 % of all values lie below
    curve: np.ndarray  # true-positive rates at `FALSE_RATES`


class Explorer:
    """Localization maps, ROC points and scores of some images under any `Setting`.

    Args:
        detector: fitted.
        images: with masks, good and defective.
    """

    methods = QUICK  # prepared at the start; other attributions work too, each move at its full price

    def __init__(self, detector: Detector, images: Images) -> None:
        recipe = detector.recipe
        self.detector, self.images = detector, images
        pixels = images.pixels(recipe.size, crop=recipe.crop)
        self.pixels = pixels.permute(0, 2, 3, 1).numpy()  # (N, H, W, 3)
        self.masks = images.mask_pixels(recipe.size, crop=recipe.crop)
        self.good = np.flatnonzero(~self.masks.any((1, 2)))
        if not 0 < len(self.good) < len(images):
            raise ValueError(f"explorer: {len(self.good)} of {len(images)} masks are empty; expected some, not all")
        self._terms = Terms(detector, prepare(pixels, recipe, detector.device))
        self._attribution = lru_cache(KEPT)(self._terms.attribution)
        self._summary = lru_cache(KEPT)(self._summarize)
        for method in self.methods:
            self._terms.attribution(method, recipe.critical_points, detector.lam)

    def start(self, image: int = 0) -> Setting:
        """The recipe's own setting; the threshold leaves 95 % of the good pixels unmarked."""
        recipe = self.detector.recipe
        lam = self.detector.lam if recipe.map_lam is None else recipe.map_lam
        points, method = recipe.map_points or recipe.score_points, recipe.attribution
        settings: dict[str, Any] = {"sigma": recipe.sigma, "opening": recipe.opening, "quantile": 0.95}
        return Setting(image=image, method=method, points=points, lam=lam, **settings)

    def attribution(self, setting: Setting) -> np.ndarray:
        """The attribution of all images with the setting's method, points and lambda: (N, H, W)."""
        return self._attribution(setting.method, setting.points, setting.lam)

    def summary(self, setting: Setting) -> Summary:
        """Maps and ROC curve of a setting, over the pixels of all images."""
        return self._summary(replace(setting, image=0, quantile=0.0))

    def _summarize(self, setting: Setting) -> Summary:
        recipe = self.detector.recipe.replace(sigma=float(setting.sigma), opening=setting.opening)
        maps = localization_map(self.attribution(setting), recipe)
        false, true, _ = roc_curve(self.masks.ravel(), maps.ravel())
        bright, curve = float(np.quantile(maps, 0.999)), np.interp(FALSE_RATES, false, true)
        return Summary(maps=maps, auroc=float(auc(false, true)), bright=bright, curve=curve)

    def at_threshold(self, setting: Setting) -> dict[str, float]:
        """The threshold, and over the pixels of all images: false- and true-positive rate, F1."""
        maps = self.summary(setting).maps
        threshold = pixel_threshold(maps[self.good], setting.quantile)
        marked = maps > threshold
        rates = {"false": float(marked[~self.masks].mean()), "true": float(marked[self.masks].mean())}
        return {"threshold": threshold, **rates, "f1": f1_and_iou(self.masks, maps, threshold)[0] or 0.0}

    def scores(self, setting: Setting) -> np.ndarray:
        """L_total of each image (Eq. 4) with the setting's points and lambda: (N,)."""
        return self._terms.scores(setting.points, setting.lam)

    def view(self, setting: Setting, *, wrap: bool = True) -> str:
        """What one setting looks like, as HTML: image, map, overlay, ROC point, score.

        Args:
            wrap: whether to add the style and the element around it.
        """
        summary, found, scores = self.summary(setting), self.at_threshold(setting), self.scores(setting)
        heat, name = summary.maps[setting.image], self.name(setting.image)
        base, marked = self.outlined(setting.image), heat > found["threshold"]
        colours = COLOURS[(255 * heat / max(summary.bright, 1e-30)).clip(0, 255).astype(np.uint8)]
        over = Image.fromarray(np.where(marked[..., None], np.array(MARK), 0).astype(np.uint8), "RGBA")
        over = Image.alpha_composite(base.convert("RGBA"), over.resize((SIDE, SIDE), Image.Resampling.NEAREST))
        line = ((0.0, 0.0), *zip(FALSE_RATES, summary.curve, strict=True))
        inner = VIEW.format(
            name=html.escape(name),
            base=_uri(base),
            map=_uri(Image.fromarray(colours)),
            overlay=_uri(over.convert("RGB")),
            marked=marked.mean(),
            curve=" ".join(f"{100 * x:.1f},{100 - 100 * y:.1f}" for x, y in line),
            false=100 * found["false"],
            missed=100 - 100 * found["true"],
            rates=f"{100 * found['false']:.1f} % false and {100 * found['true']:.1f} % true positives",
            score=scores[setting.image],
            below=self.below(scores, setting.image),
            good=len(self.good),
            f1=found["f1"],
            auroc=100 * summary.auroc,
        )
        return f'{STYLE}<div class="kd-explorer">{inner}</div>' if wrap else inner

    def name(self, image: int) -> str:
        """What to call an image in words, such as "blob 003"."""
        return self.images.names[image].rpartition(".")[0].replace("/", " ") or self.images.names[image]

    def below(self, scores: np.ndarray, image: int) -> int:
        """How many good images have a lower score than this one."""
        return int((scores[self.good] < scores[image]).sum())

    def outlined(self, image: int) -> Image.Image:
        """An image, enlarged, with the contour of its mask."""
        picture = Image.fromarray(self.pixels[image]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        large = np.array(Image.fromarray(self.masks[image]).resize((SIDE, SIDE), Image.Resampling.NEAREST))
        ring = ndimage.binary_dilation(large, iterations=2) & ~large
        return Image.fromarray(np.where(ring[..., None], np.array(OUTLINE, np.uint8), np.array(picture)))

    def measure(self, start: Setting, moves: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
        """Seconds until the new view is there, for each value of each control but that of ``start``, seen first."""
        found: dict[str, list[float]] = {control: [] for control in moves}
        for control, values in moves.items():
            self._attribution.cache_clear()
            self._summary.cache_clear()
            self.view(start)
            for value in values:
                if value != getattr(start, control):
                    begin = time.perf_counter()
                    self.view(replace(start, **{control: value}))
                    found[control].append(time.perf_counter() - begin)
        return found


def attended() -> bool:
    """Whether somebody sits at a front end of this kernel: papermill and the book's build take no input."""
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(kernel and kernel.get_parent().get("content", {}).get("allow_stdin", False))


def controls(explorer: Explorer, start: Setting) -> widgets.VBox:
    """Live controls: each move calls the kernel and shows `Explorer.view` of the new setting."""
    lam, names, known = explorer.detector.lam, explorer.images.names, explorer.detector.recipe.critical_points
    some = [chosen for count in range(len(known), 0, -1) for chosen in itertools.combinations(known, count)]
    lams = sorted({0.0, lam / 10, lam, 10 * lam, math.inf, start.lam})
    kinds: dict[str, tuple[type[widgets.DOMWidget], dict[str, Any]]] = {
        "image": (widgets.Dropdown, {"options": [(name, i) for i, name in enumerate(names)]}),
        "method": (widgets.Dropdown, {"options": explorer.methods}),
        "points": (widgets.Dropdown, {"options": [(_text("points", each), each) for each in some]}),
        "lam": (widgets.SelectionSlider, {"options": [(_text("lam", v), v) for v in lams]}),
        "sigma": (widgets.FloatSlider, {"min": 0, "max": 10, "step": 0.5}),
        "opening": (widgets.SelectionSlider, {"options": sorted({0, 3, 5, 7, 9, start.opening})}),
        "quantile": (widgets.FloatSlider, {"min": 0.5, "max": 1, "step": 0.005, "readout_format": ".1%"}),
    }
    look = {"style": {"description_width": "14em"}, "layout": {"width": "min(36em, 98%)"}}
    chosen: dict[str, Any] = {
        field: kind(value=getattr(start, field), description=LABELS[field], **settings, **look)
        for field, (kind, settings) in kinds.items()
    }
    shown = widgets.HTML()

    def follow(_: object = None) -> None:
        shown.value = explorer.view(Setting(**{field: widget.value for field, widget in chosen.items()}))

    for widget in chosen.values():
        widget.observe(follow, "value")
    follow()
    return widgets.VBox([*chosen.values(), shown])


def page(explorer: Explorer, start: Setting, grid: Mapping[str, Sequence[Any]]) -> HTML:
    """An explorer that needs no kernel, no network and no file.

    Args:
        start: what is shown first; each of its values is in the grid.
        grid: the values of each field of `Setting`. The page holds a map for every combination of all but the
            threshold: about 0.5 kB each at 64 px.

    Raises:
        ValueError: a field is missing, or has not the value of ``start``.
    """
    for field in LABELS:
        if getattr(start, field) not in grid.get(field, ()):
            raise ValueError(f"explorer: {field} starts at {getattr(start, field)!r}, which is not in the grid")
    figures, sheets = dict[int, list[Any]](), dict[str, str]()
    for m, method in enumerate(grid["method"]):
        tiles: list[list[np.ndarray]] = [[] for _ in grid["image"]]
        figures[m] = []
        for values in itertools.product(*(grid[field] for field in INSIDE)):
            setting = replace(start, method=method, **dict(zip(INSIDE, values, strict=True)))
            maps = explorer.summary(setting).maps
            top = max(float(maps.max()), 1e-30)
            figures[m].append(_figures(explorer, setting, grid["quantile"], top))
            for kept, i in zip(tiles, grid["image"], strict=True):
                kept.append(_levels(maps[i], top).round().astype(np.uint8))
        sheets |= {f"{n},{m}": _sheet(kept) for n, kept in enumerate(tiles)}
    scores = [explorer.scores(replace(start, points=p, lam=lam)) for p in grid["points"] for lam in grid["lam"]]
    data = {
        "side": explorer.masks.shape[-1],
        "columns": COLUMNS,
        "names": [explorer.name(i) for i in grid["image"]],
        "texts": {field: [_text(field, value) for value in grid[field]] for field in SLIDERS},
        "lengths": [len(grid[field]) for field in INSIDE],
        "bases": [_uri(explorer.outlined(i), "WEBP", quality=85) for i in grid["image"]],
        "sheets": sheets,
        "figures": figures,
        "scores": [[[f"{s[i]:.3g}", explorer.below(s, i)] for i in grid["image"]] for s in scores],
        "good": len(explorer.good),
        "rates": FALSE_RATES.round(3).tolist(),
        "colours": "".join(f"{r:02x}{g:02x}{b:02x}" for r, g, b in COLOURS),
        "mark": MARK,
    }
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    name = "kd-explorer-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    inputs = "".join(_control(field, grid[field], explorer.images.names, getattr(start, field)) for field in LABELS)
    return HTML(
        f'{STYLE}<div class="kd-explorer" id="{name}"><div class="kd-controls" role="group" '
        f'aria-label="Settings of the map">{inputs}</div>{explorer.view(start, wrap=False)}'
        f'<script type="application/json">{text}</script></div>{SCRIPT.replace("NAME", name)}'
    )


def _figures(explorer: Explorer, setting: Setting, quantiles: Sequence[float], top: float) -> list[Any]:
    """AUROC, level of the brightest colour, then a list each: levels, rates and F1 of the thresholds, ROC curve."""
    summary = explorer.summary(setting)
    found = [explorer.at_threshold(replace(setting, quantile=q)) for q in quantiles]
    rates = [[round(f[kind], 3) for f in found] for kind in ("false", "true", "f1")]
    brightest, *levels = _levels(np.array([summary.bright, *(f["threshold"] for f in found)]), top).round(1).tolist()
    return [round(summary.auroc, 3), brightest, levels, *rates, summary.curve.round(2).tolist()]


def _levels(values: np.ndarray, top: float) -> np.ndarray:
    """0 to 255, by the root: small values keep more of their digits."""
    return 255 * np.sqrt(np.clip(values / top, 0, 1))


def _sheet(tiles: Sequence[np.ndarray]) -> str:
    """Maps (H, W) as levels, side by side, as an address."""
    sheet = make_grid(torch.from_numpy(np.stack(tiles))[:, None], nrow=COLUMNS, padding=0)
    return _uri(to_pil_image(sheet), "WEBP", quality=80, method=6)


def _uri(picture: Image.Image, kind: str = "PNG", **settings: object) -> str:
    """The picture as an address that holds it."""
    buffer = BytesIO()
    picture.save(buffer, format=kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _text(field: str, value: Any) -> str:
    """A setting as text."""
    if field == "quantile":
        return f"{value:.1%}".replace(".0%", "%").replace("%", " %")
    if field == "points":
        return " + ".join(value)
    if field == "lam":
        return "∞" if value == math.inf else f"{value:.3g}"
    return "none" if (field, value) == ("opening", 0) else str(value)


def _control(field: str, values: Sequence[Any], names: Sequence[str], value: Any) -> str:
    """A labelled select, or a slider over the places in ``values``."""
    at, label = list(values).index(value), LABELS[field]
    texts = [html.escape(names[v] if field == "image" else _text(field, v)) for v in values]
    about = f'data-field="{field}" aria-label="{label}"'
    if field in SLIDERS:
        last = len(values) - 1
        slider = f'<input type="range" min="0" max="{last}" value="{at}" aria-valuetext="{texts[at]}" {about}>'
        return f"<label><span>{label} <output>{texts[at]}</output></span>{slider}</label>"
    options = "".join(f'<option value="{n}"{" selected" * (n == at)}>{text}</option>' for n, text in enumerate(texts))
    return f"<label>{label}<select {about}>{options}</select></label>"
