"""Pictures and tables of how sure a result is: all is drawn, alt texts tell figures, no claim of nothing."""

import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.display import HTML, Markdown
from matplotlib.figure import Figure

from book.figures import statistics as show_statistics
from kdlab.experiments.experiment import Experiment
from kdlab.experiments.records import Record
from kdlab.studies.one_factor import BASE
from kdlab.studies.statistics import paired_difference
from kdlab.studies.uncertainty import ENTRY, PAIR, summary

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
GAINS = {0: 0.5, 1: 2.5}
BOTTLE = Experiment.of("mvtec_ad", "bottle")
PAIRS = pd.DataFrame(
    [
        [
            "mvtec_ad",
            "bottle",
            "paper",
            "lam=1.0",
            s,
            90,
            90 + g,
            g,
            g - 1,
            g + 1,
            0.33 - s * 0.3,
            "torchvision",
            (BOTTLE,),
        ]
        for s, g in GAINS.items()
    ],
    columns=PAIR,
)


def record(normal: str, aurocs: list[float], seed: int = 0) -> Record:
    evaluations = [{"epoch": epoch, "image_auroc": auroc} for epoch, auroc in enumerate(aurocs, 1)]
    experiment = Experiment.of("mvtec_ad", normal, seed=seed).to_dict()
    return {"experiment": experiment, "metrics": {"evaluations": evaluations}}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were made into pictures."""
    found: list[Figure] = []
    monkeypatch.setattr(plt, "close", found.append)
    return found


def alt(page: Any) -> str:
    assert isinstance(page, HTML)
    return re.findall(r'alt="([^"]*)"', page.data)[0]


def cells(page: Any) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page.data, re.DOTALL)
    found = (re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows)
    return [[re.sub("<.*?>", "", cell).strip() for cell in row if "kd-how" not in cell] for row in found]


def test_curves_have_a_panel_a_data_set_and_a_line_a_record(drawn: list[Figure]) -> None:
    rising = [0.5 + 0.04 * n for n in range(12)]
    page = show_statistics.curves(
        [record("bottle", rising), record("bottle", rising[::-1], seed=1), record("capsule", [0.6] * 12)]
    )
    assert "MVTec AD: 3 lines, the last evaluations of one at most 8.0 apart" in alt(page)
    lines = drawn[0].axes[0].get_lines()
    assert np.asarray(lines[0].get_ydata()) == pytest.approx([100 * v for v in rising])
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()  # a colour a class
    names = {text.get_text().strip() for text in drawn[0].axes[0].texts}
    assert names == {"bottle"}  # lowest and highest at the end


def test_spreads_tell_medians_and_draw_what_is_known(drawn: list[Figure]) -> None:
    said = alt(show_statistics.spreads(ENTRIES))
    assert "MVTec AD: last evaluations 0.50, test images 4.00, published ± 0.50; textures (laptop):" in said
    assert "between seeds" not in said  # no entry has any
    assert [text.get_text() for text in drawn[0].axes[0].get_yticklabels()] == ["MVTec AD", "textures (laptop)"]
    table = cells(show_statistics.spread_table(ENTRIES))
    assert table[0][8:] == ["last", "mean of the last", "best on test", "best adds"]
    assert table[1][:8] == ["MVTec AD", "20", "63", "1", "0.50", "–", "4.00", "0.50"]
    assert table[1][8:] == ["91.00", "90.00", "93.00", "+2.00"]


def test_intervals_name_seeds_only_where_a_class_stands_twice() -> None:
    figure, said = show_statistics.intervals(ENTRIES[:2])
    assert said.startswith(
        "Mean of the last evaluations and 95 % interval over test images: bottle 90.0 %, 85.0 to 97.0; "
    )
    assert said.endswith("1 of 2 printed figures lie inside.")
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["bottle", "capsule"]
    splits = pd.DataFrame([entry("h", published=np.nan), entry("h", seed=1, published=np.nan)])
    figure, said = show_statistics.intervals(splits)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["seed 0", "seed 1"]
    assert "printed" not in said
    figure, _ = show_statistics.intervals(pd.concat([splits, ENTRIES[:1]]))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["h, seed 0", "h, seed 1", "bottle"]


def test_places_name_profile_and_source_where_these_are_not_the_paper_s() -> None:
    assert show_statistics.place(BOTTLE) == "MVTec AD"
    assert show_statistics.place(OWN) == "textures (laptop)"
    assert show_statistics.place(RELEASED) == "textures (measured with the release)"


def test_differences_show_each_pair_and_their_mean(drawn: list[Figure]) -> None:
    said = alt(show_statistics.differences(PAIRS))
    gains = {("bottle", seed): gain for seed, gain in GAINS.items()}
    mean = paired_difference(dict.fromkeys(gains, 0.0), gains)
    assert said == (
        "2 differences from +0.5 to +2.5 points; 1 of the intervals leave out 0. "
        f"Mean +1.50, 95 % from {mean.low:+.2f} to {mean.high:+.2f}."
    )
    labels = [text.get_text() for text in drawn[0].axes[0].get_yticklabels()]
    assert labels == ["seed 0", "seed 1", "mean, t over seeds"]
    table = cells(show_statistics.summary_table(summary(PAIRS)))
    assert table[1] == [
        "MVTec AD",
        "lam=1.0",
        "2",
        "2 seeds",
        "+1.50",
        f"{mean.low:+.2f}",
        f"{mean.high:+.2f}",
        f"{mean.p:.2f}",
        "1",
    ]


@pytest.mark.parametrize(
    ("draw", "rows"),
    [
        (show_statistics.curves, []),
        (show_statistics.spreads, ENTRIES[:0]),
        (show_statistics.spread_table, ENTRIES[:0]),
        (show_statistics.differences, PAIRS[:0]),
        (show_statistics.summary_table, summary(PAIRS[:0])),
    ],
)
def test_where_nothing_is_the_page_says_what_makes_some(draw: Any, rows: Any) -> None:
    found = draw(rows)
    assert isinstance(found, Markdown)
    assert "python -m kdlab run" in found.data
