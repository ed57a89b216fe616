"""Pages that are told alike: one notebook, the template, is executed once for each of them.

A folder of notebooks may hold `pages.yml`, one line per page, such as `mnist: one_vs_rest`. The page is then the
notebook `one_vs_rest.ipynb` with its parameter `dataset` set to the page's name, and with the text of `mnist.md` in the
places that tags mark: `title`, `opening` (what stands before the first `##`), `sections` (the rest). A text may hold
`{code-cell}`s, as MyST writes them. Alone, a template is a notebook like any other.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml
from myst_nb.core.read import read_myst_markdown_notebook  # type: ignore[import-untyped]
from nbformat import NotebookNode

OPTIONAL = "optional"  # cells with this tag, side by side: left out of a page where none of them shows anything


def template(root: Path, path: Path) -> Path | None:
    """The template of a page, relative to ``root`` as the page is; None where the page is a notebook of its own."""
    pages = root / path.parent / "pages.yml"
    name = yaml.safe_load(pages.read_text()).get(path.stem) if pages.is_file() else None
    return path.with_name(f"{name}.ipynb") if name else None


def exists(root: Path, path: Path) -> bool:
    """Whether there is such a page, as a notebook or from a template."""
    return (root / path).is_file() or template(root, path) is not None


def notebook(root: Path, path: Path) -> NotebookNode:
    """The notebook of a page: that of the repository, or what template and text make."""
    if (root / path).is_file() or not (of := template(root, path)):
        return nbformat.read(root / path, as_version=4)
    return filled(nbformat.read(root / of, as_version=4), (root / path).with_suffix(".md"))


def filled(made: NotebookNode, text: Path) -> NotebookNode:
    """A template with a text in its places.

    Raises:
        SystemExit: the text has no title.
    """
    title, _, rest = text.read_text().partition("\n")
    if not title.startswith("# "):
        raise SystemExit(f"{text}: its first line is {title!r}; expected its title, `# …`.")
    opening, start, sections = rest.partition("\n## ")
    pieces = {"title": title, "opening": opening, "sections": start + sections}
    found: list[NotebookNode] = []
    for cell in made.cells:
        place = next((name for name in pieces if name in cell.metadata.get("tags", [])), None)
        found += cells(pieces[place], place) if place else [cell]
    made.cells = found
    return with_values(made, {"dataset": text.stem})


def with_values(made: NotebookNode, given: Mapping[str, Any]) -> NotebookNode:
    """A notebook whose cell of parameters has these values; types and comments stay."""
    for cell in made.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for name, value in given.items():
                text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
                line = re.compile(rf"^({name}\b.*? = ).*?(?=  #|$)", re.MULTILINE)
                cell.source = line.sub(lambda found: found[1] + text, cell.source)  # noqa: B023
    return made


def cells(text: str, name: str) -> list[NotebookNode]:
    """Markdown as cells, in order; its `{code-cell}`s are code, with their tags."""
    found = read_myst_markdown_notebook(text).cells if text.strip() else []
    for number, cell in enumerate(found):
        cell.id = f"{name}-{number}"  # the same in each build
    return found


def without_holes(found: list[NotebookNode]) -> list[NotebookNode]:
    """Cells of an executed notebook but those groups of `OPTIONAL` ones, side by side, whose code shows nothing.

    A heading begins another group.
    """
    groups: list[list[NotebookNode]] = []
    for cell in found:
        optional = OPTIONAL in cell.metadata.get("tags", [])
        if optional and groups and OPTIONAL in groups[-1][0].metadata.get("tags", []) and cell.source[:3] != "## ":
            groups[-1].append(cell)
        else:
            groups.append([cell])
    shown = [g for g in groups if OPTIONAL not in g[0].metadata.get("tags", []) or any(c.get("outputs") for c in g)]
    return [cell for group in shown for cell in group]
