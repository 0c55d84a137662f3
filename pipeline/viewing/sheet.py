"""One static picture of a frame: from above wide and near, and the six cameras."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.reporting.figures.bev import CLASS_COLOURS, SHOWN_SCORE, draw_boxes, frame_panel
from pipeline.reporting.figures.invented import COLOUR as INVENTED
from pipeline.reporting.figures.overlays import draw_boxes_in_image
from pipeline.reporting.figures.projection import MAX_DEPTH, MIN_DEPTH, draw_points_in_image
from pipeline.reporting.figures.regions import BACKGROUND, dot, scatter_regions
from pipeline.viewing.viewed_frame import ViewedFrame

WIDE = 50.0  # metres to each side in the panel that shows the whole sweep
SIDE = 7.4  # inches, of a panel from above
GAP, EDGE, TITLE, LEGEND = 0.35, 0.3, 0.75, 0.5  # inches
TRUTH, GREY = "black", "#9aa0a8"


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
        handles=list(_entries(viewed)), loc="center", bbox_to_anchor=(0.5, (bottom - 0.55) / height), ncols=8,
        fontsize=9, frameon=False,
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
        draw_boxes(axes, viewed.truth.boxes, [TRUTH] * len(viewed.truth.boxes), 0.9)
    if reach < WIDE:
        axes.add_patch(Rectangle((-reach, -reach), 2 * reach, 2 * reach, fill=False, linestyle=":", linewidth=1.0))
    if viewed.regions is not None:
        what = f"region, {len(np.unique(viewed.regions[viewed.regions >= 0]))} of them"
    elif viewed.invented is not None:
        what = f"intensity; {viewed.invented.sum():,} points where there was none in red"
    else:
        what = "intensity"
    frame_panel(axes, f"{len(viewed.points):,} points by {what}", WIDE)


def _draw_near(axes: Axes, viewed: ViewedFrame, arm: str, reach: float) -> None:
    inside = (np.abs(viewed.points[:, :2]) < reach).all(axis=1)
    x, y = viewed.points[inside, 0], viewed.points[inside, 1]
    colour = GREY if viewed.invented is None else np.where(viewed.invented[inside], INVENTED, GREY)
    axes.scatter(x, y, s=1.2, c=colour, linewidths=0, rasterized=True)
    said = []
    if viewed.predicted is not None:
        sure = _sure(viewed.predicted)
        draw_boxes(axes, sure.boxes, [CLASS_COLOURS[DETECTION_CLASSES[label]] for label in sure.classes], 2.2)
        for box, score in zip(sure.boxes, sure.scores, strict=True):
            if (np.abs(box[:2]) < reach).all():
                axes.annotate(
                    f"{score:.2f}", box[:2], xytext=(6, 6), textcoords="offset points", fontsize=7, color="#333333"
                )
        said.append(f"{arm}: {len(sure.boxes)} boxes with score {SHOWN_SCORE} or more")
    if viewed.truth is not None:
        draw_boxes(axes, viewed.truth.boxes, [TRUTH] * len(viewed.truth.boxes), 0.9)
        count = int((np.abs(viewed.truth.boxes[:, :2]) < reach).all(axis=1).sum())
        said.append(f"{count} true boxes")
    frame_panel(axes, ", ".join(said) or "no boxes", reach)


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
    scatter_regions(axes, viewed.points, viewed.regions)


def _draw_camera(axes: Axes, viewed: ViewedFrame, channel: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(channel, fontsize=9, pad=3)
    if channel not in viewed.images:
        axes.text(0.5, 0.5, "no image", ha="center", va="center", transform=axes.transAxes, color="#777777")
        return
    camera = viewed.cameras[channel]
    axes.imshow(viewed.images[channel], aspect="auto")
    draw_points_in_image(axes, camera, viewed.points)
    truth = np.empty((0, 9), np.float32) if viewed.truth is None else viewed.truth.boxes
    draw_boxes_in_image(axes, camera, truth, viewed.predicted)
    width, height = camera.size
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _entries(viewed: ViewedFrame) -> Iterator[Line2D]:
    if viewed.regions is not None:
        for name, colour in BACKGROUND.values():
            yield dot(colour, name)
    if viewed.truth is not None:
        yield Line2D([], [], color=TRUTH, linewidth=0.9, label="truth (white in images)" if viewed.images else "truth")
    if viewed.predicted is not None:
        for label in np.unique(_sure(viewed.predicted).classes):
            name = DETECTION_CLASSES[label]
            yield Line2D([], [], color=CLASS_COLOURS[name], linewidth=2.2, label=f"predicted {name}")
    if viewed.images:
        yield dot("#d23105", f"point at {MIN_DEPTH:.0f} m")
        yield dot("#4662d7", f"point at {MAX_DEPTH:.0f} m")


def _sure(boxes: ScoredBoxes) -> ScoredBoxes:
    sure = boxes.scores >= SHOWN_SCORE
    return ScoredBoxes(boxes.boxes[sure], boxes.classes[sure], boxes.scores[sure])
