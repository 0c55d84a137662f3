"""The lineage of an artifact as a picture: Mermaid text for a README, or one HTML page that needs no network."""

import html
import json
from collections.abc import Mapping
from typing import Any

from pipeline.artifacts.audit import Link, chain
from pipeline.artifacts.diagram import Box, draw
from pipeline.artifacts.lock import flatten

WIDTH, GAP_X, GAP_Y = 300, 70, 22  # of a box and between boxes, in pixels
STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
svg { max-width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif }
.good rect { fill: #eaf6ec; stroke: #2b8a3e } .bad rect { fill: #fdecea; stroke: #c92a2a; stroke-width: 2 }
path { fill: none; stroke: #868e96 } a { color: inherit } .dim { fill: #666 }
details { margin: .4em 0 } .problem { color: #c92a2a } .note { color: #8a6d00 }
table { border-collapse: collapse; margin: .5em 0 } td { padding: .1em .8em .1em 0; vertical-align: top }
td:first-child { color: #666 } code { font-size: 12px }
"""


def to_mermaid(link: Link) -> str:
    """A Mermaid flowchart, inputs on the left; broken links are red."""
    links = chain(link)
    number = {path: f"n{place}" for place, path in enumerate(links)}
    lines = ["flowchart LR"]
    for path, one in links.items():
        text = "<br>".join(_mermaid_text(line) for line in _lines(one))
        lines.append(f'  {number[path]}["{text}"]:::{"bad" if one.problems else "good"}')
    lines += [f"  {number[source]} --> {number[path]}" for source, path in _edges(links)]
    lines += ["  classDef good fill:#eaf6ec,stroke:#2b8a3e", "  classDef bad fill:#fdecea,stroke:#c92a2a"]
    return "\n".join(lines) + "\n"


def to_html(link: Link) -> str:
    """One page: the graph as SVG, and under it what every card says. Everything from a card is escaped."""
    links = chain(link)
    title = f"Lineage of {link.path}"
    bad = sum(bool(one.problems) for one in links.values())
    verdict = f"{bad} of {len(links)} links do not fit" if bad else f"every one of {len(links)} links fits"
    details = "\n".join(_details(one, number) for number, one in reversed([*enumerate(links.values())]))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{html.escape(title)}</h1>\n"
        f"<p>{verdict}. Inputs are on the left; a box leads to its card.</p>\n{_svg(links)}\n"
        f"{details}\n</body></html>\n"
    )


def _svg(links: Mapping[str, Link]) -> str:
    boxes = [
        Box(
            path, _lines(one), [source.path for source in one.inputs], f"#link{number}",
            "\n".join([path, *one.problems, *one.notes]), "bad" if one.problems else "good",
        )
        for number, (path, one) in enumerate(links.items())
    ]  # fmt: skip
    return draw(boxes, WIDTH, (GAP_X, GAP_Y))


def _details(link: Link, number: int) -> str:
    rows = {"kind": link.kind, "stage": link.stage, "identity": link.identity}
    card = link.card
    if card:
        rows["labelled frames"] = labels_text(card)
        lists = card.get("details", {}).get("label lists", {})
        rows |= {
            f"labels of fraction {name}": f"{own['frames']} frames, {own['sha256']}" for name, own in lists.items()
        }
        rows["seeds"] = ", ".join(map(str, card.get("seeds", [])))
        rows["code"] = f"{len(card['code']['files'])} files, {card['code'].get('digest', '')}"
        rows |= {f"environment: {name}": str(value) for name, value in flatten(card.get("environment", {}))}
        rows |= {name: json.dumps(value) for name, value in flatten(card["params"])}
    told = "".join(f'<p class="problem">{html.escape(text)}</p>' for text in link.problems)
    told += "".join(f'<p class="note">{html.escape(text)}</p>' for text in link.notes)
    table = "".join(
        f"<tr><td>{html.escape(name)}</td><td><code>{html.escape(value)}</code></td></tr>"
        for name, value in rows.items()
        if value
    )
    opened = " open" if link.problems else ""
    summary = f"<summary>{html.escape(link.path)}</summary>"
    return f'<details id="link{number}"{opened}>{summary}{told}<table>{table}</table></details>'


def labels_text(card: Mapping[str, Any]) -> str:
    """How many labelled frames influenced an artifact, in words."""
    ledger = card["labels"]
    behind = [entry["count"] for entry in ledger["inherited"]]
    words = [str(ledger["count"])]
    words += [f"and behind its inputs {', '.join(map(str, behind))}"] if behind else []
    words += [f"and outside: {', '.join(ledger['outside'])}"] if ledger.get("outside") else []
    return " ".join(words)


def _lines(link: Link) -> list[str]:
    """What stands in a box."""
    labels = f"labelled frames: {labels_text(link.card)}" if link.card else "no card"
    return [link.path, f"{link.kind} {link.identity[:12]}", labels]


def _edges(links: Mapping[str, Link]) -> list[tuple[str, str]]:
    return [(source.path, path) for path, one in links.items() for source in one.inputs if source.path in links]


def _mermaid_text(text: str) -> str:
    return html.escape(text).replace("&#x27;", "#39;").replace("&quot;", "#quot;").replace("`", "#96;")
