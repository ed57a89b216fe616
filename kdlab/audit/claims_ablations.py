"""What Sec. 3.3 and the appendix of the paper say of the ablations, each sentence with its judge."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from kdlab import paper
from kdlab.audit.claim import CHANCE, CONCLUSION, FIGURE, NEAR, SAME, Claim, Printed, about, says

CLAIMS: list[Claim] = []
_says = partial(says, CLAIMS)


@_says(
    "Sec. 3.3.1",
    "Clearly, a consistent growth trend exists that shows the effectiveness of considering more layers.",
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
