"""What the paper says of its own numbers, sentence by sentence, each with the rule by which its tables judge it.

The sentences are in ``claims.toml``, each with its judges, functions of this file, and what they are asked about; those
that set one setting of a study above another are judged by `kdlab.studies.sentences`, like our records. A judge gives
parts of its sentence, true, false or None (not decided), and the numbers: what is said of single numbers is arithmetic;
that a row is ahead of another over classes is tested.
"""

import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.paper import OURS
from kdlab.studies import statistics
from kdlab.studies.sentences import CLOSE, COMPARISONS, published_frame
from kdlab.studies.sentences import verdict as by_study
from kdlab.studies.statistics import of_units

CONCLUSION, FIGURE, TYPO = "changes a conclusion", "changes a figure", "typographic"
SEVERITY = {
    CONCLUSION: "a sentence of the paper is not what its own tables say",
    FIGURE: "a printed figure cannot be right, or not where it stands",
    TYPO: "nothing that is compared changes",
}
# Points of AUROC.
SAME = 1.0  # "almost the same"
NEAR = 2.0  # up to here "competitive", "comparatively well", "similar", "slightly less"; beyond "considerable", "large"
CHANCE = 10.0  # "near-random": so far from 50 at most
TABLES = {"mnist": 2, "fashion_mnist": 2, "cifar10": 2, "mvtec_ad": 3, "retinal_oct": 5, "brain_mri": 6, "head_ct": 6}

with resources.files("kdlab.audit").joinpath("claims.toml").open("rb") as _file:
    CLAIMS: list[dict[str, Any]] = tomllib.load(_file)["claim"]

Judged = tuple[Sequence[bool | None], str]


def claims(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each of `CLAIMS` and of the studies' sentences judged: place, quote, verdict, evidence, severity, study or ""."""
    frame = paper.published() if frame is None else frame
    printed, rows = Printed(frame), []
    for claim in CLAIMS:
        judged: list[Judged] = [globals()[judge](printed, *about) for judge, *about in claim["judges"]]
        verdict = statistics.verdict(part for parts, _ in judged for part in parts)
        evidence = "; ".join(text for _, text in judged)
        rows.append((claim["place"], claim["quote"], verdict, f"{evidence}.", claim.get("severity", ""), ""))
    for study, comparisons in COMPARISONS.items():
        known = published_frame(study, frame)
        for each in comparisons if len(known) else ():
            verdict, tests = by_study(each, known)
            evidence = "; ".join(
                f"{t['better']} over {t['worse']}, {t['dataset']} {t['mean']:+.2f} ({statistics.p_text(t['p'])})"
                for t in tests.to_dict("records")
            )
            rows.append((each.place, each.quote, verdict, f"{evidence}.", each.severity, study))
    return pd.DataFrame(rows, columns=["place", "quote", "verdict", "evidence", "severity", "study"])


class Printed:
    """The printed tables, as the judges ask for them. AUROC in %."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def _rows(self, table: int, dataset: str) -> pd.DataFrame:
        return self.frame[(self.frame["table"] == table) & (self.frame["dataset"] == dataset)]

    def means(self, table: int, dataset: str) -> pd.Series:
        """The mean of each row, or its only entry."""
        rows = self._rows(table, dataset)
        return rows.drop_duplicates("method", keep="last").set_index("method")["auroc"]  # the mean is printed last

    def classes(self, table: int, dataset: str) -> pd.DataFrame:
        """By class or category, a column per method."""
        rows = self._rows(table, dataset)
        return rows[rows["column"] != "mean"].pivot(index="column", columns="method", values="auroc")

    def losses(self) -> dict[str, pd.Series]:
        """Means of the three losses by data set: Tables 9 and 10."""
        return {d: self.means(t, d).filter(like="loss=") for t, d in ((9, "mvtec_ad"), (10, "cifar10"))}

    def lead(self, table: int, dataset: str) -> tuple[float, str]:
        """Points of the paper's best row over the best other, and who that is."""
        means = self.means(table, dataset)
        own = means.index.str.startswith(OURS)
        return float(means[own].max() - means[~own].max()), str(means[~own].idxmax())

    def main(self) -> tuple[list[float], str]:
        """`lead` in each of `TABLES`."""
        found = {dataset: self.lead(table, dataset) for dataset, table in TABLES.items()}
        return [lead for lead, _ in found.values()], ", ".join(f"{d} {x:+.2f} ({r})" for d, (x, r) in found.items())


def about(difference: float, said: float) -> bool:
    """Whether "∼ said %" is a fair word for a difference."""
    return bool(abs(difference - said) <= CLOSE)


def ahead(p: Printed, *pairs: tuple[int, str, str, str]) -> Judged:
    """Whether rows are ahead of others over classes: table, data set, better, worse; one family of tests."""
    family = {}
    for table, dataset, better, worse in pairs:
        rows = p.classes(table, dataset)[[worse, better]].dropna()
        family[f"{better} over {worse}, {dataset},"] = (of_units(rows[worse]), of_units(rows[better]))
    return statistics.family(family)


def leads(p: Printed, table: int, *datasets: str) -> Judged:
    """Whether the paper's row is ahead of the best other, and in how many classes it is the highest."""
    parts, text = ahead(p, *((table, dataset, OURS, p.lead(table, dataset)[1]) for dataset in datasets))
    for dataset in datasets:
        classes = p.classes(table, dataset)
        text += f"; {dataset}: first in {(classes.idxmax(axis=1) == OURS).sum()} of {len(classes)} classes"
    return parts, text


def margins(p: Printed, *pairs: tuple[int, str, str, str, str | float]) -> Judged:
    """Whether printed means are as far apart as the paper says: table, data set, better, worse, and its word for it.

    The word is a number of points, ``"ahead"``, ``"considerable"``, ``"similar"``, or ``"not far below"``. Worse may be
    ``"the others"``: the best of them.
    """
    parts, said = [], []
    for table, dataset, better, worse, word in pairs:
        other = p.lead(table, dataset)[1] if worse == "the others" else worse
        means = p.means(table, dataset)
        over = float(means[better] - means[other])
        said.append(f"mean of {better} over {other}, {dataset}, {over:+.2f}")
        fair = {"ahead": over > 0, "considerable": over > NEAR, "similar": abs(over) <= NEAR}
        fair["not far below"] = over >= -NEAR
        parts.append(fair[word] if isinstance(word, str) else about(over, word))
    return parts, "; ".join(said)


def competitive(p: Printed) -> Judged:
    leads, text = p.main()
    maps = set(p.frame[p.frame["task"] == "localization"]["dataset"])
    text = f"Lead over the best other: {text}. Localization is printed for {', '.join(sorted(maps))} only"
    return [min(leads) >= -NEAR, maps == set(TABLES)], text


def large_margin(p: Printed) -> Judged:
    leads, text = p.main()
    large = sum(lead > NEAR for lead in leads)
    return [large >= 3, min(leads) >= -NEAR], f"By more than {NEAR:g} points on {large} of {len(leads)}: {text}"


def gt_fails(p: Printed) -> Judged:
    cifar, mvtec = (p.means(TABLES[dataset], dataset) for dataset in ("cifar10", "mvtec_ad"))
    places = [int(means.rank(ascending=False)["GT"]) for means in (cifar, mvtec)]
    text = f"cifar10 {cifar['GT']:.2f}, number {places[0]} of {len(cifar)}; "
    text += f"mvtec_ad {mvtec['GT']:.2f}, number {places[1]} of {len(mvtec)}"
    return [places[0] <= 3, places[1] > len(mvtec) / 2], text


def variances(p: Printed) -> Judged:
    own = p.frame[p.frame["method"].isin(list(paper.VARIANTS)) & (p.frame["column"] != "mean")]
    given = own["plus_minus"].notna().groupby(own["table"]).agg(["sum", "size"])
    full = given["sum"] == given["size"]
    every, none = (", ".join(map(str, given.index[chosen])) for chosen in (full, ~full))
    text = f"± at {given['sum'].sum()} of {given['size'].sum()} entries of its own: all of "
    text += f"{f'Tables {every}' if every else 'no table'}, none of {f'Tables {none}' if none else 'no table'}"
    return list(full), text


def thirteen(p: Printed) -> Judged:
    lead, rival = p.lead(2, "cifar10")
    means = p.means(2, "cifar10")
    over = (means[OURS] - means).drop(OURS)
    at = ", ".join(f"{m} {x:+.2f}" for m, x in over.items() if about(x, 13)) or "no other"
    return [about(lead, 13)], f"Over {rival}, the best other: {lead:+.2f}. About 13 it is over {at}"


def lowest_spread(p: Printed) -> Judged:
    spread = p.frame[p.frame["dataset"] == "brain_mri"].set_index("method")["plus_minus"]
    return [spread.idxmin() == OURS], f"± {', '.join(f'{m} {x:.3f}' for m, x in spread.items())}"


def near_random(p: Printed) -> Judged:
    last = p.classes(7, "mvtec_ad")["last-1"].sort_values()
    near = last[(last - 50).abs() <= CHANCE]
    names = ", ".join(f"{c} {x:.1f}" for c, x in near.items()) or "none"
    return ["screw" in near], f"Within {CHANCE:g} of 50: {names}"


def partial_anomalies(p: Printed) -> Judged:
    classes = p.classes(9, "mvtec_ad")
    gain = (classes["cloner=small"] - classes["cloner=equal"]).sort_values(ascending=False)
    text = f"Largest gains: {', '.join(f'{c} {x:+.1f}' for c, x in gain.head(3).items())}. Small is ahead in "
    text += f"{(gain > 0).sum()} of {len(gain)}; without {gain.index[0]} the mean gain is {gain.iloc[1:].mean():+.2f}"
    return [name in gain.index[:3] for name in ("toothbrush", "screw")], text


def highest_in_each(p: Printed) -> Judged:
    losses = p.losses()
    text = "; ".join(f"{dataset}: {_list(means)}" for dataset, means in losses.items())
    return [means.idxmax() == "loss=total" for means in losses.values()], text


def each_fails_once(p: Printed) -> Judged:
    below = [each - each.max() for each in p.losses().values()]
    parts = [min(b["loss=total"] for b in below) >= -NEAR]
    parts += [sum(b[loss] < -NEAR for b in below) == 1 for loss in ("loss=dir", "loss=val")]
    lines = (f"{m} {below[0][m]:+.2f} and {below[1][m]:+.2f}" for m in below[0].index)
    return parts, f"Below the best loss, on MVTec AD and on CIFAR-10: {', '.join(lines)}"


def almost_the_same(p: Printed) -> Judged:
    means, classes = p.means(11, "mvtec_ad"), p.classes(11, "mvtec_ad")
    smooth = [m for m in means.index if "+" in m]
    apart, widest = np.ptp(means[smooth]), np.ptp(classes[smooth], axis=1)
    text = f"with filters {_list(means[smooth])}; means {apart:.2f} apart, single classes up to {widest.max():.2f}"
    return [bool(apart <= SAME)], text


def _list(means: pd.Series) -> str:
    return ", ".join(f"{name} {x:.2f}" for name, x in means.items())
