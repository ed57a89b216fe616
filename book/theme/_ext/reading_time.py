"""Sphinx extension: each page says how long it takes to read, by 200 words or 10 lines of visible code per minute."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def tell(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write it after what the page presupposes; code that a reader has to open is not counted."""
    code = doctree.findall(lambda node: node.parent and node.parent.get("nb_element") == "cell_code")
    lines = sum(len(cell.astext().splitlines()) for cell in code if cell.get("nb_element") == "cell_code_source")
    minutes = max(1, round(app.env.metadata[page]["wordcount"]["words"] / 200 + lines / 10))
    for strong in [*doctree.findall(nodes.strong)]:
        if strong.astext() == "Prerequisites":
            strong.parent += [nodes.Text(" "), nodes.strong("", "Reading time"), nodes.Text(f": {minutes} min.")]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-resolved", tell)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
