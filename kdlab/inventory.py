"""What data is there: how many images against the original, which files cannot be read, fingerprints."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from kdlab.originals import ORIGINALS, copy_note
from kdlib.data import ABOUT, DATASETS, find, normals
from kdlib.data.images import Images, Split
from kdlib.data.reading import read_image, read_mask
from kdlib.errors import unknown


@dataclass(frozen=True)
class Part:
    """One normal class or category: images for training, normal and anomalous ones for testing."""

    normal: str
    counts: tuple[int, int, int]
    official: tuple[int, int, int]
    fingerprints: tuple[str, str]  # of training and test images
    copy_note: str

    @property
    def complete(self) -> bool:
        """Whether it has as many images as the original."""
        return self.counts == self.official


@dataclass(frozen=True)
class Inventory:
    """One data set as it lies here; without a folder it is not here."""

    dataset: str
    folder: str
    licence: str
    publisher: str
    parts: tuple[Part, ...] = ()
    absent: tuple[str, ...] = ()  # categories of the original that are not here
    problems: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        about = ABOUT[self.dataset]
        lines = [f"{about.title}: {self.licence}", f"  {self.folder or f'not here; offered at {self.publisher}'}"]
        if not self.folder:
            return "\n".join([*lines, f"  layout expected in $KDLIB_DATA/{self.dataset}: {about.layout}"])
        for part in self.parts:
            train, normal, anomalous = part.counts
            differs = "" if part.complete else "  DIFFERS from the original's {} + {} + {}".format(*part.official)
            note = f" ({part.copy_note})" if part.copy_note else ""
            lines.append(
                f"  {part.normal:<12} {train:>6} for training, {normal:>5} normal and {anomalous:>5} anomalous for "
                f"testing  {part.fingerprints[0]} {part.fingerprints[1]}{differs}{note}"
            )
        lines += [f"  not here: {', '.join(self.absent)}"] if self.absent else []
        return "\n".join([*lines, *(f"  PROBLEM {problem}" for problem in self.problems)])


def inventory(dataset: str) -> Inventory:
    """One data set of the paper, every file of it read.

    Raises:
        ValueError: no such data set.
    """
    if dataset not in ABOUT:
        raise ValueError(unknown("data: no data set", dataset, ABOUT))
    about, folder = ABOUT[dataset], find(dataset)
    if folder is None:
        return Inventory(dataset, "", about.terms, about.publisher)
    parts, problems, here = [], [], normals(dataset)
    for normal in here:
        try:
            split = DATASETS[dataset](normal)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        parts.append(_part(split, ORIGINALS[dataset][normal]))
        problems += unreadable(split.train, split.test)
    unique = tuple(dict.fromkeys(problems))  # all classes of a damaged file fail alike
    absent = tuple(normal for normal in about.normals if normal not in here)
    return Inventory(dataset, str(folder), about.terms, about.publisher, tuple(parts), absent, unique)


def unreadable(*sets: Images) -> list[str]:
    """Why each file that cannot be read cannot, masks among them."""
    images = [(read_image, path) for s in sets if isinstance(s.content, tuple) for path in s.content]
    masks = [(read_mask, path) for s in sets for path in s.masks or () if path]

    def problem(task: tuple[Callable[[Path], object], Path]) -> str | None:
        read, path = task
        try:
            read(path)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        return [found for found in pool.map(problem, [*images, *masks]) if found]


def _part(split: Split, official: tuple[int, int, int]) -> Part:
    labels = split.test.labels
    anomalous = 0 if labels is None else int(labels.sum())
    counts = len(split.train), len(split.test) - anomalous, anomalous
    return Part(split.normal, counts, official, (split.train.fingerprint, split.test.fingerprint), copy_note(split))
