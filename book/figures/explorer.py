"""`Explorer`: a localization map under any setting, followed live; what a move does not touch is not computed again."""

import dataclasses
import html
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import ipywidgets as widgets
import numpy as np
from IPython.core.getipython import get_ipython

from book.figures import explorer_pictures as draw
from kdlab.terms import QUICK, Terms
from kdlib.activations import prepare
from kdlib.data import Images
from kdlib.detector import Detector
from kdlib.localize import localization_map
from kdlib.metrics import auroc, f1_and_iou, pixel_threshold

KEPT = 64  # results of a kind; the oldest goes
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a reader chooses: an image, settings of the recipe's map, a threshold."""

    image: int
    method: str  # Recipe.attribution
    points: tuple[str, ...]  # Recipe.map_points
    lam: float  # Recipe.map_lam
    sigma: float
    opening: int
    quantile: float  # part of the good images' pixels that stays unmarked


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
        methods: what is prepared now: any of `QUICK`. Other attributions work too, each move at its full price.
    """

    def __init__(self, detector: Detector, images: Images, *, methods: Sequence[str] = QUICK) -> None:
        recipe = detector.recipe
        self.detector, self.images, self.methods = detector, images, tuple(methods)
        self.pixels = images.pixels(recipe.size, crop=recipe.crop).permute(0, 2, 3, 1).numpy()  # (N, H, W, 3)
        self.masks = images.mask_pixels(recipe.size, crop=recipe.crop)
        self.good = np.flatnonzero(~self.masks.any((1, 2)))
        if not 0 < len(self.good) < len(images):
            raise ValueError(f"explorer: {len(self.good)} of {len(images)} masks are empty; expected some, not all")
        x = prepare(images.pixels(recipe.size, crop=recipe.crop), recipe, detector.device)
        self._terms, self._results = Terms(detector, x), dict[Hashable, Any]()
        for method in methods:
            self._terms.attribution(method, recipe.critical_points, detector.lam)

    def name(self, image: int) -> str:
        """What to call an image in words, such as "blob 003"."""
        return self.images.names[image].rpartition(".")[0].replace("/", " ") or self.images.names[image]

    def start(self, image: int = 0) -> Setting:
        """The recipe's own setting; the threshold leaves 95 % of the good pixels unmarked."""
        recipe = self.detector.recipe
        lam = self.detector.lam if recipe.map_lam is None else recipe.map_lam
        points, method = recipe.map_points or recipe.score_points, recipe.attribution
        settings: dict[str, Any] = {"sigma": recipe.sigma, "opening": recipe.opening, "quantile": 0.95}
        return Setting(image=image, method=method, points=points, lam=lam, **settings)

    def attribution(self, setting: Setting) -> np.ndarray:
        """`attributions.attribution` of all images with the setting's method, points and lambda: (N, H, W)."""
        s = setting
        return self._keep((s.method, s.points, s.lam), lambda: self._terms.attribution(s.method, s.points, s.lam))

    def summary(self, setting: Setting) -> Summary:
        """Maps and ROC curve of a setting, over the pixels of all images."""
        s = setting

        def make() -> Summary:
            maps = localization_map(
                self.attribution(s), self.detector.recipe.replace(sigma=float(s.sigma), opening=s.opening)
            )
            normal, anomalous = np.sort(maps[~self.masks])[::-1], np.sort(maps[self.masks])
            at = normal[(draw.FALSE_RATES[:-1] * len(normal)).astype(int)]
            true = 1 - np.searchsorted(anomalous, at, side="right") / len(anomalous)
            bright, area = float(np.quantile(maps, 0.999)), auroc(self.masks, maps) or 0.0
            return Summary(maps=maps, auroc=area, bright=bright, curve=np.append(true, 1.0))

        return self._keep((s.method, s.points, s.lam, s.sigma, s.opening), make)

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
        """What one setting looks like, as HTML: image, map, overlay, ROC point, score."""
        summary, found, scores = self.summary(setting), self.at_threshold(setting), self.scores(setting)
        pixels, mask, heat = (a[setting.image] for a in (self.pixels, self.masks, summary.maps))
        base, marked = draw.outlined(pixels, mask), heat > found["threshold"]
        return draw.panels(
            [base, draw.coloured(heat, summary.bright), draw.marked(base, marked)],
            name=self.name(setting.image),
            share=float(marked.mean()),
            curve=summary.curve,
            figures={**found, "auroc": summary.auroc, "score": float(scores[setting.image])},
            wrap=wrap,
            below=(int((scores[self.good] < scores[setting.image]).sum()), len(self.good)),
        )

    def measure(self, start: Setting, moves: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
        """Seconds until the new view is there, for each value of each control but that of ``start``, seen first."""
        found: dict[str, list[float]] = {control: [] for control in moves}
        for control, values in moves.items():
            self._results.clear()
            self.view(start)
            for value in values:
                if value != getattr(start, control):
                    begin = time.perf_counter()
                    self.view(dataclasses.replace(start, **{control: value}))
                    found[control].append(time.perf_counter() - begin)
        return found

    def _keep(self, key: tuple[Hashable, ...], make: Callable[[], Result]) -> Result:
        if key not in self._results:
            found = make()
            if len(self._results) >= KEPT:
                self._results.pop(next(iter(self._results)))
            self._results[key] = found
        return self._results[key]


def attended() -> bool:
    """Whether somebody sits at a front end of this kernel: papermill and the book's build take no input."""
    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    return bool(kernel and kernel.get_parent().get("content", {}).get("allow_stdin", False))


def controls(explorer: Explorer, start: Setting) -> widgets.VBox:
    """Live controls: each move calls the kernel and shows `Explorer.view` of the new setting."""
    lam, names = explorer.detector.lam, explorer.images.names
    wide = {"style": {"description_width": "9em"}, "layout": {"width": "min(30em, 98%)"}}
    lams = sorted({0.0, lam / 10, lam, 10 * lam, math.inf, start.lam})
    chosen: dict[str, Any] = {
        "image": widgets.Dropdown(
            options=[(n, i) for i, n in enumerate(names)], value=start.image, description="image", **wide
        ),
        "method": widgets.Dropdown(options=explorer.methods, value=start.method, description="method", **wide),
        "lam": widgets.SelectionSlider(
            options=[(draw.number(v), v) for v in lams], value=start.lam, description="λ", **wide
        ),
        "sigma": widgets.FloatSlider(start.sigma, min=0, max=10, step=0.5, description="σ, px", **wide),
        "opening": widgets.SelectionSlider(
            options=sorted({0, 3, 5, 7, 9, start.opening}), value=start.opening, description="opening, px", **wide
        ),
        "quantile": widgets.FloatSlider(
            100 * start.quantile, min=50, max=100, step=0.5, description="unmarked, %", **wide
        ),
    }
    points = [
        widgets.Checkbox(p in start.points, description=p, indent=False, layout={"width": "5em"})
        for p in explorer.detector.recipe.critical_points
    ]
    shown = widgets.HTML()

    def follow(_: object = None) -> None:
        now = {name: widget.value for name, widget in chosen.items()}
        now |= {"points": tuple(p.description for p in points if p.value), "quantile": now["quantile"] / 100}
        missing = f"<p>{html.escape('Choose at least one critical point.')}</p>"
        shown.value = explorer.view(Setting(**now)) if now["points"] else missing

    for widget in [*chosen.values(), *points]:
        widget.observe(follow, "value")
    follow()
    boxes = widgets.HBox([widgets.Label("critical points"), *points], layout={"flex_flow": "row wrap"})
    return widgets.VBox([chosen["image"], chosen["method"], boxes, *list(chosen.values())[2:], shown])
