"""A ranked list as a table: thumbnail, map, score against the threshold, verdict. And what a shell would print."""

import base64
import contextlib
import html
import io
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from IPython.display import HTML
from PIL import Image

from book.figures import HEAT
from kdlab.__main__ import main
from kdlib.data import Images

THUMBNAIL = 88  # pixels
STYLE = """<style>
.kd-ranked td, .kd-ranked th { vertical-align: middle; text-align: left; padding: 0.25rem 0.7rem; }
.kd-ranked img { display: block; border-radius: 0.4rem; margin: 0; padding: 0 !important; max-width: none !important; }
.kd-ranked .bar { position: relative; width: 9rem; height: 0.5rem; border-radius: 0.25rem; background: #8884; }
.kd-ranked .bar i { position: absolute; left: 0; top: 0; bottom: 0; border-radius: 0.25rem; background: #0173b2; }
.kd-ranked .flagged .bar i { background: #d55e00; }
.kd-ranked .bar b { position: absolute; top: -0.25rem; bottom: -0.25rem; width: 2px; background: currentColor; }
.kd-ranked .verdict { font-weight: 600; white-space: nowrap; }
.kd-ranked .gap td { text-align: center; font-style: italic; padding: 0.1rem; }
.kd-ranked .name { white-space: nowrap; }
</style>"""


def table(
    images: Images,
    scores: np.ndarray,
    maps: Mapping[int, np.ndarray],
    *,
    threshold: float,
    rows: Sequence[int],
    scale: tuple[float, float],
) -> HTML:
    """Images by falling score, with a bar on which a tick marks the threshold.

    Args:
        images, scores: what was judged, (N,).
        maps: localization maps (S, S) by image number, of some images or of all.
        rows: ranks to show, from 0; what is left out between two of them is counted.
        scale: values of a map that are drawn dark and bright, the same for all.
    """
    order, before, lines = np.argsort(-scores, kind="stable"), -1, []
    low, high = min(scores.min(), threshold), max(scores.max(), threshold)
    along = 10 + 90 * (np.append(scores, threshold) - low) / ((high - low) or 1)
    for rank in sorted(set(rows)):
        if rank > before + 1:
            lines.append(f'<tr class="gap"><td colspan="6">{rank - before - 1} more</td></tr>')
        number, before = int(order[rank]), rank
        name, flagged = images.names[number], bool(scores[number] > threshold)
        picture = images.image(number).resize((THUMBNAIL, THUMBNAIL))
        cells = [_img(picture, f"Rank {rank + 1}, score {scores[number]:.3g}: {name} as it was taken")]
        if number in maps:
            heat = maps[number]
            alt = f"Rank {rank + 1}: map of {name} laid over it, brightest {where(heat)} of it"
            cells.append(_img(overlay(picture, heat, scale=scale), alt))
        else:
            cells.append("–")
        bar = f'<div class="bar"><i style="width:{along[number]:.0f}%"></i><b style="left:{along[-1]:.0f}%"></b></div>'
        verdict = "⚑ flagged" if flagged else "✓ passed"
        cells += [html.escape(name), f"{scores[number]:.4g}{bar}", verdict]
        kinds = ("", "", "name", "", "verdict")
        row = "".join(f'<td class="{k}">{c}</td>' for k, c in zip(kinds, cells, strict=True))
        lines.append(f'<tr class="{"flagged" if flagged else "passed"}"><td>{rank + 1}</td>{row}</tr>')
    head = "<th>rank</th><th>image</th><th>where</th><th>file</th><th>score</th><th>verdict</th>"
    head = f'{STYLE}<table class="kd-table kd-ranked"><thead><tr>{head}</tr></thead>'
    return HTML(f"{head}<tbody>{''.join(lines)}</tbody></table>")


def overlay(picture: Image.Image, heat: np.ndarray, *, scale: tuple[float, float]) -> Image.Image:
    """A map laid over its picture: nothing where it is at the low end of the scale, bright at the high end."""
    low, high = scale
    strength = ((heat - low) / ((high - low) or 1)).clip(0, 1).astype(np.float32)
    resized = Image.fromarray(strength).resize(picture.size, Image.Resampling.BILINEAR)
    strength = np.asarray(resized)[..., None].clip(0, 1)
    colour = 255 * mpl.colormaps[HEAT](0.25 + 0.7 * strength[..., 0])[..., :3]
    ground = 0.65 * np.asarray(picture.convert("RGB"), dtype=float)
    return Image.fromarray((ground + (colour - ground) * 0.9 * np.sqrt(strength)).clip(0, 255).astype(np.uint8))


def where(heat: np.ndarray) -> str:
    """The place of the highest value of a map (H, W) in words: "in the upper left", "in the middle"."""
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    down = ("upper ", "", "lower ")[3 * int(row) // heat.shape[0]]
    right = ("left", "", "right")[3 * int(column) // heat.shape[1]]
    return f"in the {(down + right).strip()}" + ("" if right else " middle" if down else "middle")


def shell(*arguments: object, base: Path, lines: int = 12) -> str:
    """Run ``python -m kdlib`` with these arguments, here: the command and what it prints, as a shell shows it.

    Args:
        base: paths below it are shown as seen from it.
        lines: of the output to show; the number of others is told.
    """
    printed = io.StringIO()
    given = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main(given)
    command = " ".join(shlex.quote(text.removeprefix(f"{base}{os.sep}")) for text in given)
    out = printed.getvalue().replace(f"{base}{os.sep}", "").splitlines()
    out[lines:] = [f"… {len(out) - lines} more lines"] if len(out) > lines else []
    return "\n".join([f"$ python -m kdlib {command}", *out, *([f"(exit status {code})"] if code else [])])


def _img(picture: Image.Image, alt: str) -> str:
    content = io.BytesIO()
    picture.convert("RGB").save(content, format="JPEG", quality=88)
    source = base64.b64encode(content.getvalue()).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img {size} alt="{html.escape(alt, quote=True)}" src="data:image/jpeg;base64,{source}">'
