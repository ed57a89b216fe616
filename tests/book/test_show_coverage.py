"""Tables to search: the scoreboard's, with its page, and the audit's."""

import json
import os
import re
from pathlib import Path
from unittest import mock

import execute
import nbformat
import pytest
from conftest import Write

from book.figures import tables as show_tables
from kdlab import coverage, paper
from kdlab.audit.errata import errata


def test_the_table_has_every_entry_and_loads_nothing(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("fashion_mnist", "3", 0.93)
    html = str(show_tables.interactive(coverage.scoreboard()).data)
    rows = json.loads(json.loads(re.findall(r'"data_json": (".*"),?$', html, re.MULTILINE)[0]))
    assert len(rows) == 387
    (row,) = (row for row in rows if row[7] == pytest.approx(93) and row[6] == 93.8)
    assert row[0] == "python -m kdlab run --dataset fashion_mnist --normal-class 3"
    assert row[1:6] == [2, "fashion_mnist", "MKDAD", "3", "paper"]
    assert not re.findall(r"<script[^>]* src=|<link|import .* from", html)


@pytest.mark.slow
@pytest.mark.parametrize("some", [True, False])
def test_the_scoreboard_says_what_the_records_say(write: Write, results: Path, tmp_path: Path, some: bool) -> None:
    results.mkdir()
    if some:
        for number in range(10):
            write("mnist", str(number), 0.99)
        write("fashion_mnist", "3", 0.93, profile="laptop")
        write("cifar10", "dog", 0.123, profile="smoke")
        (results / "mnist" / "torn.json").write_text("{")
    source = Path(__file__).parents[2] / "notebooks" / "scoreboard.ipynb"
    target = tmp_path / "out.ipynb"
    with mock.patch.dict(os.environ):  # the kernel's settings are for this test alone
        execute.install_kernel(tmp_path)
        assert not execute.run(source, target, {}, {"profile": "smoke"}, timeout=120).problem
    outputs = [o for cell in nbformat.read(target, as_version=4).cells for o in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type != "display_data" and o.output_type != "execute_result"]
    said = "\n".join(o.data.get("text/markdown", "") for o in outputs)
    shown = "\n".join(o.data.get("text/html", "") for o in outputs)
    assert "387 entries in 11 tables, 33 of them means, on 7 data sets." in said
    if not some:
        assert "0 of 387 entries have a number of ours" in said
        return
    assert "All together: 11 paper, 1 laptop, 375 not run." in shown
    off = sum(99 - published for published in paper.own_entries(table=2, dataset="mnist")["auroc"]) / 11
    assert f"11 of 387 entries have a number of ours, mean difference {off:+.2f} points" in said
    assert "results/mnist/torn.json" in said
    assert "12.30" not in shown
    assert str(tmp_path) not in said + shown


def test_the_table_of_sentences_needs_no_network() -> None:
    page = str(show_tables.sortable(errata(), name="errata-table").data)
    assert 'id="errata-table"' in page
    assert not re.search(r"(src|href)\s*=\s*[\"']https?:", page)
    assert "Table 7, mvtec_ad, last-2, cable" in page
