"""Pictures and tables of the audit."""

import re

import pandas as pd
import pytest

from book.figures import audit as show_audit
from book.figures import tables as show_tables
from kdlab.audit import tables
from kdlab.audit.errata import errata

pytestmark = pytest.mark.usefixtures("plots")


def test_means_wins_and_rows_apart() -> None:
    fig = show_audit.means(tables.means())
    assert {"CapsNetPP", "last-2"} <= {text.get_text() for text in fig.axes[0].texts}
    compared = tables.against()
    fig = show_audit.wins(compared)
    titles = [axis.get_title() for axis in fig.axes]
    assert len(titles) == 5
    assert "Table 4, mvtec_ad, localization" in titles
    names = [t.get_text() for axis in fig.axes for t in axis.get_yticklabels()]
    assert sum(name.endswith("*") for name in names) == (compared["adjusted"] < 0.05).sum()
    fig = show_audit.apart(pd.DataFrame({"bottle": [1.0, -2.0], "cable": [0.0, 0.5]}, index=["a", "b"]))
    assert [t.get_text() for t in fig.axes[0].texts] == ["+1.00", "+0.00", "-2.00", "+0.50"]


def test_the_table_of_sentences_needs_no_network() -> None:
    page = str(show_tables.sortable(errata(), name="errata-table").data)
    assert 'id="errata-table"' in page
    assert not re.search(r"(src|href)\s*=\s*[\"']https?:", page)
    assert "Table 7, mvtec_ad, last-2, cable" in page
