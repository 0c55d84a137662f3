"""Draws docs/figures/graph.svg, the graph of dvc.yaml as DVC resolves it: python docs/figures/graph.py

Stages are placed by hand; the edges are those of the committed params. An edge is a label edge if a dependency of its
stage names labels or the tables that hold them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "figures" / "graph.svg"
# Column and row of every stage, and what it is for.
PLACES = {
    "simulate": (0, 0, "embedded world"),
    "prepare": (1, 0, "index · labels"),
    "regions": (2, 0, "semantic pooling"),
    "pretrain_lidar": (3, 0, "PRC · baselines"),
    "distill_camera": (4, 0, "RAD · baselines"),
    "region_quality": (2, 1, "audit of regions"),
    "probe_lidar": (3, 1, "what features tell"),
    "probe_camera": (4, 1, "what features tell"),
    "start": (0, 2, "weights of an arm"),
    "finetune": (1, 2, "arm × trial × seed"),
    "evaluate": (2, 2, "devkit · IoU, by arm"),
    "stress": (3, 2, "arm × disturbance"),
    "report": (4, 2, "page · tables"),
}
WIDTH, HEIGHT, GAP, MARGIN = 138, 46, 30, 14
ROWS = (MARGIN, MARGIN + HEIGHT + 34, MARGIN + 2 * HEIGHT + 112)
RIGHT = MARGIN + 5 * (WIDTH + GAP) - GAP + 16  # the way down beside the last column
TO_REPORT, TO_START, BUS = (ROWS[1] + HEIGHT + down for down in (18, 36, 54))  # long ways between the lower rows
LABELS = ("data/labels", "data/raw/embedded/v1.0-embedded")
STYLE = """
  .box { fill: #f6f8fa; stroke: #57606a; } .free { stroke: #0969da; stroke-width: 2; }
  .name { font: 600 13.5px sans-serif; fill: #1f2328; } .what { font: 11px sans-serif; fill: #57606a; }
  .edge { fill: none; stroke: #8c959f; stroke-width: 1.3; } .label { stroke: #bc4c00; stroke-dasharray: 5 3; }
  .paper { fill: #ffffff; } #plain path { fill: #8c959f; } #labelled path { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } .box { fill: #161b22; stroke: #8b949e; } .free { stroke: #58a6ff; }
    .name { fill: #e6edf3; } .what { fill: #8b949e; } .label { stroke: #f0883e; } #labelled path { fill: #f0883e; }
  }
"""


class Edge(NamedTuple):
    """One stage reads what another wrote; `labels`: among it labels or tables that hold them."""

    source: str
    target: str
    labels: bool


def edges(stages: Iterable[Any]) -> list[Edge]:
    """The edges between DVC's stages, without their matrices."""
    reads: dict[str, set[str]] = {}
    writes: dict[str, str] = {}
    for stage in stages:
        name = stage.addressing.split("@")[0]
        reads.setdefault(name, set()).update(dep.def_path for dep in stage.deps)
        writes.update({out.def_path: name for out in stage.outs})
    found: dict[tuple[str, str], bool] = {}
    for target, paths in reads.items():
        for path in paths:
            for source in {name for out, name in writes.items() if below(path, out) or below(out, path)}:
                # The tables hold labels for whoever opens them; `prepare` is the stage that keeps the two apart.
                labels = path.startswith(LABELS) and target != "prepare"
                found[source, target] = found.get((source, target), False) or labels
    return [Edge(source, target, labels) for (source, target), labels in sorted(found.items())]


def below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return f"{path}/".startswith(f"{folder}/")


def direct(found: list[Edge]) -> list[Edge]:
    """The edges that no longer way between the same stages implies."""
    after: dict[str, set[str]] = {name: set() for name in PLACES}
    for _ in PLACES:  # no way is longer than there are stages
        for edge in found:
            after[edge.source] |= {edge.target} | after[edge.target]
    return [
        edge
        for edge in found
        if not any(edge.target in after[one.target] for one in found if one.source == edge.source)
    ]


def label_free(found: list[Edge]) -> set[str]:
    """The stages on which no label has an influence: none is read, neither there nor before."""
    free = set(PLACES)
    while tainted := {edge.target for edge in found if edge.labels or edge.source not in free} & free:
        free -= tainted
    return free


def draw(found: list[Edge]) -> str:
    """The picture as SVG."""
    free = label_free(found)
    size = RIGHT + MARGIN, ROWS[2] + HEIGHT + 32
    heads = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker>'
        for name in ("plain", "labelled")
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        'aria-label="The stages of dvc.yaml and what they read of each other">',
        f"<style>{STYLE}</style>",
        f"<defs>{heads}</defs>",
        f'<rect class="paper" width="{size[0]}" height="{size[1]}"/>',
    ]
    ways = [way(edge) for edge in direct([edge for edge in found if not edge.labels or edge.source != "simulate"])]
    lines += [f'<path class="edge" d="{path}" marker-end="url(#plain)"/>' for path in ways]
    x, y = corner("prepare")
    readers = sorted({edge.target for edge in found if edge.labels}, key=corner)
    ends = [corner(name)[0] + WIDTH - 24 for name in readers]
    lines.append(f'<path class="edge label" d="M{x + 24} {y + HEIGHT} V{BUS} H{max(ends)}"/>')
    for name, end in zip(readers, ends, strict=True):
        above = corner(name)[1]
        to = above + HEIGHT if above < BUS else above
        lines.append(f'<path class="edge label" d="M{end} {BUS} V{to}" marker-end="url(#labelled)"/>')
    for name, (_, _, what) in PLACES.items():
        x, y = corner(name)
        kind = "box free" if name in free else "box"
        middle = x + WIDTH // 2
        lines += [
            f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>',
            f'<text class="name" x="{middle}" y="{y + 20}" text-anchor="middle">{name}</text>',
            f'<text class="what" x="{middle}" y="{y + 36}" text-anchor="middle">{what}</text>',
        ]
    legend = (
        "blue: no label has an influence (of prepare: on the index) · dashed: labels are read · "
        "arrows that follow from others are left out"
    )
    lines += [f'<text class="what" x="{MARGIN}" y="{size[1] - 12}">{legend}</text>', "</svg>", ""]
    return "\n".join(lines)


def way(edge: Edge) -> str:
    """To the right neighbour, to the stage below, or along a lane between the rows."""
    (column, row, _), (to_column, to_row, _) = PLACES[edge.source], PLACES[edge.target]
    (x, y), (u, v) = corner(edge.source), corner(edge.target)
    if row == to_row and to_column == column + 1:
        return f"M{x + WIDTH} {y + HEIGHT // 2} H{u}"
    if column == to_column and to_row == row + 1 == 1:
        return f"M{x + 40} {y + HEIGHT} V{v}"
    if row == 0:
        return f"M{x + WIDTH} {y + HEIGHT // 2} H{RIGHT} V{TO_START} H{u + WIDTH // 2} V{v}"
    return f"M{x + 40} {y + HEIGHT} V{TO_REPORT} H{u + 40} V{v}"


def corner(name: str) -> tuple[int, int]:
    """Upper left corner of a stage's box."""
    column, row, _ = PLACES[name]
    return MARGIN + column * (WIDTH + GAP), ROWS[row]


if __name__ == "__main__":
    with Repo(str(ROOT)) as repo:
        PICTURE.write_text(draw(edges(repo.index.stages)), encoding="utf-8")
    print(f"wrote {PICTURE}")
