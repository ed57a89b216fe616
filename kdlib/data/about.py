"""What each data set of the paper is: who offers it, under which licence, in which layout, and where it lies."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdlib.errors import unknown
from kdlib.files import cache_folder, data_folder


@dataclass(frozen=True)
class About:
    """One data set, as ``about.toml`` describes it, where each entry is explained."""

    title: str
    publisher: str  # page of who offers it
    licence: str
    layout: str
    normals: tuple[str, ...]
    commercial: bool | None = None
    places: tuple[str, ...] = ()
    proof: tuple[str, ...] = ("",)

    @property
    def terms(self) -> str:
        """The licence, and what it means at work."""
        note = {True: "", False: ": no commercial use", None: "; ask before commercial use"}[self.commercial]
        return self.licence + note


ABOUT: Mapping[str, About] = {
    name: About(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})  # type: ignore[arg-type]
    for name, entry in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()
}


def find(dataset: str) -> Path | None:
    """Where a data set lies: ``$KDLIB_DATA/<dataset>``, or where torchvision puts it; else None. Nothing is fetched."""
    if dataset not in ABOUT:
        raise ValueError(unknown("data: no data set of the paper", dataset, ABOUT))
    about = ABOUT[dataset]
    places = [data_folder() / place for place in (dataset, *about.places)]  # an absolute place stays what it is
    places += [cache_folder() / "data" / place for place in about.places if not Path(place).is_absolute()]
    return next((p for p in places if any((p / proof).exists() for proof in about.proof)), None)


def missing(dataset: str, folder: Path | None = None) -> FileNotFoundError:
    """The error for who asks for a data set that is not there: where it was looked for, and where it is offered."""
    about, place = ABOUT[dataset], folder or data_folder() / dataset
    offered = f"{about.title} is offered at {about.publisher} ({about.terms})"
    advice = f"Layout expected there: {about.layout}. Where it lies elsewhere, name the folder above in KDLIB_DATA"
    return FileNotFoundError(f"{dataset}: no folder {place}. {offered}. {advice}")
