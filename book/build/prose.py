"""The prose of the book: without code, formulas, links, and numbers that are a version or the name of a place."""

import ast
import re
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import nbformat
import templates
from launch import installs

NO_PROSE = [
    re.compile(pattern, flags)
    for pattern, flags in [
        (r"\A---\n.*?^---$", re.M | re.S),  # front matter
        (r"<style>.*?</style>", re.S),
        (r"\$\$.*?\$\$|(?<![\\\w])\$[^$\n]+\$", re.S),  # formulas
        (r"(?<!`)(`{1,2})(?!`)[^`]+?\1(?!`)", re.S),  # code and roles in a line
        (r"\]\([^)\s]*\)|\]:\s*\S+|https?://[^\s)>]+|<[^>\n]+>", 0),  # where links lead; tags
        (r"^:[\w-]+:.*$|^%.*$|^\(\S+\)=$", re.M),  # options of directives, comments, labels
        (r"\b(?:Python|version|CC[ -]BY[-A-Z]*|CUDA|v) ?\d+(?:\.\d+)*|\b\d+(?:\.\d+){2,}", 0),  # versions
        (
            r"\b(?:Sec|Secs|Sections?|Tables?|Figs?|Figures?|Eqs?|Equations?|Appendix|Chapters?)\.?[\s\u00a0]+"
            r"[A-Z]?\d+(?:\.\d+)*(?:(?:, | and | to | or |[–-])\d+(?:\.\d+)*)*",
            0,
        ),
        (r"[Rr]eading time\W*:?\W*\d+ minutes", 0),
    ]
]


class Prose(NamedTuple):
    """A piece of text that a reader reads as such."""

    file: str
    place: str
    text: str


def prose(root: Path) -> Iterator[Prose]:
    """All of the book."""
    for path in [*root.glob("README.md"), *sorted(root.glob("book/chapters/*.md"))]:
        for line, text in paragraphs(path.read_text()):
            yield Prose(path.relative_to(root).as_posix(), f"line {line}", text)
    for path in sorted([*root.glob("notebooks/**/*.ipynb"), *root.glob("notebooks/**/*.md")]):
        if ".ipynb_checkpoints" in path.parts:
            continue
        of_template = path.suffix == ".md"  # what a page has beside its template
        cells = templates.cells(path.read_text(), "") if of_template else nbformat.read(path, as_version=4).cells
        for number, cell in enumerate(cells, 1):
            if installs(cell):
                continue
            for text in [cell.source] if cell.cell_type == "markdown" else code_texts(cell.source):
                for _, part in paragraphs(text):
                    yield Prose(path.relative_to(root).as_posix(), f"cell {number}", part)


def paragraphs(markdown: str) -> Iterator[tuple[int, str]]:
    """What is prose in Markdown: the line that a paragraph, a list's item or a table's row starts in, and its text."""
    markdown = without_fenced_code(markdown)
    for pattern in NO_PROSE:
        markdown = pattern.sub(lambda match: "…" + "\n" * match[0].count("\n"), markdown)
    start = 0
    for gap in [*re.finditer(r"\n\s*\n|\n(?=\s*(?:[-|*]|\d+\.) )", markdown), None]:
        end = gap.start() if gap else len(markdown)
        if text := " ".join(markdown[start:end].split()):
            yield markdown.count("\n", 0, start) + 1, text
        start = gap.end() if gap else end


def without_fenced_code(markdown: str) -> str:
    """Markdown with an empty line for each one of fenced code or formulas; what other directives hold is prose."""
    fences: list[tuple[str, bool]] = []  # those that are open, and whether they hold code
    lines = []
    for line in markdown.splitlines():
        fence = re.match(r"\s*(`{3,}|~{3,}|:{3,})\s*(?:\{([\w:-]+)\})?(.*)$", line)
        in_code = bool(fences) and fences[-1][1]
        if fence and fences and not fence[2] and not fence[3].strip() and fence[1].startswith(fences[-1][0]):
            fences.pop()
            lines.append("")
        elif fence and not in_code:
            code = fence[2].startswith(("math", "code")) if fence[2] else fence[1][0] != ":"
            fences.append((fence[1], code))
            lines.append("" if code else fence[3])
        else:
            lines.append("" if in_code else line)
    return "\n".join(lines)


def code_texts(source: str) -> list[str]:
    """Texts of two words or more in a code cell, values left out, and its comments."""
    tree = ast.parse(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            texts.append(node.value)
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    texts += [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
    return [text for text in texts if re.search(r"[^\W\d]{2,}\s", text)]
