"""Notebooks away from the book: launched on Binder or Colab from the repository in `_config.yml`, or downloaded.

    python book/build/launch.py    # after a change there: write its address into every notebook

There the first code cell installs kdlib. Where kdlib can be imported it does nothing, so no page depends on it: it is
no part of what is linted, of what makes a page old, or of what a reader of the page sees.
"""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import templates
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[2]
TAG = "install"
DOWNLOAD = re.compile(r'(?<=<a )href="[^"]*_sources/([^"]+\.ipynb)" target="_blank"')  # of the theme's button
HOSTED = re.compile(r'(?<=<a )href="https?://[^"]*"')  # buttons that open a notebook elsewhere
UNKNOWN = """\
import importlib.util

if importlib.util.find_spec("kdlib") is None:
    raise ModuleNotFoundError(
        "kdlib is not installed: run `pip install .` in the folder of its repository"
    )"""
INSTALL = """\
# Where kdlib is missing, as on Colab: the library, and with the repository its records.
import importlib.util
import os

if importlib.util.find_spec("kdlib") is None:
    !git clone --quiet --depth 1 --branch {branch} {url} kdlib-book
    %pip install --quiet ./kdlib-book
if os.path.isdir("kdlib-book"):  # after a restart, too
    %cd -q kdlib-book"""


def repository(config: dict[str, Any]) -> tuple[str, str]:
    """Address and branch or tag of the book's repository as `_config.yml` says; the address is "" where it says none.

    Raises:
        SystemExit: they are nothing that git could clone, or more than that: they become part of a command.
    """
    found = config.get("repository") or {}
    url, branch = found.get("url") or "", found.get("branch") or "main"
    if url and not re.fullmatch(r"(https|file)://[\w.~@:/+-]+", url):
        raise SystemExit(f"_config.yml, repository: {url!r} is not of the form https://host/owner/name.")
    if not re.fullmatch(r"\w[\w./-]*", branch):
        raise SystemExit(f"_config.yml, repository: {branch!r} is no name of a branch or a tag.")
    return url.rstrip("/").removesuffix(".git"), branch


def install_cell(url: str, branch: str) -> str:
    """Source of the cell; without an address it says what to do."""
    return INSTALL.format(url=url, branch=branch) if url else UNKNOWN


def installs(cell: NotebookNode) -> bool:
    return TAG in cell.metadata.get("tags", [])


def own_cells(path: Path) -> list[NotebookNode]:
    """The cells of a notebook, without this one."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if not installs(cell)]


def notebooks(root: Path) -> list[Path]:
    """All of the repository, in or out of the book."""
    return [path for path in sorted(root.glob("notebooks/**/*.ipynb")) if ".ipynb_checkpoints" not in path.parts]


def write(path: Path, source: str) -> None:
    """Put the cell before the first code cell, in place of the one that is there; the page leaves it out."""
    notebook, before = nbformat.read(path, as_version=4), path.read_text()
    notebook.cells = own_cells(path)
    place = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), len(notebook.cells))
    notebook.cells.insert(place, new_code_cell(source, id=TAG, metadata={"tags": [TAG, "remove-cell"]}))
    if (after := nbformat.writes(notebook) + "\n") != before:
        path.write_text(after)


def configured(config: dict[str, Any]) -> dict[str, Any]:
    """Settings of the book with the buttons that lead to its repository, or without any where it has no address."""
    url, branch = repository(config)
    buttons = dict(config.get("launch_buttons") or {}) if url else {}
    if not url.startswith("https://github.com/"):
        buttons.pop("colab_url", None)  # Colab opens no other host's notebooks
    html = {**config.get("html", {}), "use_repository_button": bool(url)}
    return config | {"repository": {"url": url, "branch": branch}, "launch_buttons": buttons, "html": html}


def offer(site: Path, root: Path) -> None:
    """Put each notebook, as it is in the repository, into the download button of its page.

    Pages on a disk may not download their neighbours: browsers show such a file instead.
    """

    def whole(found: re.Match[str]) -> str:
        notebook = templates.source(root, Path(found[1]))
        content = base64.b64encode(notebook.read_bytes()).decode()
        return f'href="data:application/x-ipynb+json;base64,{content}" download="{notebook.name}"'

    for page in site.glob("notebooks/**/*.html"):
        text, path = page.read_text(), page.relative_to(site).with_suffix(".ipynb")
        if template := templates.template(root, path):  # a host knows the repository's notebooks only
            old, new = path.as_posix(), template.as_posix()
            text = HOSTED.sub(lambda found: found[0].replace(old, new), text)  # noqa: B023
        page.write_text(DOWNLOAD.sub(whole, text))


def main(root: Path = ROOT) -> None:
    url, branch = repository(yaml.safe_load((root / "_config.yml").read_text()))
    for path in notebooks(root):
        write(path, install_cell(url, branch))
    print(f"The notebooks install kdlib from {url}, {branch}." if url else "The notebooks name no repository.")


if __name__ == "__main__":
    main()
