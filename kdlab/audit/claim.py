"""A sentence of the paper and how the printed tables judge it: what a claim is, and what its words mean.

Words need rules, and these are ours: `CLOSE`, `SAME`, `NEAR` and `CHANCE`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from kdlab import paper

CONCLUSION, FIGURE, TYPO = "changes a conclusion", "changes a figure", "typographic"
SEVERITY = {
    CONCLUSION: "a sentence of the paper is not what its own tables say",
    FIGURE: "a printed figure cannot be right, or not where it stands",
    TYPO: "nothing that is compared changes",
}
# Points of AUROC.
CLOSE = 0.5  # "∼ x %": the difference is x to the nearest point
SAME = 1.0  # "almost the same"
NEAR = 2.0  # up to here "competitive", "comparatively well", "similar", "slightly less"; beyond "considerable", "large"
CHANCE = 10.0  # "near-random": so far from 50 at most


class Printed:
    """The printed tables, as the claims ask for them. AUROC in %."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def means(self, table: int, dataset: str) -> pd.Series:
        """The mean of each row, or its only entry."""
        rows = self.frame[(self.frame["table"] == table) & (self.frame["dataset"] == dataset)]
        return rows.drop_duplicates("method", keep="last").set_index("method")["auroc"]  # the mean is printed last

    def classes(self, table: int, dataset: str) -> pd.DataFrame:
        """A row a class or category, a column a method."""
        rows = self.frame[(self.frame["table"] == table) & (self.frame["dataset"] == dataset)]
        return rows[rows["column"] != "mean"].pivot(index="column", columns="method", values="auroc")

    def lead(self, table: int, dataset: str) -> tuple[float, str]:
        """Points of the paper's best row over the best other, and who that is."""
        means = self.means(table, dataset)
        own = means.index.str.startswith(paper.OURS)
        return float(means[own].max() - means[~own].max()), str(means[~own].idxmax())

    def first(self, table: int, dataset: str) -> str:
        """In how many classes the paper's row is the highest."""
        classes = self.classes(table, dataset)
        return f"first in {(classes.idxmax(axis=1) == paper.OURS).sum()} of {len(classes)} classes"


Judge = Callable[[Printed], tuple[Sequence[bool], str]]


class Claim(NamedTuple):
    """A sentence: where, its words as printed, its severity where it does not hold (empty: no erratum), its judge.

    The judge gives the parts of the sentence, true or false, and the figures. All true: it holds; some: in part.
    """

    place: str
    quote: str
    severity: str
    judge: Judge


def says(keep: list[Claim], place: str, quote: str, severity: str = "") -> Callable[[Judge], Judge]:
    """Keeps the decorated judge with its sentence in a list."""

    def decorate(judge: Judge) -> Judge:
        keep.append(Claim(place, quote, severity, judge))
        return judge

    return decorate


def about(difference: float, said: float) -> bool:
    """Whether "∼ said %" is a fair word for a difference."""
    return bool(abs(difference - said) <= CLOSE)
