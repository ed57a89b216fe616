"""What the tests share: folders of their own, the real source, a few digits, a detector that is fitted in a second."""

import json
import os
import pickle
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pdf
import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import Browser, sync_playwright
from sphinx_external_toc.parsing import parse_toc_yaml
from torch import Tensor

import kdlab.__main__
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import SCHEMA, Record, digest
from kdlab.studies.sentences import COLUMNS
from kdlib import Detector, Recipe, Split, load, weights
from kdlib.networks import Source

settings.register_profile("kdlib", deadline=None)  # how long an example takes is no test of ours
settings.load_profile("kdlib")
ROOT = Path(__file__).parent.parent
PAGES = [*map(str, parse_toc_yaml(ROOT / "_toc.yml"))]  # of the book, in order
WORK = ROOT / "work" / "test"  # kept: a second run executes only what is stale
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # processes that share the tests
if WORKERS > 1:
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // WORKERS))  # of what tests start
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # the same here: sums depend on it in the last digit
METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}  # of notebooks
TINY = Recipe(size=32, epochs=2, batch_size=16, precision="fp32")


Both = tuple[np.ndarray, np.ndarray]
Write = Callable[..., None]
T = TypeVar("T")


def known(value: T | None) -> T:
    """What is there: labels of a test set, levels, a metric."""
    assert value is not None
    return value


def write_notebook(path: Path, *sources: str, tag: str = "parameters") -> Path:
    """A notebook with a title, a text and code cells, the first of them with the tag."""
    cells = [new_markdown_cell("# Title\n\nText."), *map(new_code_cell, sources)]
    cells[1].metadata["tags"] = [tag]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=METADATA), path)
    return path


@st.composite
def categories(draw: st.DrawFn, kinds: tuple[type, ...] = (np.float64, np.float32, np.int64)) -> Both:
    """Masks and maps of three images, both classes there, with as many ties as the draw has levels."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    masks = random.random((3, 6, 7)) < draw(st.floats(0, 0.6))
    masks[0, 0, :2] = False, True
    maps = random.integers(0, draw(st.integers(1, 60)), masks.shape) + masks * random.integers(0, 9)
    return masks, (maps / 8 if (kind := draw(st.sampled_from(kinds))) is not np.int64 else maps).astype(kind)


def study_frame(gains: dict[str, float], profile: str = "laptop", dataset: str = "mvtec_ad") -> pd.DataFrame:
    """As of `sentences.frame`: three seeds of two categories, 90 and what a size of cloner is ahead by; no scores."""
    record = {"id": "none", "experiment": {"dataset": dataset}}
    rows = [
        (dataset, normal, seed, profile, size, "image_auroc", 90 + gain + 0.01 * seed * (size == "small"), made, record)
        for normal in ("bottle", "capsule")
        for seed in range(3)
        for size, gain in gains.items()
        for made in [Experiment.of(dataset, normal, seed=seed, profile=profile, cloner=size)]
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "experiment", "record"])


def record_of(experiment: Experiment, auroc: float | None = 0.9, *, note: str = "") -> Record:
    """The record of an experiment that was never run."""
    image = None if auroc is None else {"last": auroc - 0.1, "mean_last_10": auroc, "best": auroc + 0.1}
    metrics: dict[str, Any] = {"image_auroc": image, "evaluations": []}
    if experiment.dataset == "mvtec_ad":
        metrics["pixel_auroc"] = {"all": auroc and auroc + 0.05, "defective": 0.5}
    made: Record = {"schema": SCHEMA, "id": "none", "experiment": experiment.to_dict(), "metrics": metrics}
    return made | {"provenance": {"date": "2026-01-01", "data": {"copy_note": note}}}


def keep_record(record: Record, results: Path) -> Path:
    """Write a record as `run` would have written it."""
    path = results / record["experiment"]["dataset"] / f"{record['id']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | {"sha256": digest(record)}))
    return path


@contextmanager
def environment(home: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("cache", "work", "results", "data"):
            patch.setenv(f"KDLIB_{name.upper()}", str(home / name))
        patch.setenv("KDLIB_PROGRESS", "0")
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where cache, work, results and data of all tests lie: the source is converted once."""
    return tmp_path_factory.mktemp("kdlib")


@pytest.fixture(autouse=True)
def folders(home: Path) -> Iterator[None]:
    """No test touches a folder of the user. Set for each test, so that fixtures that build the book see none of it."""
    with environment(home):
        yield


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of records, of this test alone."""
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def build_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the build sets, pytest restores; records and data of this test alone."""
    for name in ("KDLIB_WORK", "KDLIB_PROGRESS", "TQDM_DISABLE", "JUPYTER_PATH", "IPYTHONDIR", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("KDLIB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("KDLIB_DATA", str(tmp_path / "data"))


@pytest.fixture
def write(results: Path) -> Write:
    """Write the record of an experiment that was never run."""

    def write(dataset: str, normal: str, auroc: float | None, *, note: str = "", **settings: Any) -> None:
        record = record_of(Experiment.of(dataset, normal, **settings), auroc, note=note)
        keep_record(record | {"id": f"{len(list(results.glob('*/*.json'))):016}"}, results)

    return write


@pytest.fixture(scope="session")
def source_weights(home: Path) -> dict[str, Tensor]:
    """The default source weights, the paper's own."""
    with environment(home):
        return weights.load()


@pytest.fixture(scope="session")
def source(source_weights: dict[str, Tensor]) -> Source:
    return Source(source_weights)


@pytest.fixture(scope="session")
def digits() -> Split:
    """32 zeros to train on; 60 digits, a few of them zeros, to test with."""
    split = load("digits", "0")
    return Split("digits", "0", split.train[:32], split.test[:60])


@pytest.fixture(scope="session")
def fitted(home: Path, digits: Split) -> Detector:
    """A detector of the session: a test may use it, not fit it."""
    with environment(home):
        return Detector(TINY).fit(digits.train)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What `make book` does, in the smoke profile; once for all processes of pytest-xdist."""
    command = [sys.executable, str(ROOT / "book" / "build" / "build.py"), "--profile", "smoke", "--work", str(WORK)]
    folder = tmp_path_factory.getbasetemp()
    outcome = (folder.parent if WORKERS > 1 else folder) / "built.json"
    with FileLock(outcome.with_suffix(".lock")):
        if not outcome.is_file():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            outcome.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return subprocess.CompletedProcess(command, *json.loads(outcome.read_text()))


@pytest.fixture(scope="session")
def site(built: subprocess.CompletedProcess[str]) -> Path:
    if built.returncode:
        pytest.fail("the book was not built; see test_the_book_builds_without_a_warning", pytrace=False)
    return WORK / "site" / "smoke"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests: two cannot be driven at once."""
    program = pdf.chromium()
    if not program:
        pytest.fail(pdf.MISSING) if os.environ.get("CI") == "true" else pytest.skip(pdf.MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def dry_run(monkeypatch: pytest.MonkeyPatch, digits: Split) -> Callable[[str], list[Experiment]]:
    """The experiments that ``--dry-run`` of shell commands, a line each, lists; no data is read."""
    listed: list[Experiment] = []
    monkeypatch.setattr(Experiment, "id", "0" * 16)
    monkeypatch.setattr(Experiment, "data", digits)
    monkeypatch.setattr(kdlab.__main__, "_name", listed.append)  # what would be printed of each

    def run(commands: str) -> list[Experiment]:
        listed.clear()
        for line in commands.splitlines():
            python, *words = shlex.split(line)
            assert [python, *words[:3]] == ["python", "-m", "kdlab", "run"]
            assert kdlab.__main__.main([*words[2:], "--dry-run"]) == 0, line
        return list(listed)

    return run


@pytest.fixture
def plots() -> Iterator[None]:
    """Figures that need no screen and leave nothing behind."""
    backend = mpl.get_backend()
    plt.switch_backend("agg")
    with mpl.rc_context():
        yield
    plt.close("all")
    plt.switch_backend(backend)


class _Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[bytes]:
    """A pickle that makes a file when it is unpickled; the test fails if somebody did."""
    path = tmp_path / "exploded"
    yield pickle.dumps(_Bomb(path))
    assert not path.exists(), "a file was unpickled"
