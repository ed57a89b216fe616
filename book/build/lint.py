"""Find numbers typed by hand: what was measured or published is read from records and `published.csv`, never retyped.

    python book/build/lint.py

Looks at the prose of the book: its chapters, the notebooks' Markdown, the texts and comments in their code. There every
number with decimals, every percentage, and numbers of points, times, seconds, minutes, bytes must not be typed. Code,
formulas, links, versions, and the numbers of sections and tables may. What else is meant to stand stands in
`lint_allowed.toml` with its reason; but a number that is published or recorded is an offender even there.
"""

import ast
import re
import sys
import tokenize
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import nbformat
import templates
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"(?<![\w.])(?<!\d,)\d+(?:\.\d+)?(?![\d.]*\d)"
UNITS = r"%|per ?cent|percentage points?|points?|times|×(?! ?\d)|m?s|seconds?|min|minutes?|hours?|[KMG]i?B|images/s"
FIGURE = re.compile(rf"({NUMBER})(?:[ \u00a0]?({UNITS})(?![\w/]))?")
NO_NUMBERS = re.compile(  # of versions and licences; of sections, tables and equations; of links
    r"\b(?:Python|version|CC[ -]BY[-A-Z]*|CUDA|v) ?\d+(?:\.\d+)*|\b\d+(?:\.\d+){2,}"
    r"|\b(?:Secs?|Sections?|Tables?|Figs?|Figures?|Eqs?|Equations?|Appendix|Chapters?)\.?[\s\u00a0]+"
    r"[A-Z]?\d+(?:\.\d+)*(?:(?:, | and | to | or |[–-])\d+(?:\.\d+)*)*"
    r"|https?://\S+"
)
TAGS = re.compile(r"(?s)<style.*?</style>|<.*?>")
DIRECTIVE = re.compile(r"\A(?:{([\w:-]+)})?(.*)\n((?::[\w-]+:.*\n)*)((?s:.*))")  # name, title, options, content
MARKDOWN = create_md_parser(
    MdParserConfig(enable_extensions={"amsmath", "colon_fence", "deflist", "dollarmath"}), RendererHTML
)


class Prose(NamedTuple):
    """A piece of text that a reader reads as such."""

    file: str
    place: str
    text: str


class Allowed(NamedTuple):
    """A pattern of texts whose numbers may stand, where (``"*"``: anywhere), and why."""

    file: str
    pattern: str
    reason: str


def prose(root: Path) -> Iterator[Prose]:
    """All of the book."""
    for path in [*root.glob("README.md"), *sorted(root.glob("book/chapters/*.md"))]:
        for line, text in paragraphs(path.read_text()):
            yield Prose(path.relative_to(root).as_posix(), f"line {line}", text)
    texts = sorted(root.glob("notebooks/**/*.md"))  # what a page has beside its template
    notebooks = [path for path in root.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    for path in [*sorted(notebooks), *texts]:
        of_template = path in texts
        cells = templates.cells(path.read_text(), "") if of_template else nbformat.read(path, as_version=4).cells
        for number, cell in enumerate(cells, 1):
            for text in [cell.source] if cell.cell_type == "markdown" else code_texts(cell.source):
                for _, part in paragraphs(text):
                    yield Prose(path.relative_to(root).as_posix(), f"cell {number}", part)


def paragraphs(markdown: str, line: int = 1) -> Iterator[tuple[int, str]]:
    """What is prose in Markdown, and the line that it starts in: headings, paragraphs, cells of tables."""
    for token in MARKDOWN.parse(markdown):
        start = line + (token.map[0] if token.map else 0)
        if token.type in ("inline", "html_block"):
            text = "".join(map(plain, token.children or [])) or TAGS.sub("", token.content)
            yield start, NO_NUMBERS.sub("…", " ".join(text.split()))
        elif token.type in ("fence", "colon_fence"):
            name, title, options, content = DIRECTIVE.findall(f"{token.info}\n{token.content}")[0]
            if name.startswith(("math", "code")) or (token.type == "fence" and not name):
                continue
            yield start, title
            yield from paragraphs(content, start + 1 + options.count("\n"))


def plain(token: Token) -> str:
    """What is read of a piece of a line: no code, formula, role or tag."""
    if token.type in ("text", "image"):
        return token.content
    return "…" if token.content else " " * token.type.endswith("break")


def code_texts(source: str) -> list[str]:
    """Texts of two words or more in a code cell, values left out, and its comments."""
    texts, inside = [], set()
    for node in ast.walk(ast.parse(source)):  # an f-string before its parts
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in ast.walk(node)}
            texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            texts.append(node.value)
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    texts += [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    return [NO_NUMBERS.sub("…", text) for text in texts if re.search(r"[^\W\d]{2,}\s", text)]


def known_results(results: Path) -> dict[str, str]:
    """Every way in which a published or recorded AUROC may be typed, in % or as a fraction, and what it is."""
    from kdlab.experiments.records import records
    from kdlab.paper import published

    aurocs: list[tuple[float, str]] = []
    with warnings.catch_warnings(action="ignore"):  # of a record that cannot be read: it is no result
        readable = [record for record in records(results) if record["experiment"]["profile"] != "smoke"]
    for record in readable:
        image, pixel = (record["metrics"].get(name) or {} for name in ("image_auroc", "pixel_auroc"))
        of = f"recorded ({record['experiment']['dataset']}, record {record['id']})"
        aurocs += [(100 * value, of) for value in (image.get("mean_last_10"), pixel.get("all")) if value is not None]
    for row in published().to_dict("records"):
        of = f"published (Table {row['table']}, {row['dataset']}, {row['method']}, {row['column']})"
        aurocs.append((row["auroc"], of))
    ways = ("{0:.1f}", "{0:.2f}", "{1:.3f}", "{1:.4f}")
    return {way.format(auroc, auroc / 100): of for auroc, of in aurocs for way in ways}


def offenders(
    texts: Iterable[Prose], allowed: Iterable[Allowed] = (), known: Mapping[str, str] | None = None
) -> tuple[list[str], list[Allowed]]:
    """A line for each number that must not stand; what is allowed but is nowhere found."""
    allowed, known, used, found = list(allowed), known or {}, set(), []
    for file, place, text in texts:
        here = [each for each in allowed if each.file in ("*", file)]
        spans = {each: [match.span() for match in re.finditer(each.pattern, text)] for each in here}
        for match in FIGURE.finditer(text):
            number, unit = match.groups()
            if "." not in number and not unit:
                continue  # a count, a size, a year
            covering = {e for e, parts in spans.items() if any(a <= match.start() < match.end() <= b for a, b in parts)}
            used |= covering
            if not covering or number in known:
                around = text[max(0, match.start() - 40) : match.end() + 30].strip()
                what = f", which is {known[number]}" if number in known else ""
                found.append(f"{file}, {place}: {match[0]}{what}, in “{around}”")
    return found, [each for each in allowed if each not in used]


def read_allowed(path: Path) -> list[Allowed]:
    """What may stand: per reason, files with patterns of their texts."""
    rules = tomllib.loads(path.read_text()).get("allowed", [])
    return [Allowed(file, text, rule["reason"]) for rule in rules for file, ts in rule["in"].items() for text in ts]


def check(root: Path = ROOT) -> list[str]:
    """One line for each offender and each text that is allowed for nothing."""
    allowed = read_allowed(root / "book" / "build" / "lint_allowed.toml")
    found, unused = offenders(prose(root), allowed, known_results(root / "results"))
    return found + [
        f"lint_allowed.toml: {each.pattern!r} covers no number in {each.file}; remove it" for each in unused
    ]


if __name__ == "__main__":
    lines = check()
    print(*lines, sep="\n")
    sys.exit(f"{len(lines)} numbers typed by hand, or allowed for nothing" if lines else 0)
