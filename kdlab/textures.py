"""`textures`: real texture, known truth, made in seconds.

scikit-image's photographs of brick, grass and gravel are cut into patches; defects are painted into some, with exact
masks; the result is written in MVTec AD's layout. Training patches come from the left of a photograph, test patches
from the right: no pixel is in both. Half of all patches are mirrored, as the bricks of the two sides lean apart.

`grafts` are of brick, coins and text, and harder: each patch has a light of its own, and a defect has the brightness
and contrast of what it replaces.
"""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from kdlib.data import DATASETS
from kdlib.data.folder import mvtec_layout
from kdlib.data.images import Split
from kdlib.files import whole_folder, work_folder

CATEGORIES = ("brick", "grass", "gravel")
DEFECTS = ("blob", "scratch", "swap")
GRAFTED, GRAFTS, LIGHT = ("brick", "coins", "text"), ("graft", "turn"), 0.2
SIZE = 128
TRAIN, GOOD, EACH_DEFECT = 80, 20, 10  # patches; photographs are 512 x 512
BORDER = 340  # column that parts training from test


def textures(category: str, *, root: Path | None = None, dataset: str = "textures") -> Split:
    """One category of `textures`, or of `grafts`, made when it is not there yet."""
    if category not in (known := GRAFTED if dataset == "grafts" else CATEGORIES):
        raise ValueError(f"{dataset}: no category {category!r}; known are {', '.join(known)}")
    root = root or work_folder() / "data" / dataset
    if not (root / category).is_dir():
        make_category(root, category, harder=dataset == "grafts")
    return mvtec_layout(root, category, dataset=dataset)


grafts = partial(textures, dataset="grafts")
DATASETS |= {"textures": textures, "grafts": grafts}


def make_category(root: Path, category: str, *, seed: int = 0, harder: bool = False) -> None:
    """Write one category below ``root``, whole or not at all: of `grafts` where it is to be ``harder``."""
    try:
        from skimage import data
    except ImportError as error:
        raise FileNotFoundError("textures: made of scikit-image's photographs: pip install 'kdlib[lab]'") from error
    photograph, number = getattr(data, category)(), (GRAFTED if harder else CATEGORIES).index(category)
    other = data.gravel() if harder else getattr(data, CATEGORIES[number - 1])()
    border = photograph.shape[1] - max(SIZE + 8, photograph.shape[1] // 3) if harder else BORDER
    random = np.random.default_rng([seed, number, 1] if harder else [seed, number])

    def lit(patch: np.ndarray) -> np.ndarray:
        if not harder:
            return patch
        return (patch * random.uniform(1 - LIGHT, 1 + LIGHT)).clip(0, 255).astype(np.uint8)

    left, right = photograph[:, :border], photograph[:, border:]
    with whole_folder(root / category) as scratch:
        for part, side, count in (("train", left, TRAIN), ("test", right, GOOD)):
            for number in range(count):
                _write(scratch / part / "good", number, lit(_patch(side, random)))
        for kind in GRAFTS if harder else DEFECTS:
            for number in range(EACH_DEFECT):
                piece_of = right if kind == "turn" else other
                patch, mask = paint_defect(_patch(right, random), kind, random, other=piece_of)
                _write(scratch / "test" / kind, number, lit(patch))
                _write(scratch / "ground_truth" / kind, number, mask.astype(np.uint8) * 255, suffix="_mask")


def paint_defect(
    patch: np.ndarray, kind: str, random: np.random.Generator, *, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A defect painted into a grey patch (H, W): the patch and the mask of the pixels that it covers.

    ``"blob"`` lightens or darkens a spot, ``"scratch"`` draws a thin curve, ``"swap"`` puts in another texture.
    ``"graft"`` does so with the brightness and contrast of the place and a soft edge, ``"turn"`` turns what it puts in.
    """
    side = patch.shape[0]
    row, column = random.integers(side // 4, 3 * side // 4, size=2)
    if kind == "scratch":
        length, angle, bend = random.uniform(30, 60), random.uniform(0, np.pi), random.uniform(-0.02, 0.02)
        along = np.linspace(-length / 2, length / 2, 200)
        rows = row + along * np.sin(angle) + bend * along**2 * np.cos(angle)
        columns = column + along * np.cos(angle) - bend * along**2 * np.sin(angle)
        mask = np.zeros(patch.shape, dtype=bool)
        mask[rows.round().clip(0, side - 1).astype(int), columns.round().clip(0, side - 1).astype(int)] = True
        mask = ndimage.binary_dilation(mask)
    else:  # an irregular spot: smooth noise, cut at the level that leaves a disk-like region
        y, x = np.mgrid[:side, :side]
        mask = np.zeros(patch.shape, dtype=bool)
        while not mask.any():  # once in thousands of spots the noise leaves nothing
            radius = random.uniform(*((14, 22) if kind in GRAFTS else (8, 16)))
            wobble = ndimage.gaussian_filter(random.standard_normal(patch.shape), 4)
            mask = np.hypot(y - row, x - column) + 4 * wobble / wobble.std() < radius
    if kind == "swap":
        painted = np.where(mask, _patch(other, random), patch)
    elif kind in GRAFTS:
        piece = np.rot90(_patch(other, random), kind == "turn")
        piece = (piece - piece[mask].mean()) / max(piece[mask].std(), 1) * patch[mask].std() + patch[mask].mean()
        painted = (patch + ndimage.gaussian_filter(mask.astype(float), 2) * (piece - patch)).clip(0, 255)
    else:
        shift = random.choice([-1, 1]) * random.uniform(50, 90)
        painted = np.where(mask, patch + shift, patch).clip(0, 255)
    return painted.astype(np.uint8), mask


def _patch(photograph: np.ndarray, random: np.random.Generator) -> np.ndarray:
    row, column = (random.integers(0, side - SIZE + 1) for side in photograph.shape)
    return photograph[row : row + SIZE, column : column + SIZE][:, :: random.choice([-1, 1])]


def _write(folder: Path, number: int, image: np.ndarray, *, suffix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f"{number:03d}{suffix}.png")
