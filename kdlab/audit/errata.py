"""All that is wrong in the printed tables and in what the paper says of them, found by code: claims, errata."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import torch

from kdlab import paper
from kdlab.audit import tables
from kdlab.audit.claims import FIGURE, SEVERITY, TYPO, claims
from kdlab.studies.statistics import AGAINST, AGAINST_PART
from kdlib.losses import direction_loss

Erratum = tuple[str, str, str, str]  # where, what, evidence, severity


def errata(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """Everything found, most severe first: where, what, evidence, severity (`claim.SEVERITY` says what each means)."""
    frame = paper.published() if frame is None else frame
    copies = tables.copies(frame)
    moved = reordered(copies)
    rows = [*_claims(frame), *_rows(copies, moved), *_means(frame), *_entries(frame)]
    found = [*rows, *_twice(frame, moved), *_names(frame), _forms()]
    table = pd.DataFrame(found, columns=["where", "what", "evidence", "severity"])
    return table.sort_values("severity", key=lambda s: s.map([*SEVERITY].index), kind="stable", ignore_index=True)


def forms_of_direction(points: int = 4, *, seed: int = 0) -> float:
    """Eq. 3 of one version of the paper minus that of the other, sum(1 - cos) - (1 - sum(cos)); random activations."""
    pair = torch.rand(2, points, 1, 8, 4, 4, generator=torch.Generator().manual_seed(seed))
    cosines = 1 - torch.cat([direction_loss(s, c) for s, c in zip(*pair, strict=True)])
    return float((1 - cosines).sum() - (1 - cosines.sum()))


def reordered(copies: pd.DataFrame) -> pd.DataFrame:
    """Of `tables.copies` those in another order, each ``suspect`` row once; ``model`` is the row it repeats."""
    found: list[dict[Any, Any]] = []
    known: set[object] = set()
    for copy in copies.sort_values("order", kind="stable").to_dict("records"):
        one = (copy["table"], copy["dataset"], copy["method"])
        two = (copy["other_table"], copy["dataset"], copy["other_method"])
        if copy["order"] != "headings" and not known & {one, two}:
            suspect, model = (one, two) if copy["fits"] < copy["other_fits"] else (two, one)
            known.add(suspect)
            found.append(copy | {"suspect": suspect, "model": model})
    return pd.DataFrame(found)


def _claims(frame: pd.DataFrame) -> Iterator[Erratum]:
    judged = claims(frame)
    for c in judged[judged["verdict"].isin([AGAINST, AGAINST_PART]) & (judged["severity"] != "")].itertuples():
        yield c.place, f"“{c.quote}” {c.verdict}", c.evidence, c.severity  # type: ignore[misc]


def _rows(same: pd.DataFrame, moved: pd.DataFrame) -> Iterator[Erratum]:
    for c in moved.to_dict("records"):
        how = "in its printed order, under other headings" if c["order"] == "positions" else "in another order"
        fits = sorted((c["fits"], c["other_fits"]))
        evidence = f"{c['agree']} of {c['entries']} agree under their headings. Rank correlation with the other rows: "
        evidence += f"{fits[0]:+.2f}, of {_name(*c['model'])} {fits[1]:+.2f}"
        yield _name(*c["suspect"]), f"holds the figures of {_name(*c['model'])} {how}", evidence, FIGURE
    for c in same[(same["order"] == "headings") & ~same["one_experiment"]].to_dict("records"):
        first, second = _name(c["table"], c["dataset"], c["method"]), _other(c)
        evidence = f"{c['agree']} of {c['entries']} figures are the same"
        yield second, f"is the row of {first}, which is named as another experiment", evidence, FIGURE


def _means(frame: pd.DataFrame) -> Iterator[Erratum]:
    means, printed = tables.means(frame), frame[frame["column"] == "mean"]
    for m in means[~means["explained"]].to_dict("records"):
        rivals = printed[(printed["table"] == m["table"]) & (printed["dataset"] == m["dataset"])]
        others = rivals[rivals["method"] != m["method"]]["auroc"]
        before, after = (int((others > value).sum()) + 1 for value in (m["printed"], m["recomputed"]))
        evidence = f"printed {m['printed']:.2f}, of its entries {m['recomputed']:.2f}; rounding explains "
        evidence += f"{m['bound']:.2f}; its rank {'stays' if before == after else f'{before} becomes {after}'}"
        yield _name(m["table"], m["dataset"], m["method"]), "the mean is not that of its row", evidence, FIGURE


def _entries(frame: pd.DataFrame) -> Iterator[Erratum]:
    for s in tables.strangers(frame).to_dict("records"):
        where = f"{_name(s['table'], s['dataset'], s['method'])}, {s['column']}"
        evidence = f"printed {s['printed']:.2f}; the printed mean of the row asks for {s['implied']:.1f}"
        yield where, f"has the digits of {_other(s)}, not of its own row", evidence, FIGURE


def _twice(frame: pd.DataFrame, moved: pd.DataFrame) -> Iterator[Erratum]:
    wrong = {_name(*row) for row in moved.get("suspect", ())}
    found = tables.contradictions(frame)
    for place, group in found[~found["explained"]].groupby(["task", "dataset", "column"], sort=False):
        figures: dict[str, float] = {}
        for c in group.to_dict("records"):
            pair = {_name(c["table"], c["dataset"], c["method"]): c["printed"], _other(c): c["other"]}
            figures |= {} if wrong & pair.keys() else pair  # those have their own line
        if figures:
            evidence = ", ".join(f"{name}: {value:.2f}" for name, value in figures.items())
            yield f"{place[1]}, {place[0]}, {place[2]}", "one experiment, printed with two figures", evidence, FIGURE


def _names(frame: pd.DataFrame) -> Iterator[Erratum]:
    for _, names in frame.groupby(frame["method"].str.casefold(), sort=False)["method"]:
        if names.nunique() > 1:
            tables = frame.loc[names.index].groupby("method", sort=False)["table"].unique()
            evidence = ", ".join(f"{n} in Table {', '.join(map(str, t))}" for n, t in tables.items())
            yield "Names of methods", "one method, spelled in two ways", evidence, TYPO


def _forms() -> Erratum:
    apart = {points: forms_of_direction(points) for points in (1, 4)}
    evidence = ", ".join(f"{n} critical point{'s' * (n > 1)}: {d:.4f} apart" for n, d in apart.items())
    what = "the sum stands outside the 1 − in one version and inside in the other: a constant apart"
    return "Eq. 3", what, evidence, TYPO


def _name(table: int, dataset: str, method: str) -> str:
    return f"Table {table}, {dataset}, {method}"


def _other(found: Mapping[Any, Any]) -> str:
    return _name(found["other_table"], found["dataset"], found["other_method"])
