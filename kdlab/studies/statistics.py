"""The one rule by which sentences are judged, and how sure a single number is.

The rule: units are classes or categories, each the mean of its seeds; two settings are compared by an exact sign-flip
test over units, corrected for all comparisons of a sentence; what the comparisons find makes one of five verdicts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from kdlib.metrics import auroc

ALPHA = 0.05
LEVEL = 1 - ALPHA  # of every interval here
UNITS = 6  # of five units, all on one side, p is 2 / 2^5: no outcome could decide
SEEDS = 3  # trainings of an entry, before a spread over seeds is told
VERDICTS = ("holds", "holds in part", "contradicted in part", "contradicted", "not decided")
HOLDS, PART, AGAINST_PART, AGAINST, OPEN = VERDICTS


def verdict(findings: Iterable[bool | None]) -> str:
    """One of `VERDICTS` from what each part of a sentence is found to be: true, false, or None: not decided."""
    found = set(findings)
    if not found - {None}:
        return OPEN
    if False in found:
        return AGAINST if found == {False} else AGAINST_PART
    return HOLDS if found == {True} else PART


def finding(mean: float, p: float) -> bool | None:
    """Whether a difference is above zero; None where its corrected p decides nothing, as NaN does."""
    return mean > 0 if p < ALPHA else None


def holm(values: Sequence[float]) -> np.ndarray:
    """The p of a family of tests, each corrected for all of them (Holm, 1979); NaN, too few units, is no member."""
    p = np.array(values, float)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN comes last
    p[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return p


def p_text(p: float) -> str:
    """ "p = 0.031", "p < 0.001"; "too few" of NaN."""
    return "too few" if math.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


@cache
def sign_flips(units: tuple[float, ...]) -> float:
    """Two-sided p of their mean, from all ways to flip their signs; of more than 15 units from as many at random."""
    how = {"permutation_type": "samples", "n_resamples": 2**15, "rng": 0}
    return float(stats.permutation_test((units,), np.mean, **how).pvalue)


class PairedDifference(NamedTuple):
    """What a change is worth over ``units``, in the unit of what was compared; `UNITS` or more have a p, else NaN."""

    mean: float
    low: float
    high: float
    units: int
    p: float


Pairs = Mapping[tuple[str, int], float]  # by class (or category) and seed


def paired_difference(a: Pairs, b: Pairs) -> PairedDifference:
    """``b - a`` over the classes that both have, each the mean of the seeds that both have.

    p: of `sign_flips`. The interval, 95 %, is BCa's bootstrap of units; of fewer than `UNITS` Student's, and of one
    unit that over its seeds: it says nothing of other units.

    Raises:
        ValueError: no shared key, or a value that is not finite.
    """
    shared = [key for key in a if key in b]
    if not shared:
        raise ValueError("paired_difference: no key is in both; run both settings on the same classes and seeds")
    if bad := [key for key in shared if not math.isfinite(b[key] - a[key])]:
        raise ValueError(f"paired_difference: a value is not finite at {bad[0]}")
    by_class: dict[str, list[float]] = {}
    for key in shared:
        by_class.setdefault(key[0], []).append(b[key] - a[key])
    units = np.array([np.mean(seeds) for seeds in by_class.values()])
    values = units if len(units) > 1 else np.array(*by_class.values())
    mean, low, high, p = float(units.mean()), math.nan, math.nan, math.nan
    if len(units) >= UNITS:
        p = sign_flips(tuple(units))
    if len(values) > 1 and np.ptp(values) == 0:
        low = high = mean
    elif len(units) >= UNITS:
        low, high = stats.bootstrap((units,), np.mean, confidence_level=LEVEL, rng=0).confidence_interval
    elif len(values) > 1:
        low, high = stats.t.interval(LEVEL, len(values) - 1, mean, stats.sem(values))
    return PairedDifference(mean, float(low), float(high), len(units), p)


def family(pairs: Mapping[str, tuple[Pairs, Pairs]]) -> tuple[list[bool | None], str]:
    """`finding` of each ``b - a`` of (a, b) by name, one family of tests; and all of them in words."""
    tests = {name: paired_difference(*pair) for name, pair in pairs.items()}
    p = holm([test.p for test in tests.values()])
    said = (f"{name} {test.mean:+.2f} ({p_text(each)})" for (name, test), each in zip(tests.items(), p, strict=True))
    return [finding(test.mean, each) for test, each in zip(tests.values(), p, strict=True)], "; ".join(said)


def of_units(values: pd.Series) -> Pairs:
    """A number by class or category, of one seed or a mean of several, as `paired_difference` takes it."""
    return {(str(unit), 0): float(x) for unit, x in values.items()}


def placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of the other side that each image is on the right side of, ties half: (anomalous,) and (normal,).

    Structural components V10 and V01 of DeLong et al. (1988); the mean of either is the AUROC. From midranks (Sun & Xu,
    2014), so in O(n log n).

    Args:
        labels: anomalous where not zero, (N,), both sides there.
        scores: higher is more anomalous, (N,).
    """
    if auroc(labels, scores) is None:
        raise ValueError("placements: expected normal and anomalous images; one of the two is missing")
    bad = np.asarray(labels) != 0
    above = stats.rankdata(scores)
    m, n = bad.sum(), (~bad).sum()
    below = (above[bad] - stats.rankdata(scores[bad])) / n
    return below, 1 - (above[~bad] - stats.rankdata(scores[~bad])) / m


def standard_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Of one AUROC in [0, 1], over the draw of the test images (DeLong et al., 1988); NaN with one image on a side."""
    sides = placements(labels, scores)
    return math.nan if min(map(len, sides)) < 2 else math.sqrt(sum(side.var(ddof=1) / side.size for side in sides))


def resampled_aurocs(labels: np.ndarray, scores: np.ndarray, *, samples: int) -> np.ndarray:
    """AUROCs of test sets drawn with replacement from this one, as many normal and anomalous as it has: (samples,).

    Ours, and not `scipy.stats.bootstrap`, whose jackknife ranks all images anew without each: of 5,000 images and 500
    samples it takes 8 s, this and `bootstrap_interval` 0.15 s.
    """
    rank = np.unique(scores, return_inverse=True)[1]
    random, found, distinct = np.random.default_rng(0), [], int(rank.max()) + 1
    sides = [rank[labels != 0], rank[labels == 0]]
    step = max(1, 2**20 // len(rank))  # test sets at a time: what the processor's cache likes
    for start in range(0, samples, step):
        rows = np.arange(min(step, samples - start))[:, None]
        bad, good = (
            np.bincount(
                (side[random.integers(side.size, size=(len(rows), side.size))] + distinct * rows).ravel(),
                minlength=distinct * len(rows),
            ).reshape(len(rows), distinct)
            for side in sides
        )
        found.append((bad * (2 * good.cumsum(1) - good)).sum(1))  # twice the pairs in the right order
    return np.concatenate(found) / (2 * sides[0].size * sides[1].size)


def bootstrap_interval(labels: np.ndarray, scores: np.ndarray, *, samples: int) -> tuple[float, float]:
    """BCa interval, 95 %, of an AUROC in [0, 1] over the draw of the test images (Efron, 1987), stratified by label.

    Bias-corrected and accelerated: AUROCs near 1 are skewed, and percentiles or +- 2 standard errors are not. The
    jackknife that it needs follows from `placements`. NaN where all test sets drawn agree, as when no order is wrong.
    """
    value = auroc(labels, scores)
    sides = [side - side.mean() for side in placements(labels, scores)]
    found = resampled_aurocs(labels, scores, samples=samples)
    if np.ptp(found) == 0:
        return math.nan, math.nan
    # An image left out moves the AUROC by -(its placement - the mean) / (others of its side); U = (n - 1) * that.
    skew, square = (sum((side**k).sum() / side.size**k for side in sides) for k in (3, 2))
    acceleration = float(skew / (6 * square**1.5))
    bias = stats.norm.ppf(np.clip((np.mean(found < value) + np.mean(found <= value)) / 2, 1 / samples, 1 - 1 / samples))
    z = bias + stats.norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = np.quantile(found, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def spread(evaluations: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Standard deviations between seeds and between evaluations of one seed, from (seeds, evaluations) values.

    One-way random effects: what the evaluations of a seed leave in its mean is taken off. Evaluations that follow one
    another resemble each other, so theirs is a lower bound. NaN between seeds where there is one.
    """
    table = np.array(evaluations, float)
    seeds, times = table.shape
    within = float(table.var(axis=1, ddof=1).mean()) if times > 1 else math.nan
    between = float(table.mean(axis=1).var(ddof=1)) - np.nan_to_num(within) / times if seeds > 1 else math.nan
    return math.sqrt(max(0.0, between)) if seeds > 1 else math.nan, math.sqrt(within)
