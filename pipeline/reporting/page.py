"""Tables and figures as Markdown, as one self-contained HTML page, and on the terminal."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from pipeline.reporting.picture import FOLDER, Picture
from pipeline.reporting.table import Table

STYLE = """
:root { color-scheme: light dark; --text: #1d2127; --soft: #5c6570; --line: #d8dce1; --page: #ffffff; --band: #f4f6f8;
  --warn: #8a4b00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7eb; --soft: #9aa4b0; --line: #373d45; --page: #16191d; --band: #1f2429; --warn: #f0b35e; } }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; }
p.note { color: var(--soft); margin: .2rem 0 .6rem; font-size: .9rem; } p.warning { color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { background: var(--band); }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .9rem; }
"""


@dataclass(frozen=True)
class Report:
    """Everything the page shows, in this order; `groups` are headed lists of figures."""

    title: str
    introduction: str
    warnings: list[str]
    tables: list[Table]
    groups: list[tuple[str, list[Picture]]]


def render_markdown(report: Report) -> str:
    """The report as Markdown; figures are linked to their files beside it."""
    parts = [f"# {report.title}", report.introduction]
    parts += [f"**Warning:** {warning}" for warning in report.warnings]
    for table in report.tables:
        lines = [table.header, ["---", *(["--:"] * (len(table.header) - 1))], *table.rows]
        parts += [f"## {table.title}", table.note, "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    for title, pictures in report.groups:
        parts.append(f"## {title}")
        parts += [f"![{picture.caption}]({FOLDER}/{picture.name}.png)" for picture in pictures]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_html(report: Report) -> str:
    """The report as one page that needs no other file and no network."""
    body = [f"<h1>{escape(report.title)}</h1>", f"<p>{escape(report.introduction)}</p>"]
    body += [f'<p class="warning">Warning: {escape(warning)}</p>' for warning in report.warnings]
    for table in report.tables:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
        rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in table.rows]
        lines = "\n".join(f"<tr>{row}</tr>" for row in rows)
        body.append(
            f'<h2>{escape(table.title)}</h2>\n<p class="note">{escape(table.note)}</p>\n<div class="scroll"><table>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
        )
    for title, pictures in report.groups:
        body.append(f"<h2>{escape(title)}</h2>")
        for picture in pictures:
            data = base64.b64encode(picture.png).decode()
            caption = escape(picture.caption)
            body.append(
                f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
                f"<figcaption>{caption}</figcaption></figure>"
            )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


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
