"""`Recipe`: every setting of the method, in one frozen place."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from kdlib.errors import unknown
from kdlib.networks import CLONERS, CRITICAL_POINTS, PRECISIONS, check_critical_points
from kdlib.weights import SOURCES

# Settings that a trained cloner does not know of: experiments that differ in these alone share one training.
SCORE = ("score_points", "score_lam")
MAP = (*SCORE, "attribution", "map_points", "map_lam", "samples", "noise", "stretch")  # before the Gaussian
SCORING = (*MAP, "sigma", "opening", "test_limit")
SCALINGS = {"torchvision": ["native"], "vgg-release": ["network"], "random": ["network", "native"]}  # once a setting
LAMBDAS = ("lam", "score_lam", "map_lam")
ATTRIBUTIONS: tuple[str, ...] = ("gradients", "smoothgrad", "gbp", "gbp_both", "cloner_gradients")
ATTRIBUTIONS += ("integrated_gradients", "discrepancy", "product", "best")
MANY_PASSES = ("smoothgrad", "integrated_gradients")  # as many as `Recipe.samples`
BEST: dict[str, Any] = {"attribution": "product", "map_points": ("pool2", "pool3")}  # why: ablations/localization_gap


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of one experiment; the defaults are the paper's for a small image data set."""

    # source
    weights: str = "torchvision"  # the paper's; "random" as a control; kdlab adds "vgg-release", an earlier one
    # input
    size: int = 128  # pixels
    crop: int | None = None  # centre crop after resizing
    tile: int | None = None  # side of the tiles that the networks see, pixels; None: the whole image
    levels: tuple[float, float] | None = None  # black and white of images with more than 8 bits; None: from good ones
    normalize: bool = False  # with ImageNet's mean and standard deviation (Sec. 4.2.1: CIFAR-10 only)
    # cloner
    cloner: str = "small"
    norm_shift: bool = True  # BatchNorm's shift: learned in the reference code, Sec. 3.2 argues against it
    conv_bias: bool = False
    # loss
    critical_points: tuple[str, ...] = CRITICAL_POINTS  # that train
    score_points: tuple[str, ...] = CRITICAL_POINTS  # that score and localize
    lam: float | None = None  # lambda of Eq. 4; None: both terms of one size on the untrained cloner
    score_lam: float | None = None  # lambda of the score; None: that of the training, as the paper
    # training (Sec. 3.2)
    epochs: int = 51
    batch_size: int = 64
    learning_rate: float = 1e-3
    augment: bool = False  # "+AUG" of Table 6: turned by up to 20 degrees, scaled by 0.9 to 1.05; costs source passes
    precision: str = "auto"  # "bf16", "fp32", or "auto": bf16 where the machine gains from it
    # localization (Sec. 3.3.4 and 4.2.2)
    attribution: str = "gradients"  # one of `ATTRIBUTIONS`; localize.attribution says what each is
    map_points: tuple[str, ...] | None = None  # critical points that localize; None: score_points, as the paper
    map_lam: float | None = None  # lambda of the map; None: that of the score, as the paper
    samples: int = 50  # noisy copies of smoothgrad, steps of integrated gradients
    noise: float = 0.05  # of smoothgrad: standard deviation, where white minus black is 1
    sigma: float = 4.0  # of the Gaussian, pixels
    opening: int = 3  # diameter of the structuring element, pixels, odd; 0: none
    stretch: bool = False  # the reference clips and stretches each map to [0, 1], which loses magnitudes across images
    # reductions of a profile
    train_limit: int | None = None  # at most so many training images
    test_limit: int | None = None

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            kind: Any = setting.type
            name, value = setting.name, getattr(self, setting.name)
            if kind in (tuple[str, ...], tuple[str, ...] | None):
                if value is not None or kind == tuple[str, ...]:
                    object.__setattr__(self, name, check_critical_points(value))
                continue
            if kind == tuple[float, float] | None:
                continue
            if kind in (float, float | None) and isinstance(value, int):
                object.__setattr__(self, name, value := float(value))  # 1 and 1.0 are one setting, and one id
            self._expect(name, isinstance(value, kind), getattr(kind, "__name__", str(kind)))
        choices = {"weights": SOURCES, "cloner": CLONERS, "precision": PRECISIONS, "attribution": ATTRIBUTIONS}
        for name, known in choices.items():
            more = "; kdlab.vgg_release, once imported, adds one" if name == "weights" else ""
            self._expect(name, getattr(self, name) in known, f"one of {', '.join(known)}{more}")
        self._expect("size", self.size >= 32, "at least 32 pixels: five max-pools halve it")
        self._expect("crop", self.crop is None or 32 <= self.crop <= self.size, f"from 32 to size, {self.size}")
        self._expect("tile", self.tile is None or 32 <= self.tile <= self.side, f"from 32 to {self.side}, or None")
        for name in ("score_points", "map_points"):
            inside = set(getattr(self, name) or ()) <= set(self.critical_points)
            self._expect(name, inside, "a part of critical_points")
        pair = self.levels is None or (len(self.levels) == 2 and self.levels[0] < self.levels[1])
        self._expect("levels", pair, "two values, black below white, or None")
        for name in LAMBDAS:
            self._expect(name, getattr(self, name) is None or getattr(self, name) >= 0, "0 or more, inf, or None")
        self._expect("samples", self.samples >= 1, "1 or more")
        self._expect("noise", 0 <= self.noise < math.inf, "0 or more")
        for name in ("epochs", "batch_size", "learning_rate"):
            self._expect(name, 0 < getattr(self, name) < math.inf, "more than 0")
        self._expect("sigma", 0 <= self.sigma < self.size, f"from 0 to size, {self.size}")
        self._expect("opening", self.opening in (0, *range(1, self.size, 2)), f"0, or odd and below size, {self.size}")
        for name in ("train_limit", "test_limit"):
            self._expect(name, getattr(self, name) is None or getattr(self, name) >= 2, "2 or more, or None")

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"recipe: {name} is {getattr(self, name)!r}, expected {expected}")

    def training_settings(self) -> dict[str, object]:
        """The settings that decide the cloner: all but those of scoring, localization and test images."""
        # What was learned later is left out at its default: kept trainings stay found.
        return {k: v for k, v in self.to_dict().items() if k not in SCORING and (k, v) != ("tile", None)}

    @property
    def side(self) -> int:
        """Side of the images after resizing and crop, and of their maps, pixels."""
        return self.crop or self.size

    @property
    def input_size(self) -> int:
        """Side of what the networks see, pixels: of a tile, or of the image."""
        return self.tile or self.side

    def replace(self, **changes: Any) -> "Recipe":
        """This recipe with other settings; an unknown name is an error that lists the known ones."""
        known = [f.name for f in dataclasses.fields(self)]
        if strange := [name for name in changes if name not in known]:
            raise ValueError(unknown("recipe: no setting", strange[0], known))
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, object]:
        """All settings as JSON has them: lists for tuples, "inf" for an infinite lambda."""
        plain = dataclasses.asdict(self)
        plain |= {k: list(v) for k, v in plain.items() if isinstance(v, tuple)}
        return {k: "inf" if k in LAMBDAS and v == math.inf else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Recipe":
        """The recipe that `to_dict` wrote, now or when ``scaling`` was a setting; ValueError where one is not known."""
        plain = dict(plain)
        if scaling := plain.pop("scaling", None):
            weights = plain.setdefault("weights", "vgg-release")
            if scaling not in SCALINGS[weights]:
                raise ValueError(f"recipe: the scaling {scaling!r} of {weights} is not offered any more")
        tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        infinite = {name: math.inf for name in LAMBDAS if plain.get(name) == "inf"}
        return cls().replace(**tuples | infinite)
