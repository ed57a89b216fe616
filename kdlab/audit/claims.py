"""What the paper says of its own numbers, sentence by sentence, each with the rule by which its tables judge it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.paper import OURS
from kdlab.studies.sentences import FAILS, HOLDS, PART

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


CLAIMS: list[Claim] = []  # in the order of the paper's sections below


def _says(place: str, quote: str, severity: str = "") -> Callable[[Judge], Judge]:
    """Keeps the decorated judge with its sentence in `CLAIMS`."""

    def decorate(judge: Judge) -> Judge:
        CLAIMS.append(Claim(place, quote, severity, judge))
        return judge

    return decorate


def about(difference: float, said: float) -> bool:
    """Whether "∼ said %" is a fair word for a difference."""
    return bool(abs(difference - said) <= CLOSE)


TABLES = {"mnist": 2, "fashion_mnist": 2, "cifar10": 2, "mvtec_ad": 3, "retinal_oct": 5, "brain_mri": 6, "head_ct": 6}


@_says(
    "Abstract",
    "we achieve competitive or significantly superior results compared to SOTA on MNIST, F-MNIST, CIFAR-10, MVTecAD, "
    "Retinal-OCT, and two other medical datasets on both anomaly detection and localization.",
)
def competitive(p: Printed) -> tuple[list[bool], str]:
    leads, text = _leads(p)
    maps = set(p.frame[p.frame["task"] == "localization"]["dataset"])
    text = f"Lead over the best other: {text}. Localization is printed for {', '.join(sorted(maps))} only."
    return [min(leads.values()) >= -NEAR, maps == set(TABLES)], text


@_says(
    "Sec. 1, contributions",
    "outperforming previous SOTA models by a large margin on many datasets and yet staying competitive on the rest.",
)
def large_margin(p: Printed) -> tuple[list[bool], str]:
    leads, text = _leads(p)
    large = sum(lead > NEAR for lead in leads.values())
    text = f"By more than {NEAR:g} points on {large} of {len(leads)}: {text}."
    return [large >= 3, min(leads.values()) >= -NEAR], text


@_says(
    "Sec. 2", "For example, GT fails on subtle anomaly datasets like MVTecAD while performs well on one-class settings."
)
def gt_fails(p: Printed) -> tuple[list[bool], str]:
    ranked = {d: p.means(TABLES[d], d).rank(ascending=False) for d in ("cifar10", "mvtec_ad")}
    places = {d: int(ranks["GT"]) for d, ranks in ranked.items()}
    lines = [f"{d} {p.means(TABLES[d], d)['GT']:.2f}, number {places[d]} of {len(ranked[d])}" for d in ranked]
    return [places["cifar10"] <= 3, places["mvtec_ad"] > len(ranked["mvtec_ad"]) / 2], f"{'; '.join(lines)}."


@_says(
    "Sec. 4",
    "We report our results on average of the 10 last epochs for 10 different seeds plus the variances to show our "
    "stability.",
)
def variances(p: Printed) -> tuple[list[bool], str]:
    own = p.frame[p.frame["method"].isin(list(paper.VARIANTS)) & (p.frame["column"] != "mean")]
    given = own["plus_minus"].notna().groupby(own["table"]).agg(["sum", "size"])
    full = given.index[given["sum"] == given["size"]]
    text = f"± at {given['sum'].sum()} of {given['size'].sum()} entries of its own: all of "
    return list(
        given["sum"] == given["size"]
    ), f"{text}{_tables(full)}, none of {_tables(given.index.difference(full))}."


@_says("Caption of Table 2", "our model shows SOTA results on MNIST [24] and Fashion-MNIST [49].", CONCLUSION)
def sota(p: Printed) -> tuple[list[bool], str]:
    leads = {d: p.lead(2, d) for d in ("mnist", "fashion_mnist")}
    text = "; ".join(f"{d} {x:+.2f} against {r}, {p.first(2, d)}" for d, (x, r) in leads.items())
    return [lead > 0 for lead, _ in leads.values()], f"{text}."


@_says("Caption of Table 2", "On CIFAR-10 [23] dataset our result is 13% higher than SOTA.", CONCLUSION)
def thirteen(p: Printed) -> tuple[list[bool], str]:
    lead, rival = p.lead(2, "cifar10")
    means = p.means(2, "cifar10")
    over = (means[OURS] - means).drop(OURS)
    at = ", ".join(f"{m} {x:+.2f}" for m, x in over[[about(x, 13) for x in over]].items()) or "no other"
    return [about(lead, 13)], f"Over {rival}, the best other: {lead:+.2f}. About 13 it is over {at}."


@_says(
    "Sec. 4.2.1", "We outperform all other methods on F-MNIST and CIFAR-10 while staying comparatively well on MNIST"
)
def outperform(p: Printed) -> tuple[list[bool], str]:
    leads = {d: p.lead(2, d) for d in ("fashion_mnist", "cifar10", "mnist")}
    fashion, cifar, mnist = (lead for lead, _ in leads.values())
    text = "; ".join(f"{d} {x:+.2f} against {r}, {p.first(2, d)}" for d, (x, r) in leads.items())
    return [fashion > 0, cifar > 0, mnist >= -NEAR], f"{text}."


@_says("Sec. 4.2.2", "our method outperforms all others with a large margin of ∼ 10%.")
def ten(p: Printed) -> tuple[list[bool], str]:
    lead, rival = p.lead(3, "mvtec_ad")
    return [lead > NEAR, about(lead, 10)], f"{lead:+.2f} over {rival}; {p.first(3, 'mvtec_ad')}."


@_says("Sec. 4.2.2, earlier version", "Vividly, we outperform all previous methods.")
def localization(p: Printed) -> tuple[list[bool], str]:
    lead, rival = p.lead(4, "mvtec_ad")
    classes = p.classes(4, "mvtec_ad")
    wins = (classes[OURS] > classes[rival]).sum()
    text = f"{lead:+.2f} over {rival} in the mean, ahead of it in {wins} of {len(classes)}; {p.first(4, 'mvtec_ad')}."
    return [lead > 0], text


@_says("Sec. 4.2.3", "our method outplays all the SOTA methods by a considerable margin.")
def considerable(p: Printed) -> tuple[list[bool], str]:
    lead, rival = p.lead(5, "retinal_oct")
    return [lead > 0, lead > NEAR], f"{lead:+.2f} over {rival}."


@_says(
    "Sec. 4.2.3",
    "While slightly (∼ 0.5%) less than LSA, our method shows a significantly lower variance, magnifying its stability "
    "compared to the others.",
)
def variance(p: Printed) -> tuple[list[bool], str]:
    means = p.means(6, "brain_mri")
    spread = p.frame[p.frame["dataset"] == "brain_mri"].set_index("method")["plus_minus"]
    less = means["LSA"] - means[OURS]
    text = f"{less:.2f} less than LSA; ± {', '.join(f'{m} {x:.3f}' for m, x in spread.items())}."
    return [less > 0 and about(less, 0.5), spread.idxmin() == OURS], text


@_says(
    "Sec. 4.2.3",
    "LSA fails substantially on other tasks such as CIFAR-10 and MVTecAD anomaly detection with AUROCs ∼ 23% and ∼ 25% "
    "below our method’s, respectively.",
    FIGURE,
)
def lsa_elsewhere(p: Printed) -> tuple[list[bool], str]:
    below = [m[OURS] - m["LSA"] for m in (p.means(2, "cifar10"), p.means(3, "mvtec_ad"))]
    text = f"CIFAR-10 {below[0]:.2f}, MVTec AD {below[1]:.2f} below."
    return [about(d, said) for d, said in zip(below, (23, 25), strict=True)], text


@_says("Sec. 4.2.3", "we outperform OCGAN and GT by a considerable margin and perform ∼ 3% below LSA.", FIGURE)
def head_ct(p: Printed) -> tuple[list[bool], str]:
    over = p.means(6, "head_ct")[OURS] - p.means(6, "head_ct")[["OCGAN", "GT", "LSA"]]
    text = ", ".join(f"{m} {x:+.2f}" for m, x in over.items())
    return [over["OCGAN"] > NEAR, over["GT"] > NEAR, about(-over["LSA"], 3)], f"Against {text}."


@_says(
    "Sec. 4.2.3",
    "Table 6 shows that by utilizing augmentations, the proposed method achieves similar results to LSA while "
    "outperforming it on other tasks significantly.",
    CONCLUSION,
)
def augmented(p: Printed) -> tuple[list[bool], str]:
    head = p.means(6, "head_ct")
    near = head[f"{OURS}+aug"] - head["LSA"]
    rest = {d: p.means(t, d) for d, t in TABLES.items() if d != "head_ct"}
    over = {d: m[OURS] - m["LSA"] for d, m in rest.items() if "LSA" in m}
    text = ", ".join(f"{d} {x:+.2f}" for d, x in over.items())
    return [abs(near) <= NEAR, min(over.values()) > 0], f"HeadCT with augmentation {near:+.2f} against LSA; {text}."


def _leads(p: Printed) -> tuple[dict[str, float], str]:
    leads = {d: p.lead(table, d) for d, table in TABLES.items()}
    return {d: lead for d, (lead, _) in leads.items()}, ", ".join(f"{d} {x:+.2f} ({r})" for d, (x, r) in leads.items())


def _tables(numbers: pd.Index) -> str:
    return f"Tables {', '.join(map(str, numbers))}" if len(numbers) else "no table"


@_says(
    "Sec. 3.3.1", "Clearly, a consistent growth trend exists that shows the effectiveness of considering more layers."
)
def growth(p: Printed) -> tuple[list[bool], str]:
    parts, text = [], []
    for table, dataset in ((7, "mvtec_ad"), (8, "mnist")):
        means, classes = p.means(table, dataset), p.classes(table, dataset)
        if "last-4" in classes:  # that row stands in Table 3's order
            classes["last-4"] = p.classes(3, dataset)[paper.OURS]
        grows = (classes[means.index].diff(axis=1).iloc[:, 1:] > 0).all(axis=1)
        parts.append(bool((means.diff().dropna() > 0).all()))
        steps = ", ".join(f"{x:.2f}" for x in means)
        text.append(f"{dataset}: means {steps}; each step up in {grows.sum()} of {len(grows)} classes")
    return parts, ". ".join(text) + "."


@_says(
    "Sec. 3.3.1",
    "Notice that some MVTecAD classes (e.g. “screw”) have near-random AUROC in “just the last layer” setting.",
)
def near_random(p: Printed) -> tuple[list[bool], str]:
    last = p.classes(7, "mvtec_ad")["last-1"].sort_values()
    near = last[(last - 50).abs() <= CHANCE]
    return [
        "screw" in near
    ], f"Within {CHANCE:g} of 50: {', '.join(f'{c} {x:.1f}' for c, x in near.items()) or 'none'}."


@_says("Sec. 3.3.2", "Overall, the smaller network performs better with a margin of ∼ 3%.", FIGURE)
def smaller(p: Printed) -> tuple[list[bool], str]:
    mvtec, cifar = (m["cloner=small"] - m["cloner=equal"] for m in (p.means(9, "mvtec_ad"), p.means(10, "cifar10")))
    text = f"Table 9, the data set of the sentence: {mvtec:+.2f}. Table 10, CIFAR-10: {cifar:+.2f}."
    return [mvtec > 0, about(mvtec, 3)], text


@_says(
    "Sec. 3.3.2",
    "This is especially noticeable in the classes where anomalies are partial (like in “toothbrush” or “screw”).",
)
def partial_anomalies(p: Printed) -> tuple[list[bool], str]:
    classes = p.classes(9, "mvtec_ad")
    gain = (classes["cloner=small"] - classes["cloner=equal"]).sort_values(ascending=False)
    text = f"Largest gains: {', '.join(f'{c} {x:+.1f}' for c, x in gain.head(3).items())}. Small is ahead in "
    text += f"{(gain > 0).sum()} of {len(gain)}; without {gain.index[0]} the mean gain is {gain.iloc[1:].mean():+.2f}."
    return [name in gain.index[:3] for name in ("toothbrush", "screw")], text


@_says(
    "Sec. 3.3.3",
    "Using only L_dir shows top results in cases where anomalies are essentially different from normal cases and are "
    "more diverse, like in CIFAR-10. In contrast, in cases with subtle anomalies, as in MVTecAD, MSE loss performs "
    "better.",
)
def single_terms(p: Printed) -> tuple[list[bool], str]:
    mvtec, cifar = p.means(9, "mvtec_ad").filter(like="loss="), p.means(10, "cifar10").filter(like="loss=")
    return [cifar.idxmax() == "loss=dir", mvtec["loss=val"] > mvtec["loss=dir"]], _losses(p)


@_says(
    "Sec. 3.3.3",
    "our proposed L_total, which is a combination of the two losses, achieves the highest performance considering both "
    "classification-based and defect detection settings at the same time.",
)
def highest_together(p: Printed) -> tuple[list[bool], str]:
    both = (p.means(9, "mvtec_ad") + p.means(10, "cifar10")).filter(like="loss=") / 2
    text = f"Mean over the two data sets: {', '.join(f'{m} {x:.2f}' for m, x in both.items())}."
    return [both.idxmax() == "loss=total"], text


@_says(
    "Sec. 3.3.3, earlier version",
    "However, in both cases, our proposed Ltotal, which is a combination of the two losses, can achieve the highest "
    "performance.",
    CONCLUSION,
)
def highest_in_each(p: Printed) -> tuple[list[bool], str]:
    tables = p.means(9, "mvtec_ad"), p.means(10, "cifar10")
    return [t.filter(like="loss=").idxmax() == "loss=total" for t in tables], _losses(p)


@_says(
    "Appendix C",
    "As investigated in the paper, Ltotal, which is a combination of the directional and MSE loss, achieves the best "
    "performance.",
    CONCLUSION,
)
def best(p: Printed) -> tuple[Sequence[bool], str]:
    return highest_in_each(p)


@_says(
    "Fig. 5; captions of Tables 9 and 10",
    "Ltotal performs well on both cases while individual directional or Euclidean losses fail in one.",
)
def each_fails_once(p: Printed) -> tuple[list[bool], str]:
    below = [t - t.max() for t in (m.filter(like="loss=") for m in (p.means(9, "mvtec_ad"), p.means(10, "cifar10")))]
    parts = [min(b["loss=total"] for b in below) >= -NEAR]
    parts += [sum(b[loss] < -NEAR for b in below) == 1 for loss in ("loss=dir", "loss=val")]
    lines = (f"{m} {below[0][m]:+.2f} and {below[1][m]:+.2f}" for m in below[0].index)
    return parts, f"Below the best loss, on MVTec AD and on CIFAR-10: {', '.join(lines)}."


@_says(
    "Sec. 3.3.4",
    "GBP, however, performs the worst since it tends more to reconstruct the image instead of staying faithful to the "
    "function",
)
def gbp_worst(p: Printed) -> tuple[list[bool], str]:
    rough, classes = p.means(11, "mvtec_ad"), p.classes(11, "mvtec_ad")
    plain = [m for m in rough.index if "+" not in m]
    lowest = (classes[plain].idxmin(axis=1) == "gbp").sum()
    return [rough[plain].idxmin() == "gbp"], f"{_list(rough[plain])}; GBP lowest in {lowest} of {len(classes)} classes."


@_says(
    "Caption of Table 11",
    "Without applying the filters, SmoothGrad outperforms others. With Gaussian filtering the methods perform almost "
    "the same.",
)
def filters(p: Printed) -> tuple[list[bool], str]:
    means, classes = p.means(11, "mvtec_ad"), p.classes(11, "mvtec_ad")
    smooth = [m for m in means.index if "+" in m]
    rough = [m for m in means.index if "+" not in m]
    apart, widest = np.ptp(means[smooth]), np.ptp(classes[smooth], axis=1)
    first = (classes[rough].idxmax(axis=1) == "smoothgrad").sum()
    text = f"Without: {_list(means[rough])}; SmoothGrad first in {first} of {len(classes)} classes. With: "
    text += f"{_list(means[smooth])}; means {apart:.2f} apart, single classes up to {widest.max():.2f}."
    return [means[rough].idxmax() == "smoothgrad", bool(apart <= SAME)], text


def _losses(p: Printed) -> str:
    tables = {"Table 9, MVTec AD": p.means(9, "mvtec_ad"), "Table 10, CIFAR-10": p.means(10, "cifar10")}
    return ". ".join(f"{name}: {_list(means.filter(like='loss='))}" for name, means in tables.items()) + "."


def _list(means: pd.Series) -> str:
    return ", ".join(f"{name} {x:.2f}" for name, x in means.items())


def claims(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Each of `CLAIMS` judged by the printed tables: place, quote, verdict, evidence, severity."""
    printed, rows = Printed(paper.published() if frame is None else frame), []
    for claim in CLAIMS:
        parts, evidence = claim.judge(printed)
        verdict = HOLDS if all(parts) else PART if any(parts) else FAILS
        rows.append((claim.place, claim.quote, verdict, evidence, claim.severity))
    return pd.DataFrame(rows, columns=["place", "quote", "verdict", "evidence", "severity"])
