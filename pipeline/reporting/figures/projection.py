"""A figure of points and boxes projected into the camera images of one frame: calibration errors show at a glance."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.images import decode_jpeg
from pipeline.frames.points import load_points
from pipeline.geometry.boxes import footprint_corners

MIN_DEPTH = 1.0  # metres
MAX_DEPTH = 50.0  # metres, the end of the colour scale
# Corners 0-3 are a box's lower side, 4-7 its upper one, each from front left counter-clockwise.
EDGES = np.array(
    [(k, (k + 1) % 4) for k in range(4)] + [(4 + k, 4 + (k + 1) % 4) for k in range(4)] + [(k, 4 + k) for k in range(4)]
)


def project(camera: Camera, points: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points that fall into an image.

    Args:
        camera: the image.
        points: float32 [N, >=3], LiDAR frame, metres.

    Returns:
        pixels: float64 [M, 2] as (u, v) in the stored image.
        depth: float64 [M], metres along the optical axis, at least `MIN_DEPTH`.
    """
    matrix = camera.image_from_lidar
    scaled = points[:, :3] @ matrix[:3, :3].T + matrix[:3, 3]
    scaled = scaled[scaled[:, 2] >= MIN_DEPTH]
    pixels = scaled[:, :2] / scaled[:, 2:]
    inside = ((pixels > -0.5) & (pixels < np.array(camera.size) - 0.5)).all(1)
    return pixels[inside], scaled[inside, 2]


def box_edges(camera: Camera, boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Edges of boxes in an image.

    Args:
        camera: the image.
        boxes: float32 [K, 9] in `BOX_FIELDS` order, LiDAR frame.

    Returns:
        float64 [M, 2, 2]: start and end of every edge as (u, v), of the boxes that lie wholly at least `MIN_DEPTH` in
        front of the camera; they may leave the image.
    """
    flat = np.tile(footprint_corners(boxes), (1, 2, 1)).astype(np.float64)
    height = boxes[:, 2:3] + boxes[:, 5:6] * np.repeat([-0.5, 0.5], 4)
    corners = np.concatenate([flat, height[..., None]], axis=-1)
    scaled = corners @ camera.image_from_lidar[:3, :3].T + camera.image_from_lidar[:3, 3]
    scaled = scaled[(scaled[..., 2] >= MIN_DEPTH).all(axis=1)]
    pixels = scaled[..., :2] / scaled[..., 2:]
    return np.asarray(pixels[:, EDGES].reshape(-1, 2, 2))


def draw_projection(root: Path, frame: Frame, boxes: NDArray[np.float32]) -> Figure:
    """Draws the key-frame points of `frame` over its images, coloured by depth, and outlines of boxes.

    Args:
        root: the dataset root.
        frame: a frame; cameras that it lacks stay empty panels.
        boxes: float32 [K, 9] in `BOX_FIELDS` order, LiDAR frame; may be none.

    Raises:
        UserError: a sensor file is missing or damaged.
    """
    points, _, _ = load_points(root, frame, sweeps=0, ego_radius=1.0)
    cameras = {camera.channel: camera for camera in frame.cameras}
    figure = Figure(figsize=(13.5, 5.4), layout="constrained")
    axes = figure.subplots(2, 3)
    for axis, channel in zip(axes.flat, CAMERA_CHANNELS, strict=True):
        axis.set_axis_off()
        axis.set_title(channel, fontsize=9)
        if channel in cameras:
            _draw_camera(axis, root, cameras[channel], points, boxes)
    scale = ScalarMappable(Normalize(MIN_DEPTH, MAX_DEPTH), "turbo_r")
    figure.colorbar(scale, ax=axes, label="depth, metres", shrink=0.8, extend="max")
    figure.suptitle(f"{frame.scene} {frame.token}: LiDAR points by depth, true boxes white", fontsize=10)
    return figure


def _draw_camera(
    axis: Axes, root: Path, camera: Camera, points: NDArray[np.float32], boxes: NDArray[np.float32]
) -> None:
    width, height = camera.size
    axis.imshow(decode_jpeg(root / camera.path, camera.size, 1), rasterized=True)
    draw_points_in_image(axis, camera, points)
    axis.add_collection(LineCollection(list(box_edges(camera, boxes)), colors="white", linewidths=0.7))
    axis.set_xlim(-0.5, width - 0.5)
    axis.set_ylim(height - 0.5, -0.5)


def draw_points_in_image(axis: Axes, camera: Camera, points: NDArray[np.float32]) -> None:
    """Points [N, >=3] of the LiDAR frame that fall into the image, coloured by depth."""
    pixels, depth = project(camera, points)
    # One scale for all panels: a panel scaled to its own depths would hide a camera that is off.
    colours = Normalize(MIN_DEPTH, MAX_DEPTH)
    axis.scatter(
        pixels[:, 0], pixels[:, 1], c=depth, norm=colours, s=1.6, cmap="turbo_r", linewidths=0, rasterized=True
    )
