"""Sphinx extension: the pages work without network, from the file system, and with a screen reader.

MathJax and the widget manager are copied from installed packages (`sphinx-mathjax-offline`, `widgetsnbextension`)
instead of being loaded from a CDN. `widgets.js` beside this file drives the widget manager without a kernel.
"""

import importlib.util
import inspect
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

HERE = Path(__file__).parent
# The search reads the page of each result for an excerpt, which no browser allows on disk: titles alone there.
SEARCH = "if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"


def package_file(package: str, path: str) -> Path:
    """A file that an installed package carries; the package is never imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None or not (found := Path(spec.origin).parent / path).exists():
        raise FileNotFoundError(f"{package} is not installed or has no {path}; run `make` to install requirements.lock")
    return found


def copy(app: Sphinx) -> None:
    """Put the scripts into `_static/offline/` before the pages that name them are written."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "offline"
    target.mkdir(parents=True, exist_ok=True)
    mathjax = package_file("sphinx-mathjax-offline", "static/mathjax")
    shutil.copy(mathjax / "tex-svg.js", target)  # glyphs as paths: a page on disk needs no web font
    shutil.copytree(mathjax / "input/tex/extensions", target / "input/tex/extensions", dirs_exist_ok=True)
    shutil.copy(package_file("widgetsnbextension", "static/extension.js"), target / "jupyter-widgets.js")
    shutil.copy(HERE / "widgets.js", target)


def name_entries(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """An entry of the references is an item of their list; docutils gives it a role that ARIA 1.2 has given up."""
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')


def show_settings(app: Sphinx, what: str, name: str, found: Any, options: object, lines: list[str]) -> None:
    """A recipe in the API page as its code has it: the settings, and the reason beside each."""
    if name == "kdlib.Recipe":
        settings = inspect.getsource(found).split("\n\n")[1]
        lines += ["", ".. code-block:: python", "", *(f"    {line.strip()}" for line in settings.splitlines())]


def setup(app: Sphinx) -> dict[str, Any]:
    app.config.mathjax_path = "offline/tex-svg.js"
    app.config.nb_ipywidgets_js = {"offline/widgets.js": {"defer": "defer"}}  # on pages with widgets only
    app.config.html_context = {"default_mode": "auto", **app.config.html_context}  # unset, the theme logs an error
    app.add_js_file(None, body=SEARCH)
    app.connect("builder-inited", copy)
    app.connect("html-page-context", name_entries)
    app.connect("autodoc-process-docstring", show_settings)
    for listeners in app.events.listeners.values():  # jupyter-book always loads thebe, from a CDN
        listeners[:] = [each for each in listeners if getattr(each.handler, "__name__", "") != "init_thebe_core"]
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
