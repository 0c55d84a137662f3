"""The report as one HTML page that needs no other file and no network."""

import base64
import hashlib
from collections.abc import Collection
from html import escape

import cv2
import numpy as np

from pipeline.reporting.figures.picture import FOLDER, Picture
from pipeline.reporting.page.html_table import prose, render_table
from pipeline.reporting.page.report import Block, Report, Section
from pipeline.reporting.page.style import SCRIPT, STYLE
from pipeline.reporting.tables.anchors import anchor
from pipeline.reporting.tables.table import Table

LARGE = 200_000  # bytes of a PNG above which the page embeds it as WebP
QUALITY = 85
SHOWN = 2  # figures of a group; where there are two more or many, they are folded


def render_html(report: Report) -> str:
    """The page. Its policy lets run this style and this script, by digest, shows embedded images, and loads nothing."""
    arms = {block.title for section in report.sections for block in section.blocks}
    entries = [(anchor(section.title), section.title) for section in report.sections]
    links = "".join(f'<li><a href="#{place}">{escape(title)}</a></li>' for place, title in entries)
    warnings = "".join(f'<p class="warning">Warning: {escape(warning)}</p>\n' for warning in report.warnings)
    sections = "\n".join(_section(section, arms) for section in report.sections)
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(STYLE)}'; script-src '{_digest(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<nav aria-label="Sections"><p>{escape(report.title)}</p><ul>{links}</ul></nav>\n<main>\n'
        f"<h1>{escape(report.title)}</h1>\n<p>{prose(report.introduction)}</p>\n{warnings}{sections}\n</main>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _section(section: Section, arms: Collection[str]) -> str:
    parts = [f'<section id="{anchor(section.title)}">\n<h2>{escape(section.title)}</h2>']
    parts += [f"<p>{prose(section.text)}</p>"] if section.text else []
    parts += [f'<div class="scroll" tabindex="0" role="region" aria-label="graph">{section.drawing}</div>'] * bool(
        section.drawing
    )
    for table in section.tables:
        parts += [f"<h3>{escape(table.title)}</h3>"] * (table.title != section.title)
        parts.append(render_table(table, arms))
    parts += ["<h3>In detail</h3>"] * bool(section.more)
    parts += [_folded(table, arms) for table in section.more]
    parts += [_block(block) for block in section.blocks]
    for title, pictures in section.groups:
        parts += [f"<h3>{escape(title)}</h3>"] * (title != section.title)
        figures = [_figure(picture) for picture in pictures]
        shown = len(figures) if len(figures) <= SHOWN + 1 else SHOWN
        parts += figures[:shown]
        if rest := figures[shown:]:
            parts += [f"<details><summary>{len(rest)} more</summary>", *rest, "</details>"]
    return "\n".join([*parts, "</section>"])


def _folded(table: Table, arms: Collection[str]) -> str:
    return f"<details><summary>{escape(table.title)}</summary>\n{render_table(table, arms)}\n</details>"


def _block(block: Block) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in block.facts)
    commands = "".join(f"<dt><code>{escape(line)}</code></dt><dd>{escape(what)}</dd>" for line, what in block.commands)
    return (
        f'<article id="{escape(block.place)}">\n<h3>{escape(block.title)}</h3>\n<dl>{facts}</dl>\n'
        f"{render_table(block.table)}\n<dl>{commands}</dl>\n</article>"
    )


def _figure(picture: Picture) -> str:
    kind, content = _small(picture.png)
    data, caption, name = base64.b64encode(content).decode(), escape(picture.caption), escape(picture.name)
    files = " ".join(f'<a href="{FOLDER}/{name}.{end}">{end.upper()}</a>' for end in ("png", "svg"))
    return (
        f'<figure><img alt="{caption}" src="data:image/{kind};base64,{data}"><figcaption>{caption} '
        f'<span class="files">{files}</span></figcaption></figure>'
    )


def _small(png: bytes) -> tuple[str, bytes]:
    """Kind and bytes of what is embedded: a photograph as a PNG is some ten times as large as it needs to be."""
    if len(png) <= LARGE:
        return "png", png
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    return "webp", cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()
