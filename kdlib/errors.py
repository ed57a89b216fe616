"""Words for errors."""

import difflib
from collections.abc import Iterable


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """ "table 2: no class 'Shirt'; did you mean 'shirt'? Known are ...": the nearest right name first."""
    near = difflib.get_close_matches(str(name), names := list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? Known are" if near else "known are"
    return f"{what} {name!r}; {hint} {', '.join(names) or 'none'}"
