"""One static picture of a frame: from above wide and near, and the six cameras."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.geometry.boxes import footprint_corners
from pipeline.reporting.figures.bev import CLASS_COLOURS, SHOWN_SCORE
from pipeline.reporting.figures.projection import MAX_DEPTH, MIN_DEPTH, box_edges, project
from pipeline.reporting.figures.regions import BACKGROUND, region_colours
from pipeline.viewing.viewed_frame import ViewedFrame

WIDE = 50.0  # metres to each side in the panel that shows the whole sweep
SIDE = 7.4  # inches, of a panel from above
GAP, EDGE, TITLE, LEGEND = 0.35, 0.3, 0.75, 0.5  # inches
TRUTH, INVENTED = "black", "#ff5040"


def draw_sheet(viewed: ViewedFrame, title: str, arm: str, reach: float) -> Figure:
    """Draws a frame.

    Left, the sweep from above by region (under a disturbance by intensity, what it made in red) with the true boxes;
    right, what lies in the grid of the networks with true and predicted boxes; below, the points by depth and the boxes
    in the images. Predicted boxes with scores below `SHOWN_SCORE` are left out.

    Args:
        viewed: the frame.
        title: of the figure.
        arm: who predicted; "" where nobody did.
        reach: half side of the networks' grid, metres.
    """
    width = 2 * SIDE + 3 * EDGE
    photo_width = (width - 2 * EDGE - 2 * GAP / 4) / 3
    sizes = [camera.size for camera in viewed.cameras.values()]
    photo_height = photo_width * sizes[0][1] / sizes[0][0] if sizes else 0.0
    below = 2 * (photo_height + GAP) if sizes else 0.0
    height = TITLE + SIDE + LEGEND + GAP + below
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.25 / height)
    bottom = height - TITLE - SIDE
    wide, near = (
        figure.add_axes((left / width, bottom / height, SIDE / width, SIDE / height))
        for left in (EDGE * 1.5, EDGE * 2.0 + SIDE)
    )
    _draw_wide(wide, viewed, reach)
    _draw_near(near, viewed, arm, reach)
    figure.legend(
        handles=_handles(viewed), loc="center", bbox_to_anchor=(0.5, (bottom - 0.55) / height), ncols=8, fontsize=9,
        frameon=False,
    )  # fmt: skip
    for number, channel in enumerate(CAMERA_CHANNELS if sizes else ()):
        row, column = divmod(number, 3)
        left = EDGE + column * (photo_width + GAP / 4)
        base = (1 - row) * (photo_height + GAP) + 0.05
        axes = figure.add_axes((left / width, base / height, photo_width / width, photo_height / height))
        _draw_camera(axes, viewed, channel)
    return figure


def _draw_wide(axes: Axes, viewed: ViewedFrame, reach: float) -> None:
    _draw_points(axes, viewed, WIDE)
    if viewed.truth is not None:
        _draw_footprints(axes, viewed.truth, TRUTH, 0.9)
    if reach < WIDE:
        axes.add_patch(Rectangle((-reach, -reach), 2 * reach, 2 * reach, fill=False, linestyle=":", linewidth=1.0))
    if viewed.regions is not None:
        what = f"{len(np.unique(viewed.regions[viewed.regions >= 0]))} regions, a colour each"
    elif viewed.invented is not None:
        what = f"intensity; {viewed.invented.sum():,} points where there was none in red"
    else:
        what = "intensity"
    _finish(axes, f"{len(viewed.points):,} points by {what}" if viewed.regions is None else what, WIDE)


def _draw_near(axes: Axes, viewed: ViewedFrame, arm: str, reach: float) -> None:
    inside = (np.abs(viewed.points[:, :2]) < reach).all(axis=1)
    x, y = viewed.points[inside, 0], viewed.points[inside, 1]
    colour = "#9aa0a8" if viewed.invented is None else np.where(viewed.invented[inside], INVENTED, "#9aa0a8")
    axes.scatter(x, y, s=1.2, c=colour, linewidths=0, rasterized=True)
    said = []
    if viewed.predicted is not None:
        sure = _sure(viewed.predicted)
        for label in np.unique(sure.classes):
            own = sure.classes == label
            one = ScoredBoxes(sure.boxes[own], sure.classes[own], sure.scores[own])
            _draw_footprints(axes, one, CLASS_COLOURS[DETECTION_CLASSES[label]], 2.2)
        for box, score in zip(sure.boxes, sure.scores, strict=True):
            if (np.abs(box[:2]) < reach).all():
                axes.annotate(
                    f"{score:.2f}", box[:2], xytext=(6, 6), textcoords="offset points", fontsize=7, color="#333333"
                )
        said.append(f"{arm}: {len(sure.boxes)} boxes with score {SHOWN_SCORE} or more")
    if viewed.truth is not None:
        _draw_footprints(axes, viewed.truth, TRUTH, 0.9)
        count = int((np.abs(viewed.truth.boxes[:, :2]) < reach).all(axis=1).sum())
        said.append(f"{count} true boxes")
    _finish(axes, ", ".join(said) or "no boxes", reach)


def _draw_points(axes: Axes, viewed: ViewedFrame, reach: float) -> None:
    x, y = viewed.points[:, 0], viewed.points[:, 1]
    if viewed.regions is None:
        plain = np.ones(len(x), np.bool_) if viewed.invented is None else ~viewed.invented
        shades = np.sqrt(viewed.points[plain, 3].clip(0, 1))
        axes.scatter(
            x[plain], y[plain], s=1.5, c=shades, cmap="viridis_r", vmin=0, vmax=1, linewidths=0, rasterized=True
        )
        axes.scatter(x[~plain], y[~plain], s=2.5, c=INVENTED, linewidths=0, rasterized=True)
        return
    for negative, (_, colour) in BACKGROUND.items():
        of_it = viewed.regions == negative
        axes.scatter(x[of_it], y[of_it], s=0.8, c=colour, linewidths=0, rasterized=True)
    rich = viewed.regions >= 0
    axes.scatter(x[rich], y[rich], s=5, c=region_colours(viewed.regions[rich]), linewidths=0, rasterized=True)


def _draw_camera(axes: Axes, viewed: ViewedFrame, channel: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(channel, fontsize=9, pad=3)
    if channel not in viewed.images:
        axes.text(0.5, 0.5, "no image", ha="center", va="center", transform=axes.transAxes, color="#777777")
        return
    camera = viewed.cameras[channel]
    axes.imshow(viewed.images[channel], aspect="auto")
    pixels, depth = project(camera, viewed.points)
    colours = Normalize(MIN_DEPTH, MAX_DEPTH)
    axes.scatter(
        pixels[:, 0], pixels[:, 1], c=depth, norm=colours, s=1.5, cmap="turbo_r", linewidths=0, rasterized=True
    )
    if viewed.truth is not None:
        axes.add_collection(LineCollection(list(box_edges(camera, viewed.truth.boxes)), colors="white", linewidths=0.8))
    if viewed.predicted is not None:
        sure = _sure(viewed.predicted)
        for label in np.unique(sure.classes):
            edges = box_edges(camera, sure.boxes[sure.classes == label])
            colour = CLASS_COLOURS[DETECTION_CLASSES[label]]
            axes.add_collection(LineCollection(list(edges), colors=[colour], linewidths=1.2))
    width, height = camera.size
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _draw_footprints(axes: Axes, boxes: ScoredBoxes, colour: object, width: float) -> None:
    """Outlines, and a line from the centre to the front of each box."""
    corners = footprint_corners(boxes.boxes)
    front = (corners[:, 0] + corners[:, 3]) / 2
    lines = [*np.concatenate([corners, corners[:, :1]], axis=1), *np.stack([boxes.boxes[:, :2], front], axis=1)]
    axes.add_collection(LineCollection(lines, colors=[colour], linewidths=width))


def _finish(axes: Axes, title: str, reach: float) -> None:
    axes.plot(0, 0, marker="^", color="black", markersize=6)  # the own car, looking up
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=7)


def _handles(viewed: ViewedFrame) -> list[Line2D]:
    return list(_entries(viewed))


def _entries(viewed: ViewedFrame) -> Iterator[Line2D]:
    if viewed.regions is not None:
        for name, colour in BACKGROUND.values():
            yield Line2D([], [], marker="o", markersize=5, linestyle="none", color=colour, label=name)
    if viewed.truth is not None:
        yield Line2D([], [], color=TRUTH, linewidth=0.9, label="truth (white in images)" if viewed.images else "truth")
    if viewed.predicted is not None:
        for label in np.unique(_sure(viewed.predicted).classes):
            name = DETECTION_CLASSES[label]
            yield Line2D([], [], color=CLASS_COLOURS[name], linewidth=2.2, label=f"predicted {name}")
    if viewed.images:
        yield Line2D(
            [], [], marker="o", markersize=5, linestyle="none", color="#d23105", label=f"point at {MIN_DEPTH:.0f} m"
        )
        yield Line2D(
            [], [], marker="o", markersize=5, linestyle="none", color="#4662d7", label=f"point at {MAX_DEPTH:.0f} m"
        )


def _sure(boxes: ScoredBoxes) -> ScoredBoxes:
    sure = boxes.scores >= SHOWN_SCORE
    return ScoredBoxes(boxes.boxes[sure], boxes.classes[sure], boxes.scores[sure])
