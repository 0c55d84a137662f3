"""The tables of docs/results.md are what the committed cells give: no cell is typed by hand."""

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.experiment_table import tables_of
from benchmarks.fill_tables import fill, markdown, read_tables
from benchmarks.label_saving_probes import summary
from benchmarks.label_saving_table import compare

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "results.md").read_text(encoding="utf-8")
NAMES = re.findall(r"<!-- table: ([\w.-]+) -->", PAGE)


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    study = compare(pd.read_csv(DOCS / "results/label_saving.csv"), ["scenes", "steps"])
    return {
        **tables_of(DOCS / "results/experiments.csv"),
        **read_tables(DOCS / "results/robustness"),
        **read_tables(DOCS / "results/main_table"),
        "label_saving": markdown(study),
        "label_saving_probes": markdown(summary(pd.read_csv(DOCS / "results/probes.csv"))),
    }


def test_every_table_between_marks_is_known(tables: dict[str, str]) -> None:
    assert len(NAMES) > 10
    assert [name for name in NAMES if name not in tables] == []


def test_the_page_holds_the_tables(tables: dict[str, str]) -> None:
    """An edited cell, a stale table, an edited CSV: the heads of the benchmarks say how to write the page anew."""
    for name in NAMES:
        (there,) = re.findall(rf"<!-- table: {re.escape(name)} -->\n(.*?)\n<!-- end -->", PAGE, flags=re.DOTALL)
        assert there == tables[name], name


def test_fill_replaces_what_is_between_marks_and_nothing_else() -> None:
    page = "a\n<!-- table: x -->\nold\n<!-- end -->\nb\n<!-- table: y -->\nkept\n<!-- end -->\n"
    assert fill(page, {"x": "new"}) == page.replace("old", "new")
