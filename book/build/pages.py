"""Lay out what the book is made of, and make the site of it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import execute
import launch
import slim
import stamp
import templates
import yaml
from stamp import Page

HERE = Path(__file__).resolve().parent
PARTS = ("chapters", "theme")  # of the book that pages are made of
STATUS = """# Status

Written by the build: what each notebook ran with, what it took, and when. A notebook that fails leaves no book, so none
is listed as failed. The command that makes a page again stands at the end of that page.

{ran} of {pages} notebooks have run; together they took {total}.

```{{container}} kd-status
| notebook | result | parameters | duration | peak memory | date | commit |
|---|---|---|---|---|---|---|
{rows}
```
"""


def assemble(root: Path, executed: Path, book: Path, pages: list[Page]) -> None:
    """Lay prose, settings and marked copies of the executed notebooks out as in the repository, and the status page."""
    shutil.rmtree(book, ignore_errors=True)
    for part in PARTS:
        shutil.copytree(root / "book" / part, book / "book" / part)
    (book / "book" / "chapters" / "status.md").write_text(status(pages))
    (book / "_toc.yml").write_text(yaml.safe_dump(with_status(yaml.safe_load((root / "_toc.yml").read_text()))))
    config = launch.configured(yaml.safe_load((root / "_config.yml").read_text()) or {})
    config |= {"only_build_toc_files": True, "execute": {**config.get("execute", {}), "execute_notebooks": "off"}}
    config.setdefault("sphinx", {}).setdefault("local_extensions", {})["offline"] = str(HERE.parent / "theme" / "_ext")
    (book / "_config.yml").write_text(yaml.safe_dump(config))
    for each in pages:
        (book / each.path).parent.mkdir(parents=True, exist_ok=True)
        source = executed / each.path if each.stamp else templates.source(root, each.path)
        shutil.copyfile(source, book / each.path)
        stamp.mark(book / each.path, each)


def with_status(toc: dict[str, Any]) -> dict[str, Any]:
    """The table of contents with the status page: at the end of the part Reference, or of the last part."""
    parts = toc.get("parts") or [toc]
    part = next((part for part in parts if part.get("caption") == "Reference"), parts[-1])
    part.setdefault("chapters", []).append({"file": "book/chapters/status"})
    return toc


def render(root: Path, book: Path, site: Path) -> int:
    """Build the pages, warnings as errors; the site is replaced only by one that built."""
    output = book / "_build" / "html"
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["build", str(book), "--all", "-W", "--keep-going", "--quiet"]
    code = subprocess.run([*jupyter_book, *options], check=False, stdout=subprocess.DEVNULL).returncode
    if code == 0:
        launch.offer(output, root)
        slim.site(output)
        shutil.rmtree(site, ignore_errors=True)
        site.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(output, site)
    return code


def status(pages: list[Page]) -> str:
    """The status page: every notebook with its parameters, cost, result, date and commit."""
    rows = []
    for page in pages:
        cells = [f"[{page.name}](/{page.path.as_posix()})", page.state]
        if page.stamp:
            given = ", ".join(f"`{name} = {execute.literal(value)}`" for name, value in page.given.items())
            cells += [
                given or "as they stand",
                stamp.duration(page.stamp["seconds"]),
                stamp.memory(page.stamp["peak_bytes"]),
            ]
            cells += [page.stamp["date"], stamp.commit(page.stamp)]
        rows.append("| " + " | ".join(cells + ["–"] * (7 - len(cells))) + " |")
    ran = [page.stamp for page in pages if page.stamp]
    total = stamp.duration(sum(each["seconds"] for each in ran))
    return STATUS.format(ran=len(ran), pages=len(pages), total=total, rows="\n".join(rows))
