"""Where files go, how they get there whole, and how tensors are read back."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors
from torch import Tensor


def cache_folder() -> Path:
    """Weights and downloads, shared by all projects of a user: ``$KDLIB_CACHE`` or ``~/.cache/kdlib``."""
    return _named("KDLIB_CACHE", "~/.cache/kdlib")


def work_folder() -> Path:
    """Checkpoints, activations, generated data: ``$KDLIB_WORK`` or ``work`` in the current folder."""
    return _named("KDLIB_WORK", "work")


def data_folder() -> Path:
    """Data sets: ``$KDLIB_DATA`` or ``data`` in the current folder."""
    return _named("KDLIB_DATA", "data")


def results_folder() -> Path:
    """Records: ``$KDLIB_RESULTS`` or ``results`` in the current folder."""
    return _named("KDLIB_RESULTS", "results")


def _named(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


FOLDERS = {"KDLIB_CACHE": cache_folder, "KDLIB_WORK": work_folder, "KDLIB_DATA": data_folder}  # what a worker needs


def ensure_folder(folder: Path) -> Path:
    """The folder, made and writable; else an OSError that names the variable which decides where it lies, if any."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        ours = FOLDERS | {"KDLIB_RESULTS": results_folder}
        variable = next((v for v, where in ours.items() if folder.absolute().is_relative_to(where().absolute())), None)
        other = f"name another folder in {variable}" if variable else "name another folder"
        raise type(error)(f"{folder}: cannot be written ({reason}); free it, or {other}") from error
    return folder


def keep_array(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in a ``.npy`` file, mapped into memory; made and written first where there is none."""
    if not path.is_file():
        array = make()
        write_atomically(path, lambda file: np.save(file, array))
    return np.load(path, mmap_mode="c")


def write_atomically(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Write ``content``, or what it writes itself, so that ``path`` holds all of it or is untouched."""
    ensure_folder(path.parent)
    scratch = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:8]}")
    try:
        with scratch.open("wb") as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path, *, keep: bool = True) -> Iterator[Path]:
    """A folder beside it to fill, which becomes ``folder``; or vanishes, if it should, or where filling it failed."""
    scratch = ensure_folder(folder.parent) / f".{folder.name}.{uuid.uuid4().hex[:8]}"
    scratch.mkdir()
    try:
        yield scratch
        try:
            if keep:
                scratch.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster: its files are the same
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_safetensors(
    path: Path, *, format: str, advice: str = "delete it and try again", **expected: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file with its ``format``, kind/version, and ``expected`` metadata.

    Raises ValueError: another kind or version, or damaged, with the ``advice`` what to do; OSError: no such file.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder, expected a file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error}); {advice}") from error
    for key, value in {"format": format, **expected}.items():
        if found.get(key) != value:
            (kind, _, version), (expected_kind, _, last) = (str(f).partition("/") for f in (found.get(key), value))
            if key != "format":
                why = f"of another {key}; {advice}"
            elif kind != expected_kind or not version.isdecimal():
                why = "this is another kind of file"
            else:
                why = f"written by {'a newer' if int(version) > int(last) else 'an older'} kdlib"
            raise ValueError(f"{path}: {key} is {found.get(key)!r}, expected {value!r}; {why}")
    return tensors, found
