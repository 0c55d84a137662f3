"""A figure of predicted and true boxes in the camera images of one frame."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.images import decode_jpeg
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.reporting.figures.bev import CLASS_COLOURS, SHOWN_SCORE
from pipeline.reporting.figures.projection import box_edges

TRUTH_COLOUR = "white"


def draw_overlays(root: Path, frame: Frame, truth: NDArray[np.float32], predicted: ScoredBoxes) -> Figure:
    """The images of a frame with predicted boxes in the colour of their class under true boxes in thin white.

    Args:
        root: the dataset root.
        frame: a frame; cameras that it lacks stay empty panels.
        truth: float32 [K, 9] in `BOX_FIELDS` order, LiDAR frame.
        predicted: boxes of one model; those below `SHOWN_SCORE` are left out.

    Raises:
        UserError: a sensor file is missing or damaged.
    """
    cameras = {camera.channel: camera for camera in frame.cameras}
    sure = predicted.scores >= SHOWN_SCORE
    shown = sorted(set(predicted.classes[sure].tolist()))
    figure = Figure(figsize=(13.5, 5.6), layout="constrained")
    for axis, channel in zip(figure.subplots(2, 3).flat, CAMERA_CHANNELS, strict=True):
        axis.set_axis_off()
        axis.set_title(channel, fontsize=9)
        if channel not in cameras:
            continue
        camera = cameras[channel]
        width, height = camera.size
        axis.imshow(decode_jpeg(root / camera.path, camera.size, 1))
        draw_boxes_in_image(axis, camera, truth, predicted)
        axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    names = [DETECTION_CLASSES[label] for label in shown]
    handles = [Line2D([], [], color=CLASS_COLOURS[name], label=name) for name in names]
    handles.append(Line2D([], [], color=TRUTH_COLOUR, linewidth=0.8, label="truth"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, facecolor="#7d8590",
        labelcolor="white", edgecolor="none",
    )  # fmt: skip
    return figure


def draw_boxes_in_image(axis: Axes, camera: Camera, truth: NDArray[np.float32], predicted: ScoredBoxes | None) -> None:
    """Outlines of predicted boxes from `SHOWN_SCORE` on in the colour of their class, and of true ones on top."""
    if predicted is not None:
        sure = predicted.scores >= SHOWN_SCORE
        for label in np.unique(predicted.classes[sure]):
            edges = box_edges(camera, predicted.boxes[sure & (predicted.classes == label)])
            colour = CLASS_COLOURS[DETECTION_CLASSES[label]]
            axis.add_collection(LineCollection(list(edges), colors=[colour], linewidths=1.8))
    axis.add_collection(LineCollection(list(box_edges(camera, truth)), colors=TRUTH_COLOUR, linewidths=0.6))
