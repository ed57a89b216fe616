"""The ranked list: in order, described, complete; and commands as a shell shows them."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from book.figures import ranked as show_ranked
from kdlib import Detector, Split
from kdlib.data import Images

PICTURES = np.zeros((4, 8, 8, 3), np.uint8)
IMAGES = Images(PICTURES, ("a.png", "<b>.png", "c.png", "d.png"))
SCORES = np.array([1.0, 4, 3, 2])


def test_table_is_in_order_and_counts_what_it_leaves_out() -> None:
    heat = np.zeros((8, 8))
    heat[7, 0] = 1
    html = show_ranked.table(IMAGES, SCORES, {1: heat}, threshold=2.5, rows=[0, 3, 3], scale=(0, 1)).data
    assert re.findall('<tr class="(flagged|gap|passed)">', html) == ["flagged", "gap", "passed"]
    assert "2 more" in html
    assert re.findall('<td class="name">(.*?)</td>', html) == ["&lt;b&gt;.png", "a.png"]
    alts = re.findall('alt="(.*?)"', html)
    assert len(alts) == html.count("<img") == 3
    assert alts[1] == "Rank 1: map of &lt;b&gt;.png laid over it, brightest in the lower left of it"
    assert not any(alt.endswith(".png") for alt in alts)
    assert html.count("data:image/jpeg;base64,") == 3


def test_a_score_at_the_threshold_passes_and_equal_scores_are_no_error() -> None:
    html = show_ranked.table(IMAGES, np.ones(4), {}, threshold=1.0, rows=range(4), scale=(0, 0)).data
    assert re.findall('<tr class="(flagged|passed)">', html) == ["passed"] * 4
    assert "nan" not in html


def test_overlay_leaves_a_calm_map_dark_and_lights_a_bright_one() -> None:
    picture = Image.new("RGB", (16, 16), (100, 100, 100))
    heat = np.zeros((8, 8))
    heat[4:, :] = 2
    found = np.asarray(show_ranked.overlay(picture, heat, scale=(0, 1)))
    assert found.shape == (16, 16, 3)
    assert (found[0] == 65).all()
    assert (found[-1, :, 0] > 200).all()


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [(0, 0, "in the upper left"), (4, 4, "in the middle"), (0, 4, "in the upper middle"), (4, 8, "in the right")],
)
def test_where(row: int, column: int, place: str) -> None:
    heat = np.zeros((9, 9))
    heat[row, column] = 1
    assert show_ranked.where(heat) == place


def test_shell_shows_command_output_and_failure(tmp_path: Path, fitted: Detector, digits: Split) -> None:
    (tmp_path / "new ones").mkdir()
    for number in range(4):
        digits.test.image(number).save(tmp_path / "new ones" / f"{number}.png")
    fitted.save(tmp_path / "d.safetensors")
    said = show_ranked.shell("score", tmp_path / "d.safetensors", tmp_path / "new ones", base=tmp_path, lines=5)
    command, few, limit, head, *rows, more = said.splitlines()
    assert (few[:7], limit[:16]) == ("kdlib: ", "kdlib: threshold")
    assert command == "$ python -m kdlib score d.safetensors 'new ones'"
    assert (head.split(",")[:2], len(rows), more) == (["name", "score"], 2, "… 2 more lines")
    said = show_ranked.shell("score", tmp_path / "none", tmp_path / "new ones", base=tmp_path)
    assert said.splitlines()[1].startswith("kdlib: ")
    assert said.endswith("(exit status 2)")
