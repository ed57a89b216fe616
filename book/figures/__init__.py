"""Plots, tables and sliders of the book: one look, alt text on every picture, no server needed."""

import base64
import html
from collections.abc import Sequence
from io import BytesIO

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve
from torch import Tensor

from book.figures.tables import folded
from kdlab.experiments.choose import run_command
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record, late
from kdlib.metrics import auroc

NORMAL, ANOMALOUS = sns.color_palette("colorblind", as_cmap=False)[0], sns.color_palette("colorblind")[1]
HEAT = "inferno"


def style() -> None:
    """The look of every figure: colour-blind-safe, white ground (readable in dark mode and in print)."""
    settings = {"figure.dpi": 110, "axes.grid": False, "legend.frameon": False}
    sns.set_theme(style="ticks", palette="colorblind", rc=settings)


def figure(fig: Figure, *, alt: str, caption: str = "", records: Sequence[Record] = ()) -> HTML:
    """A figure as HTML with alt text and caption, and the command that makes its records; the figure is closed."""
    text = html.escape(caption)
    if records:
        experiments = [Experiment.from_dict(record["experiment"]) for record in records]
        command = run_command(sorted(experiments, key=lambda each: each.normal))
        text += folded(command, "<summary>Command that makes its records</summary>")
    text = f"<figcaption>{text}</figcaption>" if text else ""
    # A phone shrinks pictures to its width; a wide chart would lose its words, so that one scrolls.
    wide = fig.get_figwidth() >= 6 and any(axis.axison and len(axis.get_xticks()) for axis in fig.axes)
    return HTML(f'<figure class="kd-figure{" kd-chart" if wide else ""}">{_img(fig, alt)}{text}</figure>')


def slider(
    figures: Sequence[Figure], labels: Sequence[str], *, name: str, alts: Sequence[str], play: int = 0
) -> widgets.VBox:
    """A slider through precomputed figures; works in a static page, without a kernel and without network.

    Args:
        figures, labels, alts: a figure, the slider's label and the alt text of each position.
        name: what the slider changes.
        play: milliseconds per position; where given, a button plays them. Nothing moves before it is pressed.
    """
    if not len(figures) == len(labels) == len(alts) >= 2:
        counts = f"{len(figures)}, {len(labels)}, {len(alts)}"
        raise ValueError(f"slider: expected 2 or more figures, each with label and alt; found {counts}")
    frames = [
        widgets.HTML(f"{_img(f, a)}<p>{html.escape(name)}: {html.escape(t)}</p>")
        for f, t, a in zip(figures, labels, alts, strict=True)
    ]
    stack = widgets.Stack(frames, selected_index=0)
    control = widgets.IntSlider(
        0, 0, len(frames) - 1, description=name, readout=False, style={"description_width": "initial"}
    )
    widgets.jslink((control, "value"), (stack, "selected_index"))
    if not play:
        return widgets.VBox([control, stack])
    player = widgets.Play(min=0, max=len(frames) - 1, interval=play, show_repeat=False)
    widgets.jslink((player, "value"), (control, "value"))
    return widgets.VBox([widgets.HBox([player, control], layout={"flex_flow": "row wrap"}), stack])


def strips(names: Sequence[str], label: str, *, inches: float = 0.34) -> tuple[Figure, Axes]:
    """An empty chart with a row per name, the first on top, each some inches high; ``label`` is of the other axis."""
    fig, axis = plt.subplots(figsize=(7, 1.2 + inches * len(names)), layout="tight")
    axis.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6), xlabel=label)
    axis.tick_params(axis="y", labelsize=9)
    axis.grid(axis="x", alpha=0.4)
    return fig, axis


def pictures(
    images: Sequence[np.ndarray | Tensor],
    *,
    titles: Sequence[str] = (),
    rows: Sequence[str] = (),
    columns: int = 8,
    scale: float = 1.3,
) -> Figure:
    """Images side by side: 8-bit (3, H, W) or (H, W, 3), or maps (H, W); each may have a title, each row a name."""
    high, wide = -(-len(images) // columns), min(columns, len(images))
    size = scale * wide + (1.1 if rows else 0), (scale + (0.25 if titles else 0.05)) * high
    fig, axes = plt.subplots(high, wide, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, [*titles] + [""] * len(images), strict=False):
        axis.imshow(_channels_last(image), cmap=HEAT)
        axis.set_title(title, fontsize=8)
    for axis, name in zip(axes[:, 0], rows, strict=False):
        axis.text(-0.1, 0.5, name, ha="right", va="center", transform=axis.transAxes, fontsize=9)
    fig.tight_layout(pad=0.3, h_pad=1 if titles else 0.2)
    return fig


def localization(
    images: Sequence[np.ndarray | Tensor],
    maps: np.ndarray,
    *,
    masks: np.ndarray | None = None,
    titles: Sequence[str] = (),
) -> Figure:
    """Three rows: image with the mask's contour, localization map, both overlaid; one colour scale for all maps."""
    shown = np.stack([_channels_last(image) for image in images]) / 255
    heat = plt.get_cmap(HEAT)(Normalize(maps.min(), np.quantile(maps, 0.999))(maps))[..., :3]
    rows = [*shown, *heat, *(0.4 * shown + 0.6 * heat)]
    fig = pictures(rows, titles=titles, rows=("image", "map", "overlay"), columns=len(maps), scale=1.4)
    if masks is not None:
        for above, below, mask in zip(fig.axes, fig.axes[len(maps) :], masks, strict=False):
            outline(above, mask)
            outline(below, mask, colour="white")
    return fig


def outline(axis: Axes, mask: np.ndarray, *, colour: str = "#56B4E9") -> None:
    """The contour of a mask (H, W) over a picture; of an empty one nothing."""
    if mask.any():
        axis.contour(mask, [0.5], colors=colour, linewidths=1)


def histograms(axis: Axes, labels: np.ndarray, scores: np.ndarray, *, count: int) -> None:
    """Densities of the scores of normal and anomalous images in bins, the last of which holds all that is higher."""
    bins = np.linspace(scores.min(), np.quantile(scores, 0.995), count)
    for label, name, colour in ((0, "normal", NORMAL), (1, "anomalous", ANOMALOUS)):
        some = np.minimum(scores[labels == label], bins[-1])
        axis.hist(some, bins.tolist(), density=True, alpha=0.6, color=colour, label=name)


def detection(labels: np.ndarray, scores: np.ndarray, *, threshold: float | None = None) -> Figure:
    """Histogram of the scores of normal and anomalous images, and the ROC curve with its area."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="tight")
    histograms(left, labels, scores, count=50)
    if threshold is not None:
        left.axvline(threshold, color="black", linestyle="--", label="threshold")
    left.set(xlabel="discrepancy", ylabel="density")
    left.legend()
    false, true, _ = roc_curve(labels, scores)
    right.plot(false, true, color="black")
    right.plot([0, 1], [0, 1], color="grey", linestyle=":")
    right.set(xlabel="false-positive rate", ylabel="true-positive rate", aspect="equal")
    right.set_title(f"AUROC {auroc(labels, scores):.4f}")
    return fig


def stability(records: Sequence[Record]) -> Figure:
    """AUROC against epoch, one line per record; grey: the last evaluations, whose mean is the result."""
    fig, axis = plt.subplots(figsize=(7, 3.5), layout="tight")
    colours: dict[str, str] = {}  # one per class, whatever the number of seeds
    for record in records:
        experiment, evaluations = record["experiment"], record["metrics"]["evaluations"]
        normal = experiment.get("normal_class", experiment.get("category"))
        label = None if normal in colours else normal
        colour = colours.setdefault(normal, f"C{len(colours)}")
        epochs, aurocs = zip(*((e["epoch"], 100 * e["image_auroc"]) for e in evaluations), strict=True)
        axis.plot(epochs, aurocs, color=colour, label=label)
    axis.axvspan(late(evaluations)[0]["epoch"], evaluations[-1]["epoch"], color="0.92", zorder=0)
    axis.set(xlabel="epoch", ylabel="image AUROC, %")
    if len(colours) > 1:
        axis.legend(ncols=2, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def _img(fig: Figure, alt: str) -> str:
    if not alt.strip():
        raise ValueError("figure: alt text is empty; say what the picture shows")
    for axis in fig.axes:
        if not axis.images:  # a picture keeps its frame
            axis.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    fig.savefig(buffer, format="webp", bbox_inches="tight", pil_kwargs={"lossless": True, "exact": True})
    plt.close(fig)
    content = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alt, quote=True)}" src="data:image/webp;base64,{content}">'


def _channels_last(image: np.ndarray | Tensor) -> np.ndarray:
    array = np.asarray(image)
    return array.transpose(1, 2, 0) if array.ndim == 3 and array.shape[0] == 3 else array
