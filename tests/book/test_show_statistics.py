"""Pictures and tables of how sure a result is: all is drawn, alt texts tell figures, no claim of nothing."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from book.figures import statistics as show_statistics
from kdlab.experiments.experiment import Experiment
from kdlab.studies.one_factor import BASE
from kdlab.studies.uncertainty import ENTRY

pytestmark = pytest.mark.usefixtures("plots")


def entry(normal: str, **changes: Any) -> dict[str, Any]:
    row = {"dataset": "mvtec_ad", "normal": normal, "profile": "paper", "settings": BASE, "seed": 0, "seeds": 1}
    row |= {"same_images": True, "good": 20, "bad": 63, "last": 91.0, "mean": 90.0, "best": 93.0, "optimism": 3.0}
    row |= {"evaluations": 0.25, "between_seeds": np.nan, "images": 4.0, "low": 85.0, "high": 97.0}
    row["experiments"] = (Experiment.of("mvtec_ad", normal),)
    return row | {"weights": "torchvision"} | {"published": 99.0, "plus_minus": 0.5} | changes


OWN = Experiment.of("textures", "x", profile="laptop")
RELEASED = Experiment.of("textures", "x", weights="vgg-release")
BOTH = [entry("bottle"), entry("capsule", evaluations=0.75, optimism=1.0, published=88.0)]
ENTRIES = pd.DataFrame([*BOTH, entry("x", experiments=(OWN,))], columns=ENTRY)


def rows(fig: Figure) -> list[str]:
    return [text.get_text() for text in fig.axes[0].get_yticklabels()]


def test_spreads_tell_medians_and_draw_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(plt, "close", drawn.append)
    said = show_statistics.spreads(ENTRIES).data
    assert "MVTec AD: last evaluations 0.50, test images 4.00, published ± 0.50; textures (laptop):" in said
    assert "between seeds" not in said  # no entry has any
    assert rows(drawn[0]) == ["MVTec AD", "textures (laptop)"]


def test_intervals_name_seeds_only_where_a_class_stands_twice() -> None:
    figure, said = show_statistics.intervals(ENTRIES[:2])
    assert "interval over test images: bottle 90.0 %, 85.0 to 97.0; " in said
    assert said.endswith("1 of 2 printed figures lie inside.")
    assert rows(figure) == ["bottle", "capsule"]
    splits = pd.DataFrame([entry("h", published=np.nan), entry("h", seed=1, published=np.nan)])
    figure, said = show_statistics.intervals(splits)
    assert rows(figure) == ["seed 0", "seed 1"]
    assert "printed" not in said
    figure, _ = show_statistics.intervals(pd.concat([splits, ENTRIES[:1]]))
    assert rows(figure) == ["h, seed 0", "h, seed 1", "bottle"]


def test_places_name_profile_and_source_where_these_are_not_the_paper_s() -> None:
    assert show_statistics.place(ENTRIES["experiments"][0][0]) == "MVTec AD"
    assert show_statistics.place(OWN) == "textures (laptop)"
    assert show_statistics.place(RELEASED) == "textures (measured with the release)"
