"""The distribution without its extras: its commands work, and nothing of the floors above is among its needs."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT

from kdlib import Split, weights


def needs(requirements: list[str]) -> set[str]:
    """The names of installed distributions that these ask for, and those that they ask for; extras are left out."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        name, marker = re.match(r"([\w.-]+)[^;]*;?(.*)", waiting.pop()).groups()  # type: ignore[union-attr]
        name = re.sub(r"[-_.]+", "-", name).lower()
        if "extra" in marker or name in found:
            continue
        try:
            waiting += metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another system: its marker says so
            assert marker, f"{name} is not installed"
            continue
        found.add(name)
    return found


def link(name: str, folder: Path) -> None:
    """Links to what a distribution installed, as deep as two of them may share a folder."""
    for file in metadata.files(name) or []:
        place = Path(str(file.locate()))
        depth = 1 if file.parts[0] not in ("nvidia", "mpl_toolkits") else len(file.parts)
        target, source = folder.joinpath(*file.parts[:depth]), place
        if ".." in file.parts or "__pycache__" in file.parts[:1]:
            continue
        for _ in range(len(file.parts) - depth):
            source = source.parent
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)


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
    python, kdlib = str(place / "bin" / "python"), str(place / "bin" / "kdlib")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", str(path))
    (packages,) = place.glob("lib/python*/site-packages")
    for name in needed:
        link(name, packages)
    for folder, images in {"good": digits.train[:8], "new": digits.test[:3]}.items():
        (tmp_path / folder).mkdir()
        for number in range(len(images)):
            images.image(number).save(tmp_path / folder / f"{number}.png")

    assert "usage: kdlib " in run(kdlib, "--help")
    assert "8 images trained on" in run(
        kdlib, "fit", "good", "d", "--held-out", "0", "--set", "size=32", "epochs=1", "precision=fp32"
    )
    assert run(kdlib, "score", "d", "new", "--threshold", "0").count(".png,") == 3
    run(kdlib, "localize", "d", "new", "maps")
    assert len(list((tmp_path / "maps").glob("*_map.png"))) == 3
    heavy = "{'pandas', 'matplotlib', 'skimage', 'onnx'} & set(sys.modules)"
    where = "str(kdlib.__file__).startswith(sys.prefix)"
    missing = "[importlib.util.find_spec(n) for n in ('pandas', 'skimage', 'onnx', 'ipywidgets', 'distributed')]"
    code = f"import sys, importlib.util, kdlib, kdlib.__main__, kdlib.metrics; print({heavy}, {where}, {missing})"
    assert run(python, "-c", code).strip() == f"set() True {[None] * 5}"
