"""What data is there: how many images against the original, which files cannot be read, fingerprints."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kdlab.originals import ORIGINALS, copy_note, normals
from kdlib.data import ABOUT, DATASETS, find
from kdlib.data.images import Images, Split
from kdlib.data.reading import read_image, read_mask
from kdlib.errors import unknown


@dataclass(frozen=True)
class Part:
    """One normal class or category: images for training, normal and anomalous ones for testing."""

    normal: str
    counts: tuple[int, int, int]
    official: tuple[int, int, int]  # of the original
    fingerprints: tuple[str, str]  # of training and test images
    copy_note: str

    @classmethod
    def of(cls, split: Split, official: tuple[int, int, int]) -> "Part":
        anomalous = 0 if split.test.labels is None else int(split.test.labels.sum())
        counts = len(split.train), len(split.test) - anomalous, anomalous
        return cls(split.normal, counts, official, (split.train.fingerprint, split.test.fingerprint), copy_note(split))

    def __str__(self) -> str:
        differs = "" if self.counts == self.official else "  DIFFERS from the original's {} + {} + {}"
        text = "{:<12} {:>6} for training, {:>5} normal and {:>5} anomalous for testing  {} {}".format(
            self.normal, *self.counts, *self.fingerprints
        )
        return text + differs.format(*self.official) + (f" ({self.copy_note})" if self.copy_note else "")


@dataclass(frozen=True)
class Inventory:
    """One data set as it lies here; without a folder it is not here."""

    dataset: str
    folder: str
    licence: str
    publisher: str
    parts: tuple[Part, ...] = ()
    absent: tuple[str, ...] = ()  # categories of the original that are not here
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        about = ABOUT[self.dataset]
        lines = [f"{about.title}: {self.licence}", f"  {self.folder or f'not here; offered at {self.publisher}'}"]
        if not self.folder:
            return "\n".join([*lines, f"  layout expected in $KDLIB_DATA/{self.dataset}: {about.layout}"])
        lines += [f"  {part}" for part in self.parts]
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
        parts.append(Part.of(split, ORIGINALS[dataset][normal]))
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
