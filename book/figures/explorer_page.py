"""The explorer for a page without a kernel: every combination of a small grid beforehand, looked up by a little script.

A linked widget can only copy one value, and a Python callback does nothing in a static page. So this is plain HTML:
labelled selects and sliders, maps as tiles of one sheet per image and method, rates and scores as numbers.
"""

import dataclasses
import hashlib
import html
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import HTML

from book.figures import explorer_pictures as draw
from book.figures.explorer import Explorer, Setting

LABELS = {
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


def page(explorer: Explorer, start: Setting, grid: Mapping[str, Sequence[Any]], *, quality: int = 80) -> HTML:
    """An explorer that needs no kernel, no network and no file.

    Args:
        start: what is shown first; each of its values is in the grid.
        grid: the values of each field of `Setting`. The page holds a map for every combination of all but the
            threshold: about 0.5 kB each at 64 px.
        quality: of the sheets, WebP.

    Raises:
        ValueError: a field is missing, or has not the value of ``start``.
    """
    for field in LABELS:
        if getattr(start, field) not in grid.get(field, ()):
            raise ValueError(f"explorer: {field} starts at {getattr(start, field)!r}, which is not in the grid")
    figures: dict[int, list[Any]] = {}
    sheets = {}
    for m, method in enumerate(grid["method"]):
        tiles: dict[int, list[np.ndarray]] = {i: [] for i in grid["image"]}
        figures[m] = []
        for values in itertools.product(*(grid[field] for field in INSIDE)):
            setting = dataclasses.replace(start, method=method, **dict(zip(INSIDE, values, strict=True)))
            maps = explorer.summary(setting).maps
            top = max(float(maps.max()), 1e-30)
            figures[m].append(_figures(explorer, setting, grid["quantile"], top))
            for i in grid["image"]:
                tiles[i].append(draw.levels(maps[i], top).round().astype(np.uint8))
        for n, i in enumerate(grid["image"]):
            sheets[f"{n},{m}"] = draw.sheet(tiles[i], quality)
    scores = [
        explorer.scores(dataclasses.replace(start, points=p, lam=lam)) for p in grid["points"] for lam in grid["lam"]
    ]
    good = [s[explorer.good] for s in scores]
    data = {
        "side": explorer.masks.shape[-1],
        "columns": draw.COLUMNS,
        "names": [explorer.name(i) for i in grid["image"]],
        "texts": {field: [_text(field, value) for value in grid[field]] for field in SLIDERS},
        "lengths": [len(grid[field]) for field in INSIDE],
        "bases": [
            draw.uri(draw.outlined(explorer.pixels[i], explorer.masks[i]), "WEBP", quality=85) for i in grid["image"]
        ],
        "sheets": sheets,
        "figures": figures,
        "scores": [
            [[f"{s[i]:.3g}", int((g < s[i]).sum())] for i in grid["image"]] for s, g in zip(scores, good, strict=True)
        ],
        "good": len(explorer.good),
        "rates": draw.FALSE_RATES.round(3).tolist(),
        "colours": "".join(f"{r:02x}{g:02x}{b:02x}" for r, g, b in draw.COLOURS),
        "mark": draw.MARK,
    }
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    name = "kd-explorer-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    inputs = "".join(_control(field, grid[field], explorer.images.names, getattr(start, field)) for field in LABELS)
    return HTML(
        f'{draw.STYLE}<div class="kd-explorer" id="{name}"><div class="kd-controls" role="group" '
        f'aria-label="Settings of the map">{inputs}</div>{explorer.view(start, wrap=False)}'
        f'<script type="application/json">{text}</script></div>'
        f"<script>({SCRIPT})(document.getElementById({name!r}));</script>"
    )


def _figures(explorer: Explorer, setting: Setting, quantiles: Sequence[float], top: float) -> list[Any]:
    """AUROC, level of the brightest colour, then a list each: levels, rates and F1 of the thresholds, ROC curve."""
    summary = explorer.summary(setting)
    found = [explorer.at_threshold(dataclasses.replace(setting, quantile=q)) for q in quantiles]
    levels = [round(float(draw.levels(np.array(f["threshold"]), top)), 1) for f in found]
    rates = [[round(f[kind], 3) for f in found] for kind in ("false", "true", "f1")]
    brightest = round(float(draw.levels(np.array(summary.bright), top)), 1)
    return [round(summary.auroc, 3), brightest, levels, *rates, summary.curve.round(2).tolist()]


def _text(field: str, value: Any) -> str:
    if field == "quantile":
        return f"{value:.1%}".replace(".0%", "%").replace("%", " %")
    if field == "points":
        return " + ".join(value)
    return draw.number(value) if field == "lam" else ("none" if (field, value) == ("opening", 0) else str(value))


def _control(field: str, values: Sequence[Any], names: Sequence[str], value: Any) -> str:
    """A labelled select, or a slider over the places in ``values``."""
    at = list(values).index(value)
    texts = [html.escape(names[v] if field == "image" else _text(field, v)) for v in values]
    if field in SLIDERS:
        return (
            f'<label><span>{LABELS[field]} <output>{texts[at]}</output></span><input type="range" min="0" '
            f'max="{len(values) - 1}" value="{at}" aria-valuetext="{texts[at]}" data-field="{field}" '
            f'aria-label="{LABELS[field]}"></label>'
        )
    options = "".join(f'<option value="{n}"{" selected" * (n == at)}>{text}</option>' for n, text in enumerate(texts))
    return f'<label>{LABELS[field]}<select data-field="{field}" aria-label="{LABELS[field]}">{options}</select></label>'


SCRIPT = """root => {
  const data = JSON.parse(root.querySelector("script").textContent);
  const inputs = [...root.querySelectorAll("[data-field]")];
  const [picture, map, overlay] = root.querySelectorAll("img");
  const svg = root.querySelector("svg"), said = root.querySelector("[role=status]");
  const colours = data.colours.match(/../g).map(c => parseInt(c, 16));
  const percent = (x, digits = 1) => (100 * x).toFixed(digits) + " %";
  const loaded = {};
  const load = address => loaded[address] ??= new Promise(done => {
    const image = new Image();
    image.onload = () => done(image);
    image.src = address;
  });
  const canvas = side => {
    const made = document.createElement("canvas");
    made.width = made.height = side;
    return [made, made.getContext("2d", { willReadFrequently: true })];
  };
  let turn = 0;
  async function draw() {
    const mine = ++turn;
    const at = Object.fromEntries(inputs.map(i => [i.dataset.field, +i.value]));
    for (const input of inputs.filter(i => i.type === "range")) {
      const text = data.texts[input.dataset.field][at[input.dataset.field]];
      input.setAttribute("aria-valuetext", text);
      input.parentElement.querySelector("output").textContent = text;
    }
    const place = ["points", "lam", "sigma", "opening"].reduce((sum, f, i) => sum * data.lengths[i] + at[f], 0);
    const [area, brightest, levels, falses, trues, f1s, curve] = data.figures[at.method][place];
    const [sheet, base] = await Promise.all([data.sheets[at.image + "," + at.method], data.bases[at.image]].map(load));
    if (mine !== turn) return; // another move came meanwhile
    const n = data.side, [small, pen] = canvas(n), q = at.quantile, name = data.names[at.image];
    pen.drawImage(sheet, (place % data.columns) * n, Math.floor(place / data.columns) * n, n, n, 0, 0, n, n);
    const tile = pen.getImageData(0, 0, n, n), marks = pen.createImageData(n, n);
    let count = 0;
    for (let i = 0; i < tile.data.length; i += 4) {
      const level = tile.data[i], colour = 3 * Math.min(255, Math.floor(255 * (level / brightest) ** 2));
      if (level > levels[q]) { marks.data.set(data.mark, i); count++; }
      tile.data.set([colours[colour], colours[colour + 1], colours[colour + 2], 255], i);
    }
    pen.putImageData(tile, 0, 0);
    map.src = small.toDataURL();
    pen.putImageData(marks, 0, 0);
    const [large, brush] = canvas(base.width);
    brush.drawImage(base, 0, 0);
    brush.imageSmoothingEnabled = false;
    brush.drawImage(small, 0, 0, base.width, base.width);
    overlay.src = large.toDataURL();
    picture.src = base.src;
    picture.alt = name + " with the contour of its mask";
    map.alt = "Localization map of " + name;
    overlay.alt = name + ", " + percent(count / (n * n)) + " marked";
    const drawn = [[0, 0], ...curve.map((y, i) => [data.rates[i], y])].map(([x, y]) => [100 * x, 100 - 100 * y]);
    svg.querySelector("polyline").setAttribute("points", drawn.join(" "));
    svg.querySelector("circle").setAttribute("cx", 100 * falses[q]);
    svg.querySelector("circle").setAttribute("cy", 100 - 100 * trues[q]);
    const rates = percent(falses[q]) + " false and " + percent(trues[q]) + " true positives";
    svg.setAttribute("aria-label", "ROC curve of the pixels; at the threshold " + rates);
    const [score, under] = data.scores[at.points * data.lengths[1] + at.lam][at.image];
    said.textContent = `Score ${score}, above that of ${under} of ${data.good} good images. ` +
      `Pixels of all images: ${rates}, F1 ${f1s[q].toFixed(2)}, AUROC ${percent(area)}.`;
    root.dataset.turn = mine; // drawn
  }
  for (const input of inputs) input.addEventListener("input", draw);
  draw();
}"""
