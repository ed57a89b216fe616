"""The book's build: what it refuses, what it reports, what it runs again, what it shows. Tiny notebooks of its own."""

import json
from pathlib import Path
from typing import Any

import build
import execute
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

PARAMETERS = 'profile: str = "laptop"  # how much work\nseed: int = 0  # of the cloner'


def write(path: Path, *sources: str, tag: str = "parameters") -> None:
    """A notebook whose first cell has the tag."""
    cells = [new_code_cell(source) for source in sources]
    cells[0].metadata["tags"] = [tag]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def test_the_lock_holds_every_direct_dependency_and_no_address() -> None:
    direct = [line.split("#")[0].strip() for line in (build.ROOT / "requirements.txt").read_text().splitlines()]
    locked = [line.split(";")[0].strip() for line in (build.ROOT / "requirements.lock").read_text().splitlines()]
    assert {pin for pin in direct if pin} <= set(locked), "run make lock"
    assert not [line for line in locked if "://" in line or "@" in line]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two notebooks, `first` and `second`, that leave a trace of every run."""
    for name in ("KDLIB_WORK", "KDLIB_PROGRESS", "JUPYTER_PATH", "IPYTHONDIR"):
        monkeypatch.setenv(name, "")  # the build sets them; pytest restores them
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "intro.md").write_text("# Intro\n")
    (tmp_path / "_config.yml").write_text("title: Test\n")
    chapters = "".join(f"  - file: notebooks/{name}\n" for name in ("first", "second"))
    (tmp_path / "_toc.yml").write_text(f"format: jb-book\nroot: book/intro\nchapters:\n{chapters}")
    for name in ("first", "second"):
        trace = f"with open({str(tmp_path / 'ran')!r}, 'a') as trace:\n    print({name!r}, profile, seed, file=trace)"
        write(tmp_path / "notebooks" / f"{name}.ipynb", PARAMETERS, trace)
    return tmp_path


def ran(project: Path) -> list[str]:
    """What ran since the last call."""
    trace = project / "ran"
    lines = trace.read_text().splitlines() if trace.exists() else []
    trace.unlink(missing_ok=True)
    return lines


def refresh(project: Path, **given: Any) -> list[str]:
    chosen = build.check(project, build.listed(project), given, "smoke")
    execute.install_kernel(project / "work")
    library = build.library_digest(project, project / "results")
    return build.refresh(project, project / "work" / "book" / "smoke", chosen, library, timeout=60)


def test_an_unknown_parameter_is_refused_before_anything_runs(project: Path) -> None:
    write(project / "notebooks" / "second.ipynb", "size: int = 3  # of an image")
    with pytest.raises(SystemExit, match=r"second\.ipynb: unknown parameter seed; it knows size") as refused:
        build.main(["--profile", "smoke", "-p", "seed", "1"], root=project)
    assert refused.value.code != 0
    assert ran(project) == []


def test_a_notebook_without_parameters_cell_is_refused(project: Path) -> None:
    write(project / "notebooks" / "second.ipynb", PARAMETERS, tag="settings")
    with pytest.raises(SystemExit, match=r"second\.ipynb: no cell tagged `parameters`"):
        build.main(["--profile", "smoke"], root=project)
    assert ran(project) == []


def test_a_glob_that_names_no_notebook_is_refused(project: Path) -> None:
    with pytest.raises(SystemExit, match=r"--only third: no such notebook .*first\.ipynb"):
        build.main(["--only", "third"], root=project)


def test_the_profile_goes_only_to_notebooks_that_declare_it(project: Path) -> None:
    write(project / "notebooks" / "second.ipynb", "seed: int = 0  # of the cloner")
    chosen = build.check(project, build.listed(project), {"seed": 1}, "smoke")
    assert list(chosen.values()) == [{"profile": "smoke", "seed": 1}, {"seed": 1}]


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("1e-3", 1e-3), ("None", None), ("smoke", "smoke"), ("('a', 'b')", ("a", "b"))]
)
def test_values_from_the_command_line(text: str, value: object) -> None:
    assert build.parsed(text) == value


def test_shown_parameters_have_the_values_of_the_run_and_keep_their_comments() -> None:
    cell = '# How much.\na: str = "x"  # é\nb: tuple[str, ...] = (\n    "p",\n    "q",\n)  # points\nc = 1'
    shown = execute.with_values(cell, {"a": "ü", "b": ("r",)})
    assert shown == "# How much.\na: str = \"ü\"  # é\nb: tuple[str, ...] = ('r',)  # points\nc = 1"


@pytest.mark.slow
def test_a_failing_notebook_fails_the_build_names_its_cell_and_lets_the_others_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "notebooks" / "first.ipynb", PARAMETERS, "fine = 1", "fine / 0")
    assert build.main(["--profile", "smoke"], root=project) == 1
    said = capsys.readouterr().err
    assert "notebooks/first.ipynb, cell 3 of 3 (`fine / 0`): ZeroDivisionError: division by zero" in said
    assert ran(project) == ["second smoke 0"]
    assert not (project / "work" / "site").exists()
    assert not (project / "work" / "book" / "smoke" / "notebooks" / "first.ipynb").exists()


@pytest.mark.slow
def test_a_cell_that_takes_too_long_or_kills_its_kernel_is_named(project: Path) -> None:
    write(project / "notebooks" / "slow.ipynb", PARAMETERS, "import time; time.sleep(60)")
    write(project / "notebooks" / "dead.ipynb", PARAMETERS, "import os; os._exit(1)")
    execute.install_kernel(project / "work")
    problem, _ = execute.run(project / "notebooks" / "slow.ipynb", project / "work" / "slow.ipynb", {}, timeout=2)
    assert problem.startswith("cell 2 of 2 (`import time; time.sleep(60)`)")
    problem, _ = execute.run(project / "notebooks" / "dead.ipynb", project / "work" / "dead.ipynb", {}, timeout=60)
    assert problem.startswith("cell 2 of 2 (`import os; os._exit(1)`)")


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

    refresh(project, seed=1)
    assert ran(project) == ["first smoke 1", "second smoke 1"]

    (project / "kdlib").mkdir()
    (project / "kdlib" / "new.py").write_text("")
    refresh(project, seed=1)
    assert ran(project) == ["first smoke 1", "second smoke 1"]

    (project / "results" / "digits").mkdir(parents=True)
    (project / "results" / "digits" / "record.json").write_text("{}")
    refresh(project, seed=1)
    assert ran(project) == ["first smoke 1", "second smoke 1"]


@pytest.mark.slow
def test_the_copy_hides_the_default_parameters_and_its_stamp_has_the_cost(project: Path) -> None:
    refresh(project, seed=7)
    copy = project / "work" / "book" / "smoke" / "notebooks" / "first.ipynb"
    default, injected, *_ = nbformat.read(copy, as_version=4).cells
    assert "remove-cell" in default.metadata["tags"]
    assert injected.source == 'profile: str = "smoke"  # how much work\nseed: int = 7  # of the cloner'
    assert str(project) not in json.dumps([dict(default), dict(injected)])
    stamp = json.loads(copy.with_suffix(".json").read_text())
    assert 0 < stamp["seconds"] < 60
    assert 20 * 2**20 < stamp["peak_bytes"] < 2 * 2**30
