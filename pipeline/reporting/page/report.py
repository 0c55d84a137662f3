"""What the report holds, and its tables and figures as Markdown and on the terminal (as a page: `html_page`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from pipeline.reporting.figures.picture import FOLDER, Picture
from pipeline.reporting.tables.sorting import numeric_columns
from pipeline.reporting.tables.table import Table

Group = tuple[str, list[Picture]]  # heading, pictures


@dataclass(frozen=True)
class Block:
    """How one row was made: facts by name, its cells, and commands with what they do."""

    title: str
    place: str
    facts: list[tuple[str, str]]
    table: Table
    commands: list[tuple[str, str]]


@dataclass(frozen=True)
class Section:
    """A part of the page with an entry in its navigation.

    Attributes:
        title: its heading.
        text: a paragraph.
        tables: shown at once.
        more: tables that are folded.
        groups: figures under headings.
        blocks: how rows were made.
        drawing: SVG or other markup that this room made of escaped text; on the page only.
    """

    title: str
    text: str = ""
    tables: list[Table] = field(default_factory=list)
    more: list[Table] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    drawing: str = ""

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.tables or self.more or self.blocks or self.drawing or any(own for _, own in self.groups))


@dataclass(frozen=True)
class Report:
    """Everything the page shows, in this order."""

    title: str
    introduction: str
    warnings: list[str]
    sections: list[Section]

    def tables(self) -> Iterator[Table]:
        """Every table of every section."""
        for section in self.sections:
            yield from section.tables
            yield from section.more
            yield from (block.table for block in section.blocks)


def render_markdown(report: Report) -> str:
    """The tables as Markdown, and links to the files of the figures; how rows were made stands on the page."""
    parts = [f"# {report.title}", report.introduction]
    parts += [f"**Warning:** {warning}" for warning in report.warnings]
    for section in report.sections:
        for table in section.tables + section.more:
            sides = ["--:" if numbers else "---" for numbers in numeric_columns(table)]
            lines = [table.header, sides, *table.rows]
            parts += [f"## {table.title}", table.note, "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    for title, pictures in [group for section in report.sections for group in section.groups]:
        parts.append(f"## {title}")
        parts += [f"![{picture.caption}]({FOLDER}/{picture.name}.png)" for picture in pictures]
    return "\n\n".join(part for part in parts if part) + "\n"


def print_tables(tables: Sequence[Table], warnings: Sequence[str], console: Console) -> None:
    """The tables and warnings on the terminal; a note is printed where it differs from the one before."""
    note = ""
    for table in tables:
        console.print(f"\n{table.title}", style="bold", markup=False, highlight=False)
        if table.note != note:
            console.print(table.note, style="dim", markup=False, highlight=False)
        note = table.note
        shown = RichTable(box=SIMPLE_HEAD, pad_edge=False)
        for number, name in enumerate(table.header):
            shown.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False)
