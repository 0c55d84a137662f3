"""Boxes and arrows as SVG: lineages in a page that needs no network. Colours come from the CSS of the page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

LINE, TOP, INDENT = 15, 19, 10  # pixels: between lines of a box, above its first one, left of all
COURSE = 6.6  # pixels a letter, about: the width of a box is told by its longest line


@dataclass(frozen=True)
class Box:
    """An artifact.

    Attributes:
        key: names it among the boxes.
        lines: what stands in it, the first line first.
        inputs: keys of the boxes that arrows come from; keys that no box has are left out.
        href: where a click leads.
        tip: what a pointer over it shows.
        style: a CSS class.
    """

    key: str
    lines: Sequence[str]
    inputs: Sequence[str]
    href: str
    tip: str = ""
    style: str = "good"


def draw(
    boxes: Sequence[Box], width: int, gap: tuple[int, int], *, downwards: bool = False, label: str = "lineage"
) -> str:
    """An SVG element; arrows lead to the right, or down. A box stands one step before the first that reads it.

    Args:
        boxes: inputs before what was made from them.
        width: of a box, pixels.
        gap: between boxes, pixels, to the right and down.
        downwards: a step is a row of boxes, not a column.
        label: what a screen reader says.
    """
    height = TOP + LINE * max(len(box.lines) for box in boxes)
    steps = _steps(boxes)
    place: dict[str, tuple[int, int]] = {}
    widest = max(map(len, steps))
    for number, step in enumerate(steps):
        # A row that is nearly full begins at the left, so that columns of arms stay columns.
        offset = (widest - len(step)) / 2 if downwards and 2 * len(step) <= widest else 0.0
        for order, box in enumerate(step):
            across, along = (order + offset, number) if downwards else (number, order)
            place[box.key] = (round(across * (width + gap[0])) + 1, along * (height + gap[1]) + 1)
    right = max(x for x, _ in place.values()) + width + 1
    bottom = max(y for _, y in place.values()) + height + 1
    parts = [
        f'<svg viewBox="0 0 {right} {bottom}" width="{right}" height="{bottom}" role="img" '
        f'aria-label="{html.escape(label)}">'
    ]
    for box in boxes:
        parts += [
            _arrow(place[source], place[box.key], width, height, downwards) for source in box.inputs if source in place
        ]
    parts += [_box(box, *place[box.key], width, height) for box in boxes]
    return "\n".join([*parts, "</svg>"])


def without_detours(boxes: Sequence[Box]) -> list[Box]:
    """The same boxes; an arrow goes where a longer way leads along other arrows."""
    above: dict[str, set[str]] = {}
    kept = []
    for box in boxes:
        implied = set().union(*(above.get(source, set()) for source in box.inputs))
        inputs = [source for source in dict.fromkeys(box.inputs) if source not in implied]
        above[box.key] = implied | set(box.inputs)
        kept.append(Box(box.key, box.lines, inputs, box.href, box.tip, box.style))
    return kept


def _steps(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes by their distance to the end, the farthest first, each step in the given order."""
    distance = {box.key: 0 for box in boxes}
    for box in reversed(boxes):
        for source in box.inputs:
            if source in distance:
                distance[source] = max(distance[source], distance[box.key] + 1)
    return [[box for box in boxes if distance[box.key] == far] for far in range(max(distance.values()), -1, -1)]


def _arrow(start: tuple[int, int], end: tuple[int, int], width: int, height: int, downwards: bool) -> str:
    if downwards:
        x0, y0, x1, y1 = start[0] + width // 2, start[1] + height, end[0] + width // 2, end[1]
        bend = (y0 + y1) // 2
        return f'<path d="M{x0},{y0} C{x0},{bend} {x1},{bend} {x1},{y1}"/>'
    x0, y0, x1, y1 = start[0] + width, start[1] + height // 2, end[0], end[1] + height // 2
    bend = (x0 + x1) // 2
    return f'<path d="M{x0},{y0} C{bend},{y0} {bend},{y1} {x1},{y1}"/>'


def _box(box: Box, x: int, y: int, width: int, height: int) -> str:
    room = int((width - INDENT) / COURSE)
    texts = "".join(
        f'<text{" class=" + chr(34) + "dim" + chr(34) if number else ""} x="{x + INDENT}" y="{y + TOP + LINE * number}">'
        f"{html.escape(line if len(line) <= room else f'…{line[1 - room :]}')}</text>"
        for number, line in enumerate(box.lines)
    )
    return (
        f'<a href="{html.escape(box.href)}" class="{html.escape(box.style)}"><title>{html.escape(box.tip)}</title>'
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>{texts}</a>'
    )
