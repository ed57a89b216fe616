"""Lay out what the book is made of, and make the site of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import launch
import stamp
import templates
import yaml
from stamp import Page

# What no page loads: maps for debuggers, fonts that browsers take only where they do not know woff2, sources of the
# theme's translations, executed notebooks: those to download are in the pages.
UNUSED = "**/*.map", "_static/vendor/**/*.ttf", "_static/locales", "**/*webpack-macros.html", "_sources/**/*.ipynb"


def assemble(root: Path, executed: Path, book: Path, pages: list[Page]) -> None:
    """Lay prose, settings and marked copies of the executed notebooks out as in the repository."""
    shutil.rmtree(book, ignore_errors=True)
    for part in ("chapters", "theme"):
        shutil.copytree(root / "book" / part, book / "book" / part)
    shutil.copy(root / "_toc.yml", book)
    config = launch.configured(yaml.safe_load((root / "_config.yml").read_text()))
    (book / "_config.yml").write_text(yaml.safe_dump(config))
    for each in pages:
        (book / each.path).parent.mkdir(parents=True, exist_ok=True)
        source = executed / each.path if each.stamp else templates.source(root, each.path)
        shutil.copyfile(source, book / each.path)
        stamp.mark(book / each.path, each)


def render(root: Path, book: Path, site: Path) -> int:
    """Build the pages, warnings as errors; the site is replaced only by one that built."""
    output = book / "_build" / "html"
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["build", str(book), "--all", "-W", "--keep-going", "--quiet"]
    code = subprocess.run([*jupyter_book, *options], check=False, stdout=subprocess.DEVNULL).returncode
    if code == 0:
        launch.offer(output, root)
        for path in [path for pattern in UNUSED for path in output.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(site, ignore_errors=True)
        site.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(output, site)
    return code
