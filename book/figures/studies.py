"""Pages of ablation studies: what the paper says and prints, what our records say, in figures, tables and sentences."""

from collections.abc import Sequence
from itertools import product
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, Markdown
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from book.figures.commands import reproducible
from kdlab.studies.catalogue import study
from kdlib.data import ABOUT

PROFILES = {"laptop": "ours, laptop (a fifth of the epochs)", "paper": "ours, paper"}


def title(dataset: str) -> str:
    """What a data set is called on a page."""
    return ABOUT[dataset].title if dataset in ABOUT else dataset


def compared(frame: pd.DataFrame, labels: Sequence[str]) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """(dataset, profile) and rows of each panel: where two or more of the settings have figures."""
    groups = frame[frame["setting"].isin(labels)].groupby(["dataset", "profile"], sort=False)
    return [(key, part) for key, part in groups if part["setting"].nunique() > 1]  # type: ignore[misc]


def panels(frame: pd.DataFrame, labels: Sequence[str], *, ylabel: str = "image AUROC, %") -> Figure:
    """AUROC by setting, a panel a data set and profile; classes with bars over seeds, their mean in black.

    Args:
        frame: as of `sentences.frame`, of one metric; a class counts in a panel where it has all settings shown there.
        labels: settings, in their order on the axis; those without figures in a panel are left out of it.
    """
    parts = compared(frame, labels)
    columns = min(2, max(1, len(parts)))
    rows = -(-len(parts) // columns) or 1
    fig, axes = plt.subplots(rows, columns, figsize=(3.7 * columns, 2.8 * rows), squeeze=False)
    for axis in axes.flat[len(parts) :]:
        axis.axis("off")
    for axis, ((dataset, profile), part) in zip(axes.flat, parts, strict=False):
        wide = _by_setting(part, labels)
        place, many = np.arange(len(wide.columns)), len(wide) > 3
        for number, (normal, row) in enumerate(wide.iterrows()):
            spread = part[part["normal"] == normal].groupby("setting")["auroc"].std().reindex(wide.columns).fillna(0)
            style = {"color": "0.7" if many else f"C{number}", "linewidth": 0.8, "markersize": 3}
            axis.errorbar(place, row, yerr=spread, marker="o", **style)
            if not many:
                end = place[-1], row.iloc[-1]
                axis.annotate(str(normal), end, (5, -3), textcoords="offset points", fontsize=7, color=style["color"])
        axis.plot(place, wide.mean(), "D-", color="black", markersize=5, zorder=3)
        axis.set_xticks(place, [fill(label, 12) for label in wide.columns])
        axis.set_title(f"{title(dataset)}\n{PROFILES.get(profile, profile)}", fontsize=9)
        axis.tick_params(labelsize=8 if len(place) < 4 else 7)
        axis.grid(axis="y", alpha=0.4)
        axis.margins(x=0.15)
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel, fontsize=9)
    sns.despine(fig)
    fig.tight_layout()
    return fig


def said(frame: pd.DataFrame, labels: Sequence[str]) -> str:
    """The means of `panels` in words, for alt text."""
    lines = []
    for (dataset, profile), part in compared(frame, labels):
        wide = _by_setting(part, labels)
        means = ", ".join(f"{setting} {value:.2f}" for setting, value in wide.mean().items())
        lines.append(f"{title(dataset)}, {profile}: {means} over {len(wide)} classes")
    return "; ".join(lines) + "." if lines else "No figure yet."


def table(frame: pd.DataFrame, labels: Sequence[str]) -> HTML:
    """Mean ± standard deviation over seeds, a row a class, a column a setting, then seeds; a dash is not run.

    A class with one setting compares nothing: it has a row only where no class has more.
    """
    parts = compared(frame, labels)
    if not parts:
        return HTML("<p><em>Not run.</em></p>")
    rows = pd.concat([part.assign(data=title(key[0])).sort_values("normal") for key, part in parts])
    places = ["data", "profile", "normal"]
    groups = rows.groupby([*places, "setting"], sort=False)["auroc"]
    cells = groups.agg(lambda a: f"{a.mean():.2f}" + (f" ± {a.std():.2f}" if len(a) > 1 else "")).unstack()
    cells = cells[[label for label in labels if label in cells]]
    several = cells.notna().sum(axis=1) > 1
    cells = (cells[several] if several.any() else cells).fillna("–").rename_axis(columns=None)
    cells["seeds"] = rows.groupby(places)["seed"].nunique()
    rows = rows.sort_values("setting", key=lambda names: names.map(list(labels).index))
    behind = rows.groupby(places)["experiment"].agg(tuple)[cells.index]
    return reproducible(cells.reset_index().to_html(classes="kd-table", border=0, index=False), behind.tolist())


def missing(name: str, ours: pd.DataFrame) -> Markdown:
    """How much of a study has records, data set by data set, and the commands that run the rest."""
    wanted: dict[str, set[tuple[str, int, str, str]]] = {}
    for cell in study(name).cells:
        here = product(cell.normals, cell.seeds, [cell.profile], study(name).labels(cell.dataset))
        wanted[cell.dataset] = wanted.get(cell.dataset, set()) | set(here)
    lines, commands = [], []
    for dataset, cells in wanted.items():
        rows = ours[ours["dataset"] == dataset][["normal", "seed", "profile", "setting"]].to_numpy().tolist()
        done = len(cells & set(map(tuple, rows)))
        lines.append(f"{title(dataset)} {done} of {len(cells)}")
        if done < len(cells):
            commands.append(f"python -m kdlab run --study {name} --dataset {dataset}")
    code = "\n\nWhat runs the rest:\n\n```bash\n" + "\n".join(commands) + "\n```"
    return Markdown(f"Experiments of this study with a record: {', '.join(lines)}." + code * bool(commands))


def curves(frame: pd.DataFrame, axes: Sequence[tuple[str, pd.Series]]) -> Figure:
    """Mean AUROC against a number behind each setting, on a logarithmic scale: a panel an axis, a line a data set.

    Args:
        axes: what the number is, and its value by setting, all above 0. Bars are standard errors over classes, or
            seeds of the only one, of what each has above its own mean over settings.
    """
    fig, panels = plt.subplots(1, len(axes), figsize=(2 + 3.6 * len(axes), 3), sharey=True, squeeze=False)
    for axis, (name, numbers) in zip(panels.flat, axes, strict=True):
        for (dataset, profile), part in compared(frame, list(numbers.index)):
            wide = part.pivot_table(index=["normal", "seed"], columns="setting", values="auroc").dropna()
            classes = wide.groupby("normal").mean()
            wide = classes if len(classes) > 1 else wide  # seeds of a class resemble each other
            wide = wide[[label for label in numbers.sort_values().index if label in wide]]
            error = wide.sub(wide.mean(axis=1), axis=0).sem()
            label = f"{title(dataset)}, {profile}"
            axis.errorbar(numbers[wide.columns], wide.mean(), yerr=error, marker="o", capsize=2, label=label)
        axis.set(xscale="log", xlabel=name)
        axis.grid(alpha=0.4)
    panels[0, 0].set_ylabel("image AUROC, %")
    panels[0, -1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(fig)
    fig.tight_layout()
    return fig


def bars(wide: pd.DataFrame, *, label: str = "AUROC, %", floor: float = 50) -> Figure:
    """Groups of bars, a group a row, a bar a column, from ``floor``: what guessing gets."""
    fig, axis = plt.subplots(figsize=(3 + 0.45 * wide.size, 3))
    (wide - floor).plot.bar(ax=axis, bottom=floor, rot=0, width=0.8)
    for group in axis.containers:
        if isinstance(group, BarContainer):
            axis.bar_label(group, [f"{bar.get_height() + floor:.3g}" for bar in group], fontsize=7)
    axis.axhline(floor, color="black", linewidth=0.8)
    axis.set(xlabel="", ylabel=label)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(fig)
    fig.tight_layout()
    return fig


def _by_setting(part: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Mean over seeds, a row a class, a column a setting: classes that have all, where there are any."""
    wide = part.pivot_table(index="normal", columns="setting", values="auroc")
    wide = wide[[label for label in labels if label in wide]]
    return wide.dropna() if len(wide.dropna()) else wide
