"""The distribution: examples hold; its commands work without its extras; it needs nothing of the floors above."""

import doctest
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kdlib
from kdlib import Split, weights


def needs(requirements: Iterable[str], extras: Iterable[str] = ()) -> set[str]:
    """The names of installed distributions that these ask for, and those that they ask for."""
    found: set[str] = set()
    for each in map(Requirement, requirements):
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            found |= {canonicalize_name(each.name)} | needs(metadata.requires(each.name) or [], each.extras)
    return found


def link(name: str, folder: Path) -> None:
    for file in metadata.files(name) or []:
        if ".." not in file.parts and not (target := folder / file).is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(str(file.locate())))


def test_one_version_everywhere() -> None:
    about = (ROOT / "CITATION.cff").read_text() + (ROOT / "CHANGELOG.md").read_text()
    assert all(f"{before} {kdlib.__version__}" in about for before in ("version:", "##"))


def test_each_public_name_has_an_example_that_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "book" / "chapters" / "api.md"
    examples = " ".join(each.source for each in doctest.DocTestParser().get_examples(page.read_text()))
    used = {name for name in kdlib.__all__ if len(re.findall(rf"\b{name}\b", examples)) > 1}  # not only imported
    assert used == {*kdlib.__all__}, "a public name has no example in book/chapters/api.md"
    monkeypatch.chdir(tmp_path)
    assert not doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS).failed


@pytest.mark.slow
def test_the_wheel_alone_fits_scores_and_localizes(digits: Split, home: Path, tmp_path: Path) -> None:
    """An environment with the wheel and what it asks for; the packages are those of this one."""
    weights.load()  # into the cache of the tests: the carrier is no need of the distribution
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"MPLCONFIGDIR": str(tmp_path)}

    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert not done.returncode, done.stderr
        return done.stdout

    tree = tmp_path / "tree"  # a build leaves files
    for part in ("kdlib", "kdlab", "book/figures"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, tree)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(tree))
    (path,) = tmp_path.glob("kdlib-*.whl")
    with zipfile.ZipFile(path) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        asked = re.findall(r"^Requires-Dist: (.*)$", archive.read(name).decode(), re.MULTILINE)
    needed = needs(asked)
    assert {"torch", "captum", "matplotlib"} <= needed  # the last comes with Captum
    assert not needed & {"pandas", "seaborn", "ipywidgets", "itables", "distributed", "dask", "scikit-image", "onnx"}

    place = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", str(place))
    python, command = str(place / "bin" / "python"), str(place / "bin" / "kdlib")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", str(path))
    (packages,) = place.glob("lib/python*/site-packages")
    for name in needed:
        link(name, packages)
    for folder, images in {"good": digits.train[:8], "new": digits.test[:3]}.items():
        (tmp_path / folder).mkdir()
        for number in range(len(images)):
            images.image(number).save(tmp_path / folder / f"{number}.png")

    assert "usage: kdlib " in run(command, "--help")
    assert "8 images trained on" in run(
        command, "fit", "good", "d", "--held-out", "0", "--set", "size=32", "epochs=1", "precision=fp32"
    )
    assert run(command, "score", "d", "new", "--threshold", "0").count(".png,") == 3
    run(command, "localize", "d", "new", "maps")
    assert len(list((tmp_path / "maps").glob("*_map.png"))) == 3
    heavy = "{'pandas', 'matplotlib', 'skimage', 'onnx'} & set(sys.modules)"
    where = "str(kdlib.__file__).startswith(sys.prefix)"
    missing = "[importlib.util.find_spec(n) for n in ('pandas', 'skimage', 'onnx', 'ipywidgets', 'distributed')]"
    code = f"import sys, importlib.util, kdlib, kdlib.__main__, kdlib.metrics; print({heavy}, {where}, {missing})"
    assert run(python, "-c", code).strip() == f"set() True {[None] * 5}"
