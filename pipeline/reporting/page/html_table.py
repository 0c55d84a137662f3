"""A table as HTML; what its cells are sorted by stands beside them."""

import re
from collections.abc import Collection
from html import escape

from pipeline.reporting.tables.anchors import arm_anchor
from pipeline.reporting.tables.sorting import ABSENT, numeric_columns, sort_key
from pipeline.reporting.tables.table import Table

LEFT, FACTS = ' class="left"', ' class="facts"'


def prose(text: str) -> str:
    """A paragraph's text as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def render_table(table: Table, arms: Collection[str] = ()) -> str:
    """The table with its note and links to its files.

    Args:
        table: with or without a name.
        arms: those that have a block on the page: their names, and numbers below them, link to it.
    """
    numeric = numeric_columns(table)
    head = "".join(
        f'<th scope="col"{"" if numbers else LEFT}>{escape(cell)}</th>'
        for cell, numbers in zip(table.header, numeric, strict=True)
    )
    rows = "\n".join(_row(table, number, numeric, arms) for number in range(len(table.rows)))
    return (
        f'<p class="note">{prose(table.note)}{_files(table.name)}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table{'' if any(table.header) else FACTS}>\n"
        f"{f'<thead><tr>{head}</tr></thead>' if any(table.header) else ''}\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _files(name: str) -> str:
    if not name:
        return ""
    links = (f'<a href="tables/{escape(name)}.{end}">{told}</a>' for end, told in (("csv", "CSV"), ("tex", "LaTeX")))
    return f' <span class="files">{" ".join(links)}</span>'


def _row(table: Table, number: int, numeric: list[bool], arms: Collection[str]) -> str:
    place, cells = table.cells.places.get(number), []
    for column, text in enumerate(table.rows[number]):
        key = sort_key(text)
        sort = ' data-key=""' if text in ABSENT else "" if key is None else f' data-key="{key:g}"'
        shown = escape(text)
        target = table.cells.links.get((number, column))
        if target is None and text not in ABSENT:
            named = next((name for name in (text, table.header[column]) if name in arms), None)
            target = arm_anchor(named) if named else None
        if target:
            shown = f'<a href="#{escape(target)}">{shown}</a>'
        cells.append(f"<td{'' if numeric[column] else LEFT}{sort}>{shown}</td>")
    rule = ' class="rule"' if number in table.cells.rules else ""
    return f"<tr{f' id={chr(34)}{escape(place)}{chr(34)}' if place else ''}{rule}>{''.join(cells)}</tr>"
