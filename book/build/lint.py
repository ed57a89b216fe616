"""Find numbers typed by hand: what was measured or published is read from records and `published.csv`, never retyped.

    python book/build/lint.py

Looks at the prose of the book: its chapters, the notebooks' Markdown, the texts and comments in their code. There every
number with decimals, every percentage, and numbers of points, times, seconds, minutes, bytes must not be typed. Code,
formulas, links, versions, and the numbers of sections and tables may. What else is meant to stand stands in
`lint_allowed.toml` with its reason.
"""

import ast
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import nbformat
import templates

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"(?<![\w.])(?<!\d,)\d+(?:\.\d+)?(?![\d.]*\d)"
UNITS = r"%|per ?cent|percentage points?|points?|times|×(?! ?\d)|m?s|seconds?|min|minutes?|hours?|[KMG]i?B|images/s"
FIGURE = re.compile(rf"({NUMBER})(?:[ \u00a0]?({UNITS})(?![\w/]))?")
FENCE = re.compile(r"(?ms)^ *(`{3,}|:{3,}) *(?:\{([\w:-]+)\})?(.*?)\n(.*?)^ *\1 *$")  # name, title, content
NOT_READ = re.compile(
    r"(?ms)^ *:[\w-]+:.*?$|(`+).*?\1|\$\$.*?\$\$|\$[^$]*\$|<style.*?</style>|<[^>]*>|(?<=\])(?:\([^)]*\)|: .*?$)"
)
NO_NUMBERS = re.compile(  # of versions and licences; of sections, tables and equations; of links
    r"\b(?:Python|version|CC[ -]BY[-A-Z]*|CUDA|v) ?\d+(?:\.\d+)*|\b\d+(?:\.\d+){2,}"
    r"|\b(?:Secs?|Sections?|Tables?|Figs?|Figures?|Eqs?|Equations?|Appendix|Chapters?)\.?[\s\u00a0]+"
    r"[A-Z]?\d+(?:\.\d+)*(?:(?:, | and | to | or |[–-])\d+(?:\.\d+)*)*"
    r"|https?://\S+"
)


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """All prose of the book, and the file that each text is from."""
    notebooks = [path for path in root.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    beside_templates = root.glob("notebooks/**/*.md")
    for path in [*root.glob("README.md"), *sorted(root.glob("book/chapters/*.md"))]:
        yield path.relative_to(root).as_posix(), prose(path.read_text())
    for path in [*sorted(notebooks), *sorted(beside_templates)]:
        is_text = path.suffix == ".md"
        for cell in templates.cells(path.read_text(), "") if is_text else nbformat.read(path, as_version=4).cells:
            for text in [cell.source] if cell.cell_type == "markdown" else in_code(cell.source):
                yield path.relative_to(root).as_posix(), prose(text)


def prose(markdown: str) -> str:
    """What is read of Markdown, on one line: no code, formula, address, option or tag."""

    def inside(fence: re.Match[str]) -> str:
        _, name, title, content = fence.groups()
        return f"{title}\n\n{content}" if name and not name.startswith(("code", "math")) else "…"

    while (opened := FENCE.sub(inside, markdown)) != markdown:
        markdown = opened
    return NO_NUMBERS.sub("…", " ".join(NOT_READ.sub("…", markdown).split()))


def in_code(source: str) -> list[str]:
    """Texts of two words or more in a code cell, values left out, and its comments."""
    constants = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    comments = [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    found = [each for each in [*constants, *comments] if isinstance(each, str)]
    return [text for text in found if re.search(r"[^\W\d]{2,}\s", text)]


def typed(text: str) -> list[re.Match[str]]:
    """The numbers of a text that must not be typed: no counts, sizes, years."""
    return [match for match in FIGURE.finditer(text) if "." in match[1] or match[2]]


def check(root: Path = ROOT) -> list[str]:
    """One line for each number that must not stand, and each pattern that is allowed for nothing."""
    rules = tomllib.loads((root / "book" / "build" / "lint_allowed.toml").read_text())["allowed"]
    allowed = [(file, pattern) for rule in rules for file, found in rule["in"].items() for pattern in found]
    found, used = [], set[tuple[str, str]]()
    for file, text in texts(root):
        here = [
            (rule, part.span()) for rule in allowed if rule[0] in ("*", file) for part in re.finditer(rule[1], text)
        ]
        for match in typed(text):
            covering = {rule for rule, (start, end) in here if start <= match.start() and match.end() <= end}
            used |= covering
            if not covering:
                around = text[max(0, match.start() - 40) : match.end() + 30].strip()
                found.append(f"{file}: {match[0]}, in “{around}”")
    unused = [rule for rule in allowed if rule not in used]
    return found + [f"lint_allowed.toml: {pattern!r} covers no number in {file}; remove it" for file, pattern in unused]


if __name__ == "__main__":
    lines = check()
    print(*lines, sep="\n")
    sys.exit(f"{len(lines)} numbers typed by hand, or allowed for nothing" if lines else 0)
