"""The figure of BEV embeddings: one network beside the other, seen from above."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.reporting.figures.bev import MOST_COLUMNS, draw_boxes, finish, frame_panel, square_panels
from pipeline.reporting.figures.embedding import EmbeddingMap


def draw_embeddings(
    points: NDArray[np.float32], boxes: NDArray[np.float32], maps: Sequence[EmbeddingMap], reach: float
) -> Figure:
    """The points of the frame, then a panel per network; the same boxes on all of them.

    Args:
        points: [N, >= 2], metres, LiDAR frame; x to the right, y upwards (ahead) in the figure.
        boxes: float32 [K, 9] in `BOX_FIELDS` order, LiDAR frame; drawn to find things again, no network has seen them.
        maps: what to show.
        reach: metres from the sensor to the edge of the maps.
    """
    # Five a row, the first place for the points: so an untrained network and the trained one stay side by side.
    rows = max(1, -(-len(maps) // (MOST_COLUMNS - 1)))
    columns = min(1 + len(maps), MOST_COLUMNS)
    figure, places = square_panels(rows * columns, title_lines=2)
    axes = [places[0], *(place for number, place in enumerate(places) if number % columns)][: 1 + len(maps)]
    for place in places:
        place.set_axis_off()
    for axis in axes:
        axis.set_axis_on()
    near = points[(np.abs(points[:, :2]) < reach).all(axis=1)]
    axes[0].scatter(near[:, 0], near[:, 1], s=0.6, c="#5c6570", linewidths=0, rasterized=True)
    frame_panel(axes[0], "LiDAR points", reach)
    for axis, own in zip(axes[1:], maps, strict=True):
        axis.imshow(own.colours, origin="lower", extent=(-reach, reach, -reach, reach), interpolation="nearest")
        frame_panel(axis, f"{own.title}\n{100 * own.share:.0f} % of the variance shown", reach)
    for axis, colour in zip(axes, ["black"] + ["white"] * len(maps), strict=True):
        draw_boxes(axis, boxes, [colour] * len(boxes), 0.7)
    return finish(figure, [Line2D([], [], color="black", linewidth=0.7, label="true boxes (white on the maps)")])
