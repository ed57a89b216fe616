"""Notebooks away from the book: the cell that installs kdlib, the buttons that lead there, what Binder needs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import build
import launch
import lint
import nbformat
import papermill
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import write_notebook
from inputs import Inputs
from IPython.core.inputtransformer2 import TransformerManager
from playwright.sync_api import Browser

ROOT = launch.ROOT
URL = "https://github.com/someone/somewhere"
BUTTONS = {"binderhub_url": "https://hub.example", "colab_url": "https://colab.example"}


def config(url: str = URL, **more: Any) -> dict[str, Any]:
    return {"repository": {"url": url, "branch": "main"}, "launch_buttons": BUTTONS, **more}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    parameters = "seed: int = 0  # of the cloner"
    return write_notebook(tmp_path / "notebooks" / "page.ipynb", parameters, "print(seed)")


def test_the_cell_stands_once_before_the_parameters_and_follows_the_address(notebook: Path) -> None:
    own = launch.own_cells(notebook)
    root = notebook.parent.parent
    for url in ("", URL, f"{URL}2", URL):
        (root / "_config.yml").write_text(yaml.safe_dump(config(url)))
        launch.main(root)
        cells = nbformat.read(notebook, as_version=4).cells
        assert [launch.installs(cell) for cell in cells] == [False, True, False, False]
        assert cells[1].source == launch.install_cell(url, "main")
        assert launch.own_cells(notebook) == own
    written = notebook.stat().st_mtime_ns
    launch.write(notebook, launch.install_cell(URL, "main"))
    assert notebook.stat().st_mtime_ns == written, "what is right is left alone"
    assert "seed" in papermill.inspect_notebook(notebook)
    for source in (launch.install_cell(URL, "v1.0"), launch.install_cell("", "main")):
        compile(TransformerManager().transform_cell(source), "cell", "exec")
    assert f"--branch v1.0 {URL} kdlib-book" in launch.install_cell(URL, "v1.0")


@pytest.mark.parametrize("url", ["git@github.com:a/b", "http://github.com/a/b", f"{URL}; ls", f"{URL} $(ls)", "a/b"])
def test_an_address_that_is_none_or_more_is_refused(url: str) -> None:
    with pytest.raises(SystemExit, match="not of the form https://host/owner/name"):
        launch.repository(config(url))
    with pytest.raises(SystemExit, match="no name of a branch"):
        launch.repository({"repository": {"url": URL, "branch": "main; ls"}})
    for written in (URL, f"{URL}/", f"{URL}.git"):
        assert launch.repository(config(written)) == (URL, "main")


def test_no_page_depends_on_the_cell(notebook: Path) -> None:
    """It is no part of what makes a page old, nor of what is linted: it does nothing where a book is made."""
    root, page = notebook.parent.parent, notebook.relative_to(notebook.parent.parent)
    sources = Inputs(root, root / "results")
    before = sources.of(page, ())
    for url in (f"{URL}/results", ""):  # an address that sounds like one of records is no sign that they are read
        launch.write(notebook, launch.install_cell(url, "main"))
        assert sources.of(page, ()) == before
        assert [text.text for text in lint.prose(root)] == ["Title", "Text.", "of the cloner"]
    changed = nbformat.read(notebook, as_version=4)
    changed.cells[-1].source += "\nseed"
    nbformat.write(changed, notebook)
    assert sources.of(page, ()) != before


def test_buttons_only_where_there_is_an_address() -> None:
    there = launch.configured(config(title="Kept"))
    assert there["launch_buttons"] == BUTTONS
    assert there["html"]["use_repository_button"] is True
    assert (there["repository"]["url"], there["title"]) == (URL, "Kept")
    other = launch.configured(config("https://gitlab.com/a/b"))
    assert set(other["launch_buttons"]) == {"binderhub_url"}, "Colab opens notebooks of GitHub only"
    for none in (launch.configured(config("")), launch.configured({})):
        assert none["launch_buttons"] == {}
        assert none["html"]["use_repository_button"] is False
        assert none["repository"]["url"] == ""


@pytest.mark.slow
def test_a_page_s_buttons_lead_to_its_notebook(notebook: Path, browser: Browser, build_environment: None) -> None:
    root = notebook.parent.parent
    shutil.copytree(ROOT / "book" / "theme", root / "book" / "theme")
    shutil.copytree(ROOT / "book" / "chapters", root / "book" / "chapters", ignore=shutil.ignore_patterns("*.md"))
    (root / "book" / "chapters" / "intro.md").write_text("# Intro\n")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/chapters/intro\nchapters:\n  - file: notebooks/page\n")
    settings = yaml.safe_load((ROOT / "_config.yml").read_text()) | config()  # the book's own
    (root / "_config.yml").write_text(yaml.safe_dump(settings))
    launch.main(root)
    assert build.main(["--profile", "smoke"], root=root) == 0
    site = root / "work" / "site" / "smoke"
    html = BeautifulSoup((site / "notebooks" / "page.html").read_text(), "html.parser")
    assert {str(link["href"]) for link in html.select(".article-header-buttons a[href^=http]")} == {
        URL,
        "https://hub.example/v2/gh/someone/somewhere/main?urlpath=tree/notebooks/page.ipynb",
        "https://colab.example/github/someone/somewhere/blob/main/notebooks/page.ipynb",
    }
    assert "find_spec" not in html.get_text(), "a reader of the page installs nothing"
    assert not list(site.glob("_sources/**/*.ipynb"))
    tab = browser.new_page()
    try:
        tab.goto((site / "notebooks" / "page.html").as_uri())
        tab.get_by_label("Download this page").click()
        with tab.expect_download() as offered:
            tab.locator("a.btn-download-source-button").click()
        assert offered.value.suggested_filename == "page.ipynb"
        assert offered.value.path().read_bytes() == notebook.read_bytes()
    finally:
        tab.close()


def test_binder_starts_with_the_records_of_the_repository(tmp_path: Path) -> None:
    """As far as it goes without a network: what is named exists, the scripts are programs, the versions are locked."""
    folder = ROOT / ".binder"
    assert (folder / "runtime.txt").read_text() == "python-3.11\n"
    for script in ("postBuild", "start"):
        assert (folder / script).stat().st_mode & 0o111, f"{script} cannot be executed"
        subprocess.run(["bash", "-n", folder / script], check=True)
    named = re.findall(r"requirements\.\w+", (folder / "postBuild").read_text())
    assert named
    assert all((ROOT / name).is_file() for name in named)
    shutil.copytree(folder, tmp_path / ".binder")
    show = "import os, sys; print(*(os.environ['KDLIB_' + name] for name in sys.argv[1:]))"
    command = [str(tmp_path / ".binder" / "start"), sys.executable, "-c", show, "RESULTS", "WORK", "DATA"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(tmp_path / name) for name in ("results", "work", "data")]
