"""What pre-trained features have learned: a row of a table per checkpoint, and curves over the steps."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.evaluation.probe_record import CURVE, FIRST, GEOMETRY, LAST, read_curve
from pipeline.evaluation.record import METRICS
from pipeline.reporting.figures.picture import Picture, save_picture
from pipeline.reporting.methods import method_name
from pipeline.reporting.tables.anchors import artifact_anchor
from pipeline.reporting.tables.table import Cells, Table

SHOWN = {
    "object_linear": "objects, linear",
    "object_knn": "objects, kNN",
    "region_knn": "regions, kNN",
    "retrieval": "retrieval",
    "alignment": "alignment",
    "uniformity": "uniformity",
}
CHANCES = {
    "object_linear": "object_chance",
    "object_knn": "object_chance",
    "region_knn": "region_chance",
    "retrieval": "retrieval_chance",
}
MOST_COLUMNS = 3
NOTE = (
    "Untrained network → end of the pre-training, on validation scenes. Objects and regions: balanced accuracy of "
    "frozen features, by probes fitted to labels of training scenes. Retrieval: share of regions whose mean "
    "camera embedding is nearest to their own mean LiDAR embedding among the regions of the frame. Cell statistics: "
    "no network, the points of a cell counted."
)


def probe_table(probed: Sequence[Path]) -> Table | None:
    """One row per probed checkpoint, and what counting points gives; None where nothing was probed."""
    rows: list[list[str]] = []
    links = Cells()
    geometry: dict[str, float] = {}
    every: dict[str, float] = {}
    for folder in probed:
        metrics = json.loads((folder / METRICS).read_bytes())
        geometry = metrics.get(GEOMETRY, geometry)
        first, last = metrics.get(FIRST, {}), metrics[LAST]
        every |= last
        cells = [_change(first.get(name), last.get(name)) for name in SHOWN]
        links.links[len(rows), 0] = artifact_anchor(folder.as_posix())
        rows.append([method_name(folder), *cells])
    if not rows:
        return None
    if geometry:
        rows.append(["cell statistics", *(_change(None, geometry.get(name)) for name in SHOWN)])
    rows.append(["chance", *(_change(None, every.get(CHANCES.get(name, ""))) for name in SHOWN)])
    return Table("What pre-trained features tell", NOTE, ["checkpoint", *SHOWN.values()], rows, "probes", links)


def draw_probes(probed: Sequence[Path], out: Path) -> list[Picture]:
    """A panel per checkpoint with its scores over the steps, in `out`; none where nothing was probed."""
    if not probed:
        return []
    columns = min(len(probed), MOST_COLUMNS)
    rows_of_panels = -(-len(probed) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows_of_panels), layout="constrained")
    panels = figure.subplots(rows_of_panels, columns, squeeze=False).ravel()
    for panel in panels[len(probed) :]:
        panel.set_axis_off()
    for panel, folder in zip(panels, probed, strict=False):
        rows = read_curve(folder / CURVE)
        steps = [row["step"] for row in rows]
        for name, title in SHOWN.items():
            if name in rows[0] and name not in ("alignment", "uniformity"):
                panel.plot(steps, [row[name] for row in rows], marker="o", markersize=3, label=title)
        for name, style in (("object_chance", ":"), ("retrieval_chance", "--")):
            if name in rows[0]:
                panel.plot(steps, [row[name] for row in rows], style, color="#9aa0a8", label=name.replace("_", ", "))
        panel.set_title(method_name(folder), fontsize=10)
        panel.set(xlabel="step", ylim=(0, 1))
        panel.legend(fontsize=8)
        panel.tick_params(labelsize=8)
    caption = "Scores of frozen features on validation scenes over the steps of pre-training"
    return [save_picture(figure, out, "probes", caption)]


def _change(first: float | None, last: float | None) -> str:
    if last is None:
        return "–"
    return f"{last:.3f}" if first is None else f"{first:.3f} → {last:.3f}"
