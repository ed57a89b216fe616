"""What data is there: how many images against the original, which files cannot be read, fingerprints."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kdlab.originals import ORIGINALS, copy_note, normals
from kdlib.data import ABOUT, DATASETS, find
from kdlib.data.images import Images
from kdlib.data.reading import read_image, read_mask
from kdlib.errors import unknown


def inventory(dataset: str) -> dict[str, Any]:
    """One data set of the paper, every file of it read.

    Returns:
        dataset, licence, publisher; folder (empty: not here); parts: of each class or category normal, counts (images
        for training, normal and anomalous ones for testing), official (those of the original), fingerprints (training,
        test) and copy_note; absent: categories of the original that are not here; problems.

    Raises:
        ValueError: no such data set.
    """
    if dataset not in ABOUT:
        raise ValueError(unknown("data: no data set", dataset, ABOUT))
    about, folder, parts, problems = ABOUT[dataset], find(dataset), [], list[str]()
    here = normals(dataset) if folder else ()
    for normal in here:
        try:
            split = DATASETS[dataset](normal)
        except (OSError, ValueError) as error:
            problems.append(str(error))
            continue
        anomalous = 0 if split.test.labels is None else int(split.test.labels.sum())
        part = {"normal": normal, "counts": (len(split.train), len(split.test) - anomalous, anomalous)}
        part |= {"official": ORIGINALS[dataset][normal], "copy_note": copy_note(split)}
        parts.append(part | {"fingerprints": (split.train.fingerprint, split.test.fingerprint)})
        problems += unreadable(split.train, split.test)
    return {
        "dataset": dataset,
        "folder": str(folder or ""),
        "licence": about.terms,
        "publisher": about.publisher,
        "parts": parts,
        "absent": [normal for normal in about.normals if folder and normal not in here],
        "problems": list(dict.fromkeys(problems)),  # all classes of a damaged file fail alike
    }


def as_text(found: dict[str, Any]) -> str:
    """An `inventory` for a terminal."""
    about = ABOUT[found["dataset"]]
    lines = [
        f"{about.title}: {found['licence']}",
        f"  {found['folder'] or 'not here; offered at ' + found['publisher']}",
    ]
    if not found["folder"]:
        lines += [f"  layout expected in $KDLIB_DATA/{found['dataset']}: {about.layout}"]
    for part in found["parts"]:
        text = "  {:<12} {:>6} for training, {:>5} normal and {:>5} anomalous for testing  {} {}".format(
            part["normal"], *part["counts"], *part["fingerprints"]
        )
        if part["counts"] != part["official"]:
            text += "  DIFFERS from the original's {} + {} + {}".format(*part["official"])
        lines.append(text + (f" ({part['copy_note']})" if part["copy_note"] else ""))
    lines += [f"  not here: {', '.join(found['absent'])}"] if found["absent"] else []
    return "\n".join([*lines, *(f"  PROBLEM {problem}" for problem in found["problems"])])


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
