"""Keep the site small: pictures without loss in fewer bytes, and no file that no page loads."""

import base64
import re
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image

PNG = re.compile(rb"data:image/png;base64,([A-Za-z0-9+/]+=*)")
# Maps for debuggers, fonts that browsers take only where they do not know woff2, sources of the theme's translations,
# executed notebooks: those to download are in the pages.
UNUSED = (
    "**/*.map",
    "_static/vendor/**/*.ttf",
    "_static/locales",
    "_static/**/*webpack-macros.html",
    "_sources/**/*.ipynb",
)


def pictures(notebook: Path) -> None:
    """Recode the pictures in the outputs and widgets of an executed notebook."""
    notebook.write_bytes(PNG.sub(recoded, notebook.read_bytes()))


def recoded(found: re.Match[bytes]) -> bytes:
    """A PNG in a data address as lossless WebP: the same pixels in fewer bytes."""
    picture, out = Image.open(BytesIO(base64.b64decode(found[1]))), BytesIO()
    if picture.mode not in ("RGB", "RGBA"):  # WebP has no others: they would be changed
        return found[0]
    picture.save(out, "WEBP", lossless=True, exact=True)
    return min(found[0], b"data:image/webp;base64," + base64.b64encode(out.getvalue()), key=len)


def site(folder: Path) -> None:
    """Cut what no page loads."""
    for pattern in UNUSED:
        for path in list(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
