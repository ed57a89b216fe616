"""No figure of the book is typed by hand, and the linter that says so finds those that are."""

from pathlib import Path

import lint
import pytest
from conftest import write_notebook


def found(markdown: str) -> list[str]:
    return [match[0] for match in lint.typed(lint.prose(markdown))]


def test_no_figure_of_the_book_is_typed_by_hand() -> None:
    offenders = "\n".join(lint.check())
    assert not offenders, f"read these from records or published.csv, or allow them with a reason:\n{offenders}"


@pytest.mark.parametrize(
    ("text", "planted"),
    [
        ("We reach 93.4 on average.", ["93.4"]),
        ("It ends at 93.4.", ["93.4"]),
        ("From 91.2–93.41, (92.5)", ["91.2", "93.41", "92.5"]),
        ("87 % of them, 85–90\u00a0%, 3 per cent", ["87 %", "90 %", "3 per cent"]),
        ("four points; 4 points; 4.5 percentage points", ["4 points", "4.5 percentage points"]),
        ("12 times faster, 7× slower", ["12 times", "7×"]),
        ("trained in 35 s, 12 minutes, at 300 images/s, 812 MiB", ["35 s", "12 minutes", "300 images/s", "812 MiB"]),
        ("| bottle | 99.4 |\n|---|---|\n| capsule | 80.5 |", ["99.4", "80.5"]),
        ("![A map with 96.3](map.png)", ["96.3"]),
        ("See Table 3: 87.74 is its mean, as in Sec. 4.2.", ["87.74"]),
        ("```{note}\nOur mean is 88.3.\n```", ["88.3"]),
        ("```{note}\ninside\n```\nbetween 88.3\n```bash\n5 %\n```\nafter 1.5", ["88.3", "1.5"]),
        (":::{note} A title of 1.5\n```\n2.5\n```\n3.5\n:::", ["1.5", "3.5"]),
        ("> quoted: a margin of 3 %", ["3 %"]),
    ],
)
def test_planted_figures_are_found(text: str, planted: list[str]) -> None:
    assert found(text) == planted


@pytest.mark.parametrize(
    "text",
    [
        "Four of the 15 categories at 128 px, batches of 64, 1,024 draws, in 2021.",
        "a map of 128 × 128 pixels, 3×3 ellipse",
        "`lam=0.5` and ``x = 0.25``, {cite:p}`salehi2021mkd`, {eq}`eq-1.5`",
        "$\\lambda = 0.01$ and\n\n$$\nx = 0.5\n$$\n\nthe end",
        "```bash\npython -m kdlab run --lr 0.001\n```",
        "```{math}\n:label: eq-1\nx = 0.5 \\text{ and } 20\\%\n```",
        "```{figure} images/a.svg\n:width: 80%\nA figure.\n```",
        "[a link](../a/0.5.md), <https://example.org/v1.2/>, [x]: https://example.org/93.4",
        "Python 3.11, CC BY-NC-SA 4.0, torch 2.14.1, version 1.2",
        "Sec. 3.3.4 and Section 4.2; Tables 3.1, 3.2 and 3.4; Eq. 1.2; Figs. 1.1–1.3",
        '<img width="93.4%">\n<style>\nh1 { margin: 0.5rem }\n</style>',
    ],
)
def test_harmless_numbers_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_texts_in_code_are_prose_and_their_values_are_not() -> None:
    source = (
        'show(f"A mean of {ours:.2f}, above 91.5 as published.", alt="A line at 12.5 in grey.")  # was 88.2 before\n'
        'steps = [0.1, "0.25"]\nticks = ["1.5", "2.5"]'
    )
    assert {number for text in lint.in_code(source) for number in found(text)} == {"91.5", "12.5", "88.2"}


def test_what_is_allowed_may_stand_in_its_file_and_around_its_words_only(tmp_path: Path) -> None:
    """What is planted is named with its file; what is allowed for nothing is an error."""
    for folder in ("chapters", "build"):
        (tmp_path / "book" / folder).mkdir(parents=True)
    page = "# Title\n\n```text\n1.5\n```\n\nA level of 0.05, a share of 0.05.\n\n- one, 95 % of\n- two, 93.4\n"
    (tmp_path / "book" / "chapters" / "page.md").write_text(page)
    write_notebook(tmp_path / "notebooks" / "page.ipynb", "x = 0.5", '"a mean of 88.25 points"', "# a level of 0.05")
    rules = """
    [[allowed]]
    reason = "a test"
    in."book/chapters/page.md" = ['level of 0\\.05', "never 5 %", "one"]
    in."*" = ["95 % of"]
    """
    (tmp_path / "book" / "build" / "lint_allowed.toml").write_text(rules)
    *numbers, first, second = lint.check(tmp_path)
    assert [line.partition(", in “")[0] for line in numbers] == [
        *("book/chapters/page.md: 0.05", "book/chapters/page.md: 93.4"),
        *("notebooks/page.ipynb: 88.25 points", "notebooks/page.ipynb: 0.05"),
    ]
    assert "'never 5 %' covers no number in book/chapters/page.md" in first
    assert "'one' covers no number" in second
