"""Where files go, how they get there whole, and how tensors are read back."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    try:
        return Path(os.environ.get(variable) or default).expanduser()
    except RuntimeError as error:  # no HOME, and nobody knows the user's
        raise FileNotFoundError(f"{variable}: no home folder is known; name a folder in {variable}") from error


OURS = ".written-by-kdlib"  # in a folder: the names of the files that are ours
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


def refuse_foreign(folder: Path) -> None:
    """FileExistsError where a folder holds anything but what `fill_own` wrote there: it names what."""
    marker = folder / OURS
    ours = {OURS, *(marker.read_text().splitlines() if marker.is_file() else [])}
    if others := sorted(p.name for p in folder.iterdir() if p.name not in ours) if folder.is_dir() else []:
        what = f"holds {len(others)} files that kdlib did not write there, such as {others[0]}"
        raise FileExistsError(f"{folder}: {what}; name a folder that is new or empty")


def fill_own(folder: Path, names: Sequence[str], contents: Iterable[bytes]) -> None:
    """Write files to a folder of our own, in place of those that an earlier call left there; else `refuse_foreign`."""
    refuse_foreign(folder)
    marker = ensure_folder(folder) / OURS
    earlier = marker.read_text().splitlines() if marker.is_file() else []
    write_atomically(marker, "".join(f"{name}\n" for name in {*earlier, *names}).encode())
    for name, content in zip(names, contents, strict=True):
        write_atomically(folder / name, content)
    for name in {*earlier} - {*names}:
        (folder / name).unlink(missing_ok=True)
    write_atomically(marker, "".join(f"{name}\n" for name in names).encode())


def keep_array(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in a ``.npy`` file, mapped into memory; made and written first where there is none."""
    if not path.is_file():
        array = make()
        write_atomically(path, lambda file: np.save(file, array))
    return np.load(path, mmap_mode="c")


def write_atomically(path: Path, content: bytes | Callable[[BinaryIO], None]) -> None:
    """Write ``content``, or what it writes itself, so that ``path`` holds all of it or is untouched."""
    ensure_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            content(file) if callable(content) else file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)  # mkstemp makes files that only their owner can read
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path, *, keep: bool = True) -> Iterator[Path]:
    """A folder beside it to fill, which becomes ``folder``; or vanishes, if it should, or where filling it failed."""
    scratch = Path(tempfile.mkdtemp(dir=ensure_folder(folder.parent), prefix=f".{folder.name}."))
    try:
        yield scratch
        scratch.chmod(0o755)
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
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
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
