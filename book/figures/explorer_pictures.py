"""Pictures of the explorer, drawn without matplotlib: a move may take only milliseconds."""

import base64
import html
import math
from collections.abc import Mapping, Sequence
from io import BytesIO

import matplotlib
import numpy as np
from PIL import Image
from scipy import ndimage

SIDE = 192  # pixels of a picture
FALSE_RATES = np.concatenate([np.linspace(0, 0.1, 11), np.linspace(0.15, 1, 18)])  # where a ROC curve is drawn
COLOURS = (matplotlib.colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)  # (256, 3)
COLUMNS = 12  # tiles of a sheet in a row
MARK = (0, 200, 150, 150)  # colour and opacity of a marked pixel
STYLE = """<style>
.kd-explorer { max-width: 100%; color: inherit; line-height: 1.4; }
.kd-explorer .kd-panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.6rem; }
.kd-explorer figure { margin: 0; min-width: 0; max-width: 14rem; }
.kd-explorer figure :is(img, svg) { display: block; width: 100%; max-width: 100%; height: auto;
  border-radius: 0; padding: 0 !important; }
.kd-explorer figcaption { font-size: 0.85em; margin: 0.2rem 0 0; color: inherit; }
.kd-explorer .kd-controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr));
  gap: 0.5rem 1.2rem; margin-bottom: 0.8rem; }
.kd-explorer label { display: flex; flex-direction: column; font-size: 0.9em; }
.kd-explorer label span { display: flex; justify-content: space-between; }
.kd-explorer select { font: inherit; max-width: 100%; color: inherit; border: 1px solid currentColor;
  border-radius: 0.3rem; padding: 0.1rem 0.3rem; background: var(--pst-color-background, Canvas); }
.kd-explorer input { width: 100%; margin: 0.3rem 0; }
.kd-explorer p { margin: 0.6rem 0 0; }
</style>"""


def number(value: float) -> str:
    """A setting as text."""
    return "∞" if value == math.inf else f"{value:.3g}"


def uri(picture: Image.Image, kind: str = "PNG", **settings: object) -> str:
    """The picture as an address that holds it."""
    buffer = BytesIO()
    picture.save(buffer, format=kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def outlined(pixels: np.ndarray, mask: np.ndarray) -> Image.Image:
    """An image (H, W, 3), enlarged, with the contour of its mask."""
    picture = np.array(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    large = np.array(Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    picture[ndimage.binary_dilation(large, iterations=2) & ~large] = (86, 180, 233)
    return Image.fromarray(picture)


def coloured(heat: np.ndarray, top: float) -> Image.Image:
    """A map (H, W) in colours from 0 to ``top``."""
    return Image.fromarray(COLOURS[(255 * heat / max(top, 1e-30)).clip(0, 255).astype(np.uint8)])


def marked(base: Image.Image, where: np.ndarray) -> Image.Image:
    """The enlarged image with the pixels above the threshold (H, W) coloured."""
    colour = np.where(where[..., None], np.array(MARK), 0).astype(np.uint8)
    over = Image.fromarray(colour, "RGBA").resize((SIDE, SIDE), Image.Resampling.NEAREST)
    return Image.alpha_composite(base.convert("RGBA"), over).convert("RGB")


def levels(values: np.ndarray, top: float) -> np.ndarray:
    """0 to 255, by the root: small values keep more of their digits."""
    return 255 * np.sqrt(np.clip(values / top, 0, 1))


def sheet(tiles: Sequence[np.ndarray], quality: int) -> str:
    """Maps (H, W) as levels, side by side, as an address."""
    side = tiles[0].shape[0]
    whole = np.zeros((-(-len(tiles) // COLUMNS) * side, COLUMNS * side), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = (side * k for k in divmod(number, COLUMNS))
        whole[row : row + side, column : column + side] = tile
    return uri(Image.fromarray(whole).convert("RGB"), "WEBP", quality=quality, method=6)


def path(curve: Sequence[float] | np.ndarray) -> str:
    """A ROC curve as points of an SVG of 100 x 100."""
    drawn = ((0.0, 0.0), *zip(FALSE_RATES, curve, strict=True))
    return " ".join(f"{100 * x:.1f},{100 - 100 * y:.1f}" for x, y in drawn)


def panels(
    pictures: Sequence[Image.Image],
    *,
    name: str,
    share: float,
    curve: np.ndarray,
    figures: Mapping[str, float],
    below: tuple[int, int],
    wrap: bool = True,
) -> str:
    """Image, map, overlay, ROC and a sentence as HTML; ``wrap`` adds the style and the element around it."""
    alts = (f"{name} with the contour of its mask", f"Localization map of {name}", f"{name}, {share:.1%} marked")
    captions = ("image, mask", "map", "above the threshold")
    drawn = "".join(
        f'<figure><img alt="{html.escape(alt)}" src="{uri(picture)}"><figcaption>{caption}</figcaption></figure>'
        for picture, alt, caption in zip(pictures, alts, captions, strict=True)
    )
    false, true = 100 * figures["false"], 100 * figures["true"]
    roc = f"ROC curve of the pixels; at the threshold {false:.1f} % false and {true:.1f} % true positives"
    said = (
        f"Score {figures['score']:.3g}, above that of {below[0]} of {below[1]} good images. Pixels of all images: "
        f"{false:.1f} % false and {true:.1f} % true positives, F1 {figures['f1']:.2f}, "
        f"AUROC {100 * figures['auroc']:.1f} %."
    )
    svg = (
        f'<figure><svg viewBox="-2 -2 104 104" role="img" aria-label="{roc}">'
        '<path d="M0,0V100H100M0,100L100,0" fill="none" stroke="currentColor" stroke-width="0.6"/>'
        f'<polyline points="{path(curve)}" fill="none" stroke="#0173B2" stroke-width="2"/>'
        f'<circle cx="{false:.1f}" cy="{100 - true:.1f}" r="3.5" fill="#DE8F05" stroke="currentColor"/></svg>'
        "<figcaption>ROC of pixels, all images</figcaption></figure>"
    )
    inner = f'<div class="kd-panels">{drawn}{svg}</div><p role="status">{html.escape(said)}</p>'
    return f'{STYLE}<div class="kd-explorer">{inner}</div>' if wrap else inner
