"""Boxes and arrows as SVG: lineages in a page that needs no network. Colours come from the CSS of the page."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace

LINE, TOP, INDENT = 15, 19, 9  # pixels: between lines of a box, above its first one, left of all
COURSE = 7.2  # pixels a letter of 12, about: a longer name loses its beginning, other lines their end


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
        boxes: in the order in which they stand beside each other.
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
    along = int(downwards)
    leave, enter = ((width // 2, height), (width // 2, 0)) if downwards else ((width, height // 2), (0, height // 2))
    for box in boxes:
        for source in box.inputs:
            if source in place:
                (x0, y0), (x1, y1) = place[source], place[box.key]
                start, end = (x0 + leave[0], y0 + leave[1]), (x1 + enter[0], y1 + enter[1])
                free = not any(
                    start[along] < corner[along] < end[along]
                    and corner[1 - along] <= end[1 - along] <= corner[1 - along] + (width, height)[1 - along]
                    for corner in place.values()
                )
                parts.append(_arrow(start, end, gap[along] if free else None, downwards))
    parts += [_box(box, *place[box.key], width, height) for box in boxes]
    return "\n".join([*parts, "</svg>"])


def without_detours(boxes: Sequence[Box]) -> list[Box]:
    """The same boxes; an arrow goes where a longer way leads along other arrows."""
    inputs = {box.key: list(dict.fromkeys(box.inputs)) for box in boxes}
    above: dict[str, set[str]] = {}

    def visit(key: str) -> set[str]:
        if key not in above:
            above[key] = set()  # what a ring of boxes meets
            above[key] = set(inputs.get(key, ())).union(*(visit(source) for source in inputs.get(key, ())))
        return above[key]

    return [
        replace(
            box, inputs=[source for source in inputs[box.key] if not any(source in visit(o) for o in inputs[box.key])]
        )
        for box in boxes
    ]


def _steps(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes by their distance to the end, the farthest first, each step in the given order."""
    distance = {box.key: 0 for box in boxes}
    for _ in boxes:
        before = dict(distance)
        for box in boxes:
            for source in distance.keys() & set(box.inputs):
                distance[source] = max(distance[source], distance[box.key] + 1)
        if distance == before:
            break
    return [[box for box in boxes if distance[box.key] == far] for far in sorted({*distance.values()}, reverse=True)]


def _arrow(start: tuple[int, int], end: tuple[int, int], gap: int | None, downwards: bool) -> str:
    """Within the first `gap` a curve to the column (or row) of the end, then straight on; all of it a curve if None.

    Where other boxes stand in that column, a straight line would seem to come from them.
    """
    (x0, y0), (x1, y1) = start, end
    turn = (y1 if downwards else x1) if gap is None else (y0 if downwards else x0) + gap
    if downwards:
        bend = (y0 + turn) // 2
        return f'<path d="M{x0},{y0} C{x0},{bend} {x1},{bend} {x1},{turn} L{x1},{y1}"/>'
    bend = (x0 + turn) // 2
    return f'<path d="M{x0},{y0} C{bend},{y0} {bend},{y1} {turn},{y1} L{x1},{y1}"/>'


def _box(box: Box, x: int, y: int, width: int, height: int) -> str:
    room, texts = int((width - INDENT) / COURSE), []
    for number, line in enumerate(box.lines):
        dim = ' class="dim"' if number else ""
        short = f"{line[: room - 1]}…" if number else f"…{line[1 - room :]}"
        shown = line if len(line) <= room else short
        texts.append(f'<text{dim} x="{x + INDENT}" y="{y + TOP + LINE * number}">{html.escape(shown)}</text>')
    return (
        f'<a href="{html.escape(box.href)}" class="{html.escape(box.style)}"><title>{html.escape(box.tip)}</title>'
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5"/>{"".join(texts)}</a>'
    )
