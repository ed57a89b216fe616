"""The book's build: what it refuses, what it reports, what it runs again, what it shows. Tiny notebooks of its own."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import build
import execute
import inputs
import nbformat
import pytest
import templates
import yaml
from bs4 import BeautifulSoup
from conftest import write_notebook as write

PARAMETERS = 'profile: str = "laptop"  # how much work\nseed: int = 0  # of the cloner'


def test_the_lock_holds_every_direct_dependency_and_no_address() -> None:
    direct = [line.split("#")[0].strip() for line in (build.ROOT / "requirements.txt").read_text().splitlines()]
    locked = [line.split(";")[0].strip() for line in (build.ROOT / "requirements.lock").read_text().splitlines()]
    assert {pin for pin in direct if pin} <= set(locked), "run make lock"
    assert not [line for line in locked if "://" in line or "@" in line]


@pytest.fixture
def project(tmp_path: Path, build_environment: None) -> Path:
    """A repository with two notebooks, `first` and `second`, that leave a trace of every run."""
    for folder in ("chapters", "theme"):
        (tmp_path / "book" / folder).mkdir(parents=True)
    (tmp_path / "book" / "chapters" / "intro.md").write_text("(first-words)=\n# Intro\n")
    (tmp_path / "_config.yml").write_text("title: Test\nexecute:\n  execute_notebooks: 'off'\n")
    chapters = "".join(f"  - file: notebooks/{name}\n" for name in ("first", "second"))
    (tmp_path / "_toc.yml").write_text(f"format: jb-book\nroot: book/chapters/intro\nchapters:\n{chapters}")
    for name in ("first", "second"):
        trace = f"with open({str(tmp_path / 'ran')!r}, 'a') as trace:\n    print({name!r}, profile, seed, file=trace)\n"
        trace += "'figure of the' + ' run'"
        write(tmp_path / "notebooks" / f"{name}.ipynb", PARAMETERS, trace)
    return tmp_path


def ran(project: Path) -> list[str]:
    """What ran since the last call, sorted: in smoke several run at once."""
    trace = project / "ran"
    lines = sorted(trace.read_text().splitlines()) if trace.exists() else []
    trace.unlink(missing_ok=True)
    return lines


def refresh(project: Path, **given: str) -> list[str]:
    chosen = build.check(project, build.listed(project), given, "smoke")
    execute.install_kernel(project / "work")
    return build.refresh(project, project / "work" / "executed" / "smoke", chosen, now(project), "smoke")


def now(project: Path) -> dict[Path, inputs.Inputs]:
    behind_all = inputs.shared(project)
    return {path: inputs.of(project, path, behind_all) for path in build.listed(project)}


def stale(project: Path, **given: str) -> list[str]:
    """The notebooks that `refresh` would execute."""
    found, executed = now(project), project / "work" / "executed" / "smoke"
    chosen = build.check(project, build.listed(project), given, "smoke")
    return [p.stem for p, values in chosen.items() if not build.page(executed, p, "smoke", found[p], values).current]


def book(project: Path, *options: str) -> int:
    return build.main(["--profile", "smoke", *options], root=project)


@pytest.mark.parametrize(
    ("source", "tag", "options", "said"),
    [
        ("size: int = 3  # of an image", "parameters", "-p seed 1", r"second\.ipynb: unknown parameter seed; .* size"),
        (PARAMETERS, "settings", "", r"second\.ipynb: no cell tagged `parameters`"),
        (PARAMETERS, "parameters", "--only third", r"--only third: no such notebook .*first\.ipynb"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(
    project: Path, source: str, tag: str, options: str, said: str
) -> None:
    write(project / "notebooks" / "second.ipynb", source, tag=tag)
    with pytest.raises(SystemExit, match=said):
        book(project, *options.split())
    assert ran(project) == []


def test_the_profile_goes_only_to_notebooks_that_declare_it(project: Path) -> None:
    write(project / "notebooks" / "second.ipynb", "seed: int = 0  # of the cloner")
    chosen = build.check(project, build.listed(project), {"seed": "1"}, "smoke")
    assert list(chosen.values()) == [{"profile": "smoke", "seed": 1}, {"seed": 1}]


def test_cells_that_measure_time_say_so() -> None:
    assert {*build.LONG} <= {path.stem for path in build.listed(build.ROOT)}
    for path in build.listed(build.ROOT):
        for cell in templates.notebook(build.ROOT, path).cells:
            takes = re.search(r"perf_counter\(|monotonic\(|\btimed\(|explorer\.measure\(", cell.source)
            assert (execute.ALONE in cell.metadata.get("tags", [])) == bool(takes), f"{path}: {cell.source}"


@pytest.mark.slow
def test_a_failing_notebook_fails_the_build_names_its_cell_and_lets_the_others_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "notebooks" / "first.ipynb", PARAMETERS, "fine = 1", "fine / 0")
    assert build.main(["--profile", "smoke"], root=project) == 1
    said = capsys.readouterr().err
    assert "notebooks/first.ipynb, cell 4 of 4 (`fine / 0`): ZeroDivisionError: division by zero" in said
    assert ran(project) == ["second smoke 0"]
    assert not (project / "work" / "site").exists()
    assert not (project / "work" / "executed" / "smoke" / "notebooks" / "first.ipynb").exists()


@pytest.mark.slow
def test_a_cell_that_takes_too_long_or_kills_its_kernel_is_named(project: Path) -> None:
    execute.install_kernel(project / "work")
    for code, timeout in (("import time; time.sleep(60)", 2), ("import os; os._exit(1)", 60)):
        notebook = nbformat.read(write(project / "notebooks" / "other.ipynb", PARAMETERS, code), as_version=4)
        run = execute.run(notebook, project / "work" / "other.ipynb", timeout)
        assert run.problem.startswith(f"cell 3 of 3 (`{code}`)")


@pytest.mark.slow
def test_only_stale_notebooks_run_again(project: Path) -> None:
    assert refresh(project) == []
    assert ran(project) == ["first smoke 0", "second smoke 0"]
    assert refresh(project) == []
    assert ran(project) == []

    source = project / "notebooks" / "second.ipynb"
    source.write_text(source.read_text().replace("of the cloner", "of the small network"))
    refresh(project)
    assert ran(project) == ["second smoke 0"]

    refresh(project, seed="1")
    assert ran(project) == ["first smoke 1", "second smoke 1"]

    assert stale(project, seed="1") == []
    for file in (
        *("kdlib/data/a.toml", "kdlab/records.py", "book/figures/a.html", "kdlab/published.csv", "requirements.lock"),
        *("results/mnist/a.json", "results/mnist/a.npz", "benchmarks/a.jsonl", "data/head_ct/yes/a.png"),
    ):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        assert stale(project, seed="1") == []
        (project / file).write_text("")
        assert stale(project, seed="1") == ["first", "second"], file
        (project / file).unlink()


@pytest.mark.slow
def test_a_page_older_than_its_sources_is_never_shown(project: Path) -> None:
    """One book through its life: with one page, whole, old, with one page made again."""
    site = project / "work" / "site" / "smoke"
    shown = site / "notebooks"
    assert book(project, "--only", "second") == 0
    assert ran(project) == ["second smoke 0"]
    assert "This page was not run" in (shown / "first.html").read_text()
    assert book(project) == 0
    assert ran(project) == ["first smoke 0"]
    intro = (site / "book" / "chapters" / "intro.html").read_text()
    assert "Title" in (first := (shown / "first.html").read_text())
    assert "This page ran in profile" in first
    assert "figure of the run" in first
    assert "python book/build/build.py --profile smoke --only first" in BeautifulSoup(first, "html.parser").get_text()

    source = project / "notebooks" / "first.ipynb"
    source.write_text(source.read_text().replace("Title", "New title"))
    assert book(project, "--only", "second", "-p", "seed", "1") == 0
    assert ran(project) == ["second smoke 1"]
    again = (site / "book" / "chapters" / "intro.html").read_text().replace("New title", "Title")
    assert again == intro, "the same sources give the same page"
    bare = (shown / "first.html").read_text()
    assert "This page was not run" in bare
    assert "New title" in bare
    assert "figure of the run" not in bare, "outputs of an old run are not shown"
    assert "seed = 1" in BeautifulSoup((shown / "second.html").read_text(), "html.parser").get_text()


@pytest.mark.slow
def test_pages_run_on_one_thread_and_alone_while_they_measure_time(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the caller's folder, so that relative paths in parameters are his; on sockets, as ports may be taken twice.

    The copy has the parameters of the run; its stamp has the cost.
    """
    start = "import time\nfrom pathlib import Path\nticks, end = Path('ticks'), Path('end')"
    asked = "os.environ['OMP_NUM_THREADS'], os.getcwd(), 'ipc' in ipykernel.get_connection_info()"
    tick = "while not end.exists():\n    ticks.open('a').write(f'{time.monotonic()}\\n')\n    time.sleep(0.02)"
    wait = "while not ticks.exists():\n    time.sleep(0.02)"
    measure = "begin = time.monotonic()\ntime.sleep(2)\nprint(begin, time.monotonic())"
    ask = f"time.sleep(1)\nend.touch()\nimport ipykernel, os; print({asked})"
    notebook = nbformat.read(write(project / "notebooks" / "first.ipynb", PARAMETERS, start, wait, measure, ask), 4)
    notebook.cells[-2].metadata["tags"] = [execute.ALONE]
    nbformat.write(notebook, project / "notebooks" / "first.ipynb")
    write(project / "notebooks" / "second.ipynb", PARAMETERS, start, tick)
    monkeypatch.chdir(project)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert refresh(project, seed="7") == []
    copy = project / "work" / "executed" / "smoke" / "notebooks" / "first.ipynb"
    _, parameters, *_, measured, code = nbformat.read(copy, as_version=4).cells
    begin, end = map(float, measured.outputs[0].text.split())
    ticks = [float(tick) for tick in (project / "ticks").read_text().splitlines()]
    assert not [tick for tick in ticks if begin < tick < end]
    assert min(ticks) < begin < end < max(ticks)
    assert code.outputs[0].text.strip() == f"1 {project} True"
    assert parameters.source == 'profile: str = "smoke"  # how much work\nseed: int = 7  # of the cloner'
    stamp = json.loads(copy.with_suffix(".json").read_text())
    assert 0 < stamp["seconds"] < 60
    assert 20 < int(re.findall(r"peak memory (\d+) MiB", stamp["facts"]["made"])[0]) < 2048
    assert stamp["given"] == {"profile": "smoke", "seed": 7}
    assert stamp["facts"]["parameters"] == '`profile = "smoke"`, `seed = 7`'


@pytest.mark.slow
def test_a_page_s_buttons_lead_to_its_notebook(project: Path) -> None:
    """Where it is made from a template, a host has only that; what is downloaded has no outputs."""
    (project / "notebooks" / "pages.yml").write_text("second: first\n")
    (project / "notebooks" / "second.ipynb").rename(project / "notebooks" / "second.md").write_text("# Second\n")
    address, hub = "https://github.com/someone/somewhere", "https://hub.example"
    published: dict[str, object] = {
        "repository": {"url": address, "branch": "main"},
        "launch_buttons": {"binderhub_url": hub},
    }
    published["html"] = {"use_repository_button": True}
    with (project / "_config.yml").open("a") as config:
        yaml.safe_dump(published, config)
    assert book(project) == 0
    shown = project / "work" / "site" / "smoke" / "notebooks"
    for name in ("first", "second"):
        html = BeautifulSoup((shown / f"{name}.html").read_text(), "html.parser")
        found = {str(link["href"]) for link in html.select(".article-header-buttons a[href^=http]")}
        assert found == {address, f"{hub}/v2/gh/someone/somewhere/main?urlpath=tree/notebooks/first.ipynb"}
        (button,) = html.select("a.btn-download-source-button")
        source = templates.notebook(project, Path("notebooks") / f"{name}.ipynb")
        assert nbformat.read(shown / str(button["href"]), as_version=4) == source


def test_binder_starts_with_the_records_of_the_repository(tmp_path: Path) -> None:
    """As far as it goes without a network: what is named exists, the scripts are programs, the versions are locked."""
    folder = build.ROOT / ".binder"
    assert (folder / "runtime.txt").read_text() == "python-3.11\n"
    for script in ("postBuild", "start"):
        assert (folder / script).stat().st_mode & 0o111, f"{script} cannot be executed"
        subprocess.run(["bash", "-n", folder / script], check=True)
    named = re.findall(r"requirements\.\w+", (folder / "postBuild").read_text())
    assert named
    assert all((build.ROOT / name).is_file() for name in named)
    shutil.copytree(folder, tmp_path / ".binder")
    show = "import os, sys; print(*(os.environ['KDLIB_' + name] for name in sys.argv[1:]))"
    command = [str(tmp_path / ".binder" / "start"), sys.executable, "-c", show, "RESULTS", "WORK", "DATA"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(tmp_path / name) for name in ("results", "work", "data")]
