"""Sentences of the paper that set one setting above another, as pairs of settings."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A sentence of the paper as pairs of settings (better, worse), labels of a study.

    ``datasets`` are those that it is about; none: all. ``metric`` is a value of `kdlab.paper.METRIC`.
    """

    quote: str
    place: str
    pairs: tuple[tuple[str, str], ...]
    datasets: tuple[str, ...] = ()
    metric: str = "image_auroc"


# In the words of the later version of the paper; it has no captions of Tables 9 and 10, the earlier one has.
COMPARISONS: Mapping[str, tuple[Comparison, ...]] = {
    "critical_points": (
        Comparison(
            quote="Clearly, a consistent growth trend exists that shows the effectiveness of considering more layers.",
            place="Sec. 3.3.1",
            pairs=(("last 2", "last 1"), ("last 3", "last 2"), ("last 4", "last 3"), ("last 4", "last 2")),
            datasets=("mvtec_ad", "mnist"),
        ),
    ),
    "cloner_size": (
        Comparison(
            quote="Overall, the smaller network performs better with a margin of ∼ 3%.",
            place="Sec. 3.3.2",
            pairs=(("small", "equal"),),
            datasets=("mvtec_ad",),
        ),
        Comparison(
            quote="Also, smaller network for the cloner performs better in general.",
            place="captions of Tables 9 and 10",
            pairs=(("small", "equal"),),
            datasets=("mvtec_ad", "cifar10"),
        ),
    ),
    "loss_terms": (
        Comparison(
            quote="While L_dir and L_val fail noticeably in either of the cases, our proposed L_total, which is a "
            "combination of the two losses, achieves the highest performance considering both classification-based and "
            "defect detection settings at the same time.",
            place="Sec. 3.3.3",
            pairs=(("total", "value"), ("total", "direction")),
            datasets=("mvtec_ad", "cifar10"),
        ),
        Comparison(
            quote="Using only L_dir shows top results in cases where anomalies are essentially different from normal "
            "cases and are more diverse, like in CIFAR-10.",
            place="Sec. 3.3.3",
            pairs=(("direction", "value"), ("direction", "total")),
            datasets=("cifar10",),
        ),
        Comparison(
            quote="In contrast, in cases with subtle anomalies, as in MVTecAD, MSE loss performs better.",
            place="Sec. 3.3.3",
            pairs=(("value", "direction"),),
            datasets=("mvtec_ad",),
        ),
    ),
    "bias": (
        Comparison(
            quote="In our work, though it can be negligible on datasets with diverse normal data, it can be "
            "detrimental when normal images are roughly the same.",
            place="Sec. 3.2",
            pairs=(("no bias at all", "convolution bias"), ("no bias at all", "both")),
            datasets=("mvtec_ad",),
        ),
    ),
    "source": (
        Comparison(
            quote="This shows that the knowledge of the pre-trained network, S, has been precious to the cloner, C, "
            "even in an entirely different domain of medical retinal OCT inputs.",
            place="Sec. 4.2.3",
            pairs=(("as the paper", "random"),),
        ),
    ),
    "localization_gap": (
        Comparison(
            quote="Together, called opening, these operations remove small sporadic noises and yield clean maps.",
            place="Sec. 3.1",
            pairs=(("as the paper", "no opening"),),
            metric="pixel_auroc",
        ),
    ),
}
