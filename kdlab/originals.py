"""The data sets as they were published, and what of them is here: images, fingerprints, files that cannot be read."""

import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

from kdlab.textures import CATEGORIES, GRAFTED
from kdlib.data import ABOUT, DATASETS, Images, Split, find
from kdlib.data.classes import DIGITS
from kdlib.data.reading import read_image, read_mask
from kdlib.errors import unknown

Counts = Mapping[str, tuple[int, int, int]]  # normal class or category -> training, normal test, anomalous test images


with resources.files("kdlab").joinpath("originals.toml").open("rb") as _file:
    ORIGINALS: Mapping[str, Counts] = {
        dataset: {normal: tuple(counts) for normal, counts in found.items()}
        for dataset, found in tomllib.load(_file).items()
    }


def copy_note(split: Split) -> str:
    """How this copy of a data set differs from the original: what its loader noted, and good test images of MVTec AD.

    Those decide the AUROC of a category, which has few of them.
    """
    official = ORIGINALS["mvtec_ad"].get(split.normal) if split.dataset == "mvtec_ad" else None
    good = 0 if split.test.labels is None else int((split.test.labels == 0).sum())
    few = official[1] - good if official else 0
    notes = [f"{few} good test images of the original are missing"] if few > 0 else []
    return "; ".join([*notes, split.copy_note] if split.copy_note else notes)


def normals(dataset: str) -> tuple[str, ...]:
    """All classes or categories of a data set, of MVTec AD those that are here; ValueError where they are unknown."""
    if dataset not in DATASETS:
        raise ValueError(unknown("data set: no", dataset, DATASETS))
    listed = {"digits": DIGITS, "textures": CATEGORIES, "grafts": GRAFTED}
    listed |= {name: about.normals for name, about in ABOUT.items()}
    if dataset not in listed:
        raise ValueError(f"{dataset}: its classes or categories are listed nowhere; name those that are meant")
    folder = find(dataset) if dataset == "mvtec_ad" else None
    return tuple(normal for normal in listed[dataset] if folder is None or (folder / normal).is_dir())


def inventory(dataset: str) -> tuple[str, list[str]]:
    """What is here of a data set of the paper, every file of it read: a text for a terminal, and its problems.

    A line for each class or category: images for training, normal and anomalous ones for testing, fingerprints of
    both, and how they differ from the original.

    Raises:
        ValueError: no such data set.
    """
    if dataset not in ABOUT:
        raise ValueError(unknown("data: no data set", dataset, ABOUT))
    about, folder, problems = ABOUT[dataset], find(dataset), list[str]()
    lines = [f"{about.title}: {about.terms}", f"  {folder or f'not here; offered at {about.publisher}'}"]
    if not folder:
        return "\n".join([*lines, f"  layout expected in $KDLIB_DATA/{dataset}: {about.layout}"]), problems
    here = normals(dataset)
    for normal in here:
        try:
            split = DATASETS[dataset](normal)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        anomalous = 0 if split.test.labels is None else int(split.test.labels.sum())
        counts, official = (len(split.train), len(split.test) - anomalous, anomalous), ORIGINALS[dataset][normal]
        text = "  {:<12} {:>6} for training, {:>5} normal and {:>5} anomalous for testing".format(normal, *counts)
        text += f"  {split.train.fingerprint} {split.test.fingerprint}"
        text += "  DIFFERS from the original's {} + {} + {}".format(*official) if counts != official else ""
        lines.append(text + (f" ({note})" if (note := copy_note(split)) else ""))
        problems += _unreadable(split.train, split.test)
    absent = [normal for normal in about.normals if normal not in here]
    lines += [f"  not here: {', '.join(absent)}"] if absent else []
    problems = list(dict.fromkeys(problems))  # all classes of a damaged file fail alike
    return "\n".join([*lines, *(f"  PROBLEM {problem}" for problem in problems)]), problems


def _unreadable(*sets: Images) -> list[str]:
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
