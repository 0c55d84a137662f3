"""What the cells of a table are sorted by, and which columns hold numbers."""

import re

from pipeline.reporting.tables.table import Table

NUMBER = re.compile(r"[≈<]?\s?([+-]?\d[\d,]*(?:\.\d+)?)(?![\w/.-])")
ABSENT = ("–", "")


def sort_key(text: str) -> float | None:
    """The number that a cell stands for; None where it is text.

    Of `9/49 = 18 [10, 31]` and of `0.2 → 0.3` that is what stands behind the sign; elsewhere the first number, if the
    cell begins with it.
    """
    found = NUMBER.match(re.split(r" = | → ", text)[-1].strip())
    return float(found[1].replace(",", "")) if found else None


def numeric_columns(table: Table) -> list[bool]:
    """Of every column whether all that stands in it are numbers; they are flushed right."""
    return [
        all(row[column] in ABSENT or sort_key(row[column]) is not None for row in table.rows)
        for column in range(len(table.header))
    ]
