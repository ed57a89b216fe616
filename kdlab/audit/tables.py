"""The printed tables checked against themselves: means, one experiment printed twice, rows out of order, paired tests.

Everything is computed from `paper.published`; no record and no data is read. Each function takes another frame of that
form instead, so that a test can plant an error and see it found.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from statistics import mode
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from kdlab import paper
from kdlab.presets import recipe_for
from kdlab.studies.statistics import holm, of_units, paired_difference

MOST = 0.8  # share of a row's entries that two rows must share to count as the same row
TINY = 1e-9  # AUROC in %: what binary fractions are off


@dataclass(frozen=True, eq=False)
class Row:
    """One printed row: where it stands, what it is of, and its figures by column, the mean too."""

    table: int
    task: str
    dataset: str
    method: str
    figures: pd.Series

    @property
    def place(self) -> tuple[int, str, str, str]:
        return self.table, self.task, self.dataset, self.method

    @cached_property
    def entries(self) -> pd.Series:
        """The row without its mean, in the printed order."""
        return self.figures.drop("mean", errors="ignore")

    @cached_property
    def half(self) -> pd.Series:
        """Half a unit of each figure's last printed digit.

        `paper.published` keeps no trailing zeros, so an entry has at least as many digits as most of its row; a mean
        has at least one where they do.
        """
        own = self.figures.map(lambda x: len(f"{x:.8g}".partition(".")[2]))
        usual = mode(own.drop("mean", errors="ignore")) if len(self.entries) else 0
        least = [min(usual, 1) if column == "mean" else usual for column in own.index]
        return 0.5 * 10.0 ** -own.clip(lower=pd.Series(least, own.index))

    @cached_property
    def experiment(self) -> object:
        """What was run: a recipe for the paper's own rows, which have several names; else the method's name."""
        changes = paper.VARIANTS.get(self.method)
        return self.method if changes is None else recipe_for(self.dataset).replace(**changes)


def rows(frame: pd.DataFrame | None = None) -> list[Row]:
    """All printed rows, in the order of the tables."""
    groups = (paper.published() if frame is None else frame).groupby(["table", "task", "dataset", "method"], sort=False)
    return [Row(*cast(tuple[int, str, str, str], key), group.set_index("column")["auroc"]) for key, group in groups]


def means(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each printed mean of printed entries: printed, recomputed, difference (printed - recomputed), bound, explained.

    ``bound`` is what rounding can do at most: half a unit of the mean, and of the entries, on average. A difference
    within it is ``explained``.
    """
    found = []
    for row in rows(frame):
        if "mean" in row.figures and len(row.entries):
            printed, recomputed = row.figures["mean"], row.entries.mean()
            bound = row.half["mean"] + row.half[row.entries.index].mean()
            explained = abs(printed - recomputed) <= bound + TINY
            found.append((*row.place, printed, recomputed, printed - recomputed, bound, explained))
    return _frame(found, "table task dataset method printed recomputed difference bound explained")


def contradictions(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Figures of one experiment that differ between two rows (Table 3's is Table 9's small cloner, `paper.VARIANTS`).

    ``explained``: both may be the same figure, rounded; ``difference`` is other - printed.
    """
    found = []
    for one, two in _pairs(frame):
        if one.experiment == two.experiment:
            for column in one.figures.index.intersection(two.figures.index):
                printed, other = one.figures[column], two.figures[column]
                if (off := abs(other - printed)) > TINY:
                    explained = off <= one.half[column] + two.half[column] + TINY
                    place = (one.task, one.dataset, column, one.table, one.method, two.table, two.method)
                    found.append((*place, printed, other, other - printed, explained))
    names = "task dataset column table method other_table other_method printed other difference explained"
    return _frame(found, names)


def copies(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Pairs of rows that hold the same figures, rounding aside, and in which order.

    ``order``: ``"headings"`` (the same figure under the same heading, for `MOST` of them), ``"positions"`` (the same
    sequence as printed, under other headings) or ``"shuffled"`` (the same figures, all of them, in any order).
    ``agree``: how many of the ``entries`` agree under their headings. ``one_experiment``: they should. ``fits`` and
    ``other_fits``: rank correlation of each of the two with the median of all further rows, over classes. Methods find
    much the same classes hard, so of two orders the one that fits less is suspect.
    """
    everything, found = rows(frame), []
    for one, two in _pairs(frame):
        a, b = one.entries, two.entries
        if len(a) < 2 or set(a.index) != set(b.index):
            continue
        coarse = np.maximum(one.half[a.index].max(), two.half[b.index].max()) + TINY
        agree = int((np.abs(a - b[a.index]) <= coarse).sum())
        shares = {"headings": agree, "positions": int((np.abs(a.to_numpy() - b.to_numpy()) <= coarse).sum())}
        order = next((name for name, share in shares.items() if share >= MOST * len(a)), "")
        if not order and (np.abs(np.sort(a) - np.sort(b)) <= coarse).all():
            order = "shuffled"
        if order:
            place = (one.task, one.dataset, one.table, one.method, two.table, two.method)
            own = one.place, two.place
            further = [r.entries for r in everything if r.place[1:3] == one.place[1:3] and r.place not in own]
            typical = pd.DataFrame(further).reindex(columns=a.index).median()
            fits = [float(spearmanr(row[a.index], typical, nan_policy="omit").statistic) for row in (a, b)]
            found.append((*place, order, agree, len(a), one.experiment == two.experiment, *fits))
    names = "task dataset table method other_table other_method order agree entries one_experiment fits other_fits"
    return _frame(found, names)


def strangers(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Entries with more digits than the rest of their row that another row of another experiment prints as well.

    ``implied``: what the entry would be if the printed mean of its row were right (NaN without a mean).
    """
    everything, found = rows(frame), []
    for row in everything:
        finer = row.half[row.entries.index] < mode(row.half[row.entries.index]) if len(row.entries) else []
        for column, value in row.entries[finer].items():
            implied = row.figures.get("mean", np.nan) * len(row.entries) - row.entries.drop(column).sum()
            for o in everything:
                of_same = o.task == row.task and o.dataset == row.dataset and o.experiment != row.experiment
                if of_same and o.figures.get(column) == value:
                    found.append((*row.place, column, value, implied, o.table, o.method))
    return _frame(found, "table task dataset method column printed implied other_table other_method")


def against(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """The paper's method against each other row of its table, class by class: wins, ties, losses, difference, p.

    ``difference``: mean of ours - theirs. ``p``: by the rule of `kdlab.studies.statistics`, one family a table and data
    set.
    """
    everything, found = rows(frame), []
    ours = [row for row in everything if row.method == paper.OURS and len(row.entries) > 1]
    for own in ours:
        rivals = [r for r in everything if r.place[:3] == own.place[:3] and r.method != paper.OURS]
        apart = [own.entries - r.entries[own.entries.index] for r in rivals]
        tests = [paired_difference(of_units(0 * d), of_units(d)).p for d in apart]
        for rival, d, p in zip(rivals, apart, holm(tests), strict=True):
            wins, losses = int((d > 0).sum()), int((d < 0).sum())
            found.append((*rival.place, wins, len(d) - wins - losses, losses, d.mean(), p))
    return _frame(found, "table task dataset rival wins ties losses difference p")


def _pairs(frame: pd.DataFrame | None) -> Iterator[tuple[Row, Row]]:
    return ((a, b) for a, b in combinations(rows(frame), 2) if (a.task, a.dataset) == (b.task, b.dataset))


def _frame(found: Iterable[tuple[Any, ...]], names: str) -> pd.DataFrame:
    return pd.DataFrame(list(found), columns=names.split())
