"""Find figures typed by hand: what was measured or published is read from records and `published.csv`, never retyped.

    python book/build/lint.py

Looks at the prose of the book: its chapters, the notebooks' Markdown, the texts and comments in their code. There it
takes for a figure every number with decimals, every percentage, and numbers of points, times, seconds, minutes, bytes.
Code, formulas, links, versions, and the numbers of sections and tables are none. What else is meant to stand stands in
`lint_allowed.toml` with its reason; but a number that is published or recorded is an offender even there.
"""

import re
import sys
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from prose import Prose, prose

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"(?<![\w.])(?<!\d,)\d+(?:\.\d+)?(?![\d.]*\d)"
UNITS = r"%|per ?cent|percentage points?|points?|times|×(?! ?\d)|m?s|seconds?|min|minutes?|hours?|[KMG]i?B|images/s"
FIGURE = re.compile(rf"{NUMBER}(?:[ \u00a0]?(?:{UNITS})(?![\w/]))?")


class Offender(NamedTuple):
    """A number that is typed, with the words around it and, where it is one, the figure that it is."""

    file: str
    place: str
    number: str
    around: str
    known: str = ""

    def __str__(self) -> str:
        what = f"{self.number}, which is {self.known}" if self.known else self.number
        return f"{self.file}, {self.place}: {what}, in “{self.around}”"


class Allowed(NamedTuple):
    """A pattern of texts whose numbers may stand, where (``"*"``: anywhere), and why."""

    file: str
    pattern: str
    reason: str


def known_figures(results: Path) -> dict[str, str]:
    """Every way in which a published or recorded AUROC may be typed, in % or as a part of 1, and what it is."""
    from kdlab.experiments.records import records
    from kdlab.paper import published

    found: dict[str, str] = {}
    with warnings.catch_warnings(action="ignore"):  # of a record that cannot be read: it is no figure
        readable = records(results)
    for record in readable:
        experiment, image = record["experiment"], record["metrics"].get("image_auroc") or {}
        pixel = record["metrics"].get("pixel_auroc") or {}
        if experiment["profile"] != "smoke":
            of = f"recorded ({experiment['dataset']}, record {record['id']})"
            for value in (image.get("mean_last_10"), pixel.get("all")):
                found |= dict.fromkeys(ways(100 * value) if value is not None else [], of)
    for row in published().to_dict("records"):
        of = f"published (Table {row['table']}, {row['dataset']}, {row['method']}, {row['column']})"
        found |= dict.fromkeys(ways(row["auroc"]), of)
    return found


def ways(auroc: float) -> list[str]:
    """An AUROC in % as it may be typed."""
    return [f"{auroc:.1f}", f"{auroc:.2f}", f"{auroc / 100:.3f}", f"{auroc / 100:.4f}"]


def offenders(
    texts: Iterable[Prose], allowed: Iterable[Allowed] = (), known: Mapping[str, str] | None = None
) -> tuple[list[Offender], list[Allowed]]:
    """The numbers that must not stand, and what is allowed but is nowhere found."""
    allowed, known, used, found = list(allowed), known or {}, set(), []
    for file, place, text in texts:
        spans = {each: spans_of(each, text) for each in allowed if each.file in ("*", file)}
        for match in FIGURE.finditer(text):
            number = re.match(r"[\d.]+", match[0])
            assert number
            if "." not in number[0] and number[0] == match[0]:
                continue  # an integer without a unit: a count, a size, a year
            covering = {
                e for e, parts in spans.items() if any(a <= match.start() and match.end() <= b for a, b in parts)
            }
            used |= covering
            if not covering or number[0] in known:
                around = text[max(0, match.start() - 40) : match.end() + 30].strip()
                found.append(Offender(file, place, match[0], around, known.get(number[0], "")))
    return found, [each for each in allowed if each not in used]


def spans_of(allowed: Allowed, text: str) -> list[tuple[int, int]]:
    """Where in a text numbers are allowed."""
    return [match.span() for match in re.finditer(allowed.pattern, text)]


def read_allowed(path: Path) -> list[Allowed]:
    """What may stand: per reason, files with patterns of their texts."""
    rules = tomllib.loads(path.read_text()).get("allowed", [])
    return [Allowed(file, text, rule["reason"]) for rule in rules for file, ts in rule["in"].items() for text in ts]


def check(root: Path = ROOT) -> list[str]:
    """One line for each offender and each text that is allowed for nothing."""
    allowed = read_allowed(root / "book" / "build" / "lint_allowed.toml")
    found, unused = offenders(prose(root), allowed, known_figures(root / "results"))
    return [str(each) for each in found] + [
        f"lint_allowed.toml: {each.pattern!r} covers no number in {each.file}; remove it" for each in unused
    ]


if __name__ == "__main__":
    lines = check()
    print(*lines, sep="\n")
    sys.exit(f"{len(lines)} figures typed by hand, or allowed for nothing" if lines else 0)
