"""Contact sheets: every corruption at every severity on one frame, to look at."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.images import decode_jpeg
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import load_points
from pipeline.frames.reader import LabelSource
from pipeline.reporting.figures.invented import COLOUR, ELSEWHERE, find_invented
from pipeline.reporting.figures.projection import MAX_DEPTH, MIN_DEPTH, project
from pipeline.robustness.corruption import SEVERITIES, TYPES, Corruption
from pipeline.robustness.objects import MovingObjects
from pipeline.robustness.rig import CalibrationDrift, TemporalMisalignment

FRONT = "CAM_FRONT"
LOSING = ("camera_crash", "frame_lost")  # strike some cameras and spare others: drawn with all six
REACH = 40.0  # metres shown to each side of the car
PANEL = 420  # pixels, width of a panel
TITLE = 22  # pixels, height of its title
GAP = 3  # pixels, to the left and right of a panel
DPI = 100
RED = (255, 60, 40)

Points = NDArray[np.float32]
Image = NDArray[np.uint8]


class Row(NamedTuple):
    """One type: how a panel is drawn, which returns what to say of it; width by height; a disturbance a severity."""

    panel: Callable[[Axes, Disturbance], str]
    aspect: float
    disturbances: Sequence[Disturbance]


def draw_corruptions(
    index: FrameIndex, position: int, seed: int, out: Path, labels: LabelSource | None = None
) -> list[Path]:
    """Draws a sheet of the LiDAR and, where the frame has images, one of the cameras and one of the rig.

    Args:
        index: the frames.
        position: which of them.
        seed: of the corruptions.
        out: folder for `lidar.png`, `camera.png`, `rig.png`; made if it is not there.
        labels: boxes of the objects that move, for the two types that strike them; without it they are left out.

    Returns:
        What was written.

    Raises:
        UserError: a sensor file is missing or damaged.
    """
    frame = index[position]
    out.mkdir(parents=True, exist_ok=True)
    about = f"{frame.scene} {frame.token[:8]}"
    legend = f"{about}: LiDAR from above, ±{REACH:.0f} m, by intensity; red: {ELSEWHERE} m from every true point"
    sheets = {"lidar.png": (legend, _lidar_rows(index.root, frame, seed, labels))}
    if any(camera.channel == FRONT for camera in frame.cameras):
        sheets["camera.png"] = (f"{about}: cameras", _camera_rows(index.root, frame, seed))
        sheets["rig.png"] = (f"{about}: points where they are believed, late images red", _rig_rows(index, frame, seed))
    for name, (title, rows) in sheets.items():
        _draw(title, rows, out / name)
    return [out / name for name in sheets]


def _lidar_rows(root: Path, frame: Frame, seed: int, labels: LabelSource | None) -> dict[str, Row]:
    tree = cKDTree(_sweep(root, frame, Disturbance())[:, :3])

    def panel(axes: Axes, disturbance: Disturbance) -> str:
        points = _sweep(root, frame, disturbance)
        elsewhere = find_invented(tree, points)
        axes.set_facecolor("#101418")
        x, y, shades = points[~elsewhere, 0], points[~elsewhere, 1], points[~elsewhere, 3] ** 0.5
        axes.scatter(x, y, s=1.5, c=shades, cmap="viridis", vmin=0, vmax=1, linewidths=0)
        axes.scatter(points[elsewhere, 0], points[elsewhere, 1], s=1.5, c=COLOUR, linewidths=0)
        axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        return f"{len(points):,} points, {elsewhere.sum():,} red"

    rows = {name: Row(panel, 1.0, _corruptions(name, "lidar", seed)) for name in TYPES["lidar"]}
    if labels is not None:
        rows["object_dropout"] = Row(panel, 1.0, [MovingObjects("dropout", s, seed, labels) for s in SEVERITIES])
        rows["object_overlap"] = Row(panel, 1.0, [MovingObjects("overlap", s, seed, labels) for s in SEVERITIES])
    return rows


def _camera_rows(root: Path, frame: Frame, seed: int) -> dict[str, Row]:
    """The front camera; all six in small where the type loses images of some."""

    def front(axes: Axes, disturbance: Disturbance) -> str:
        pixels = _load(root, frame, _front(frame), disturbance)
        axes.imshow(pixels)
        return f"mean {pixels.mean():.0f}, deviation {pixels.std():.0f}"

    def all_six(axes: Axes, disturbance: Disturbance) -> str:
        axes.imshow(_mosaic(root, frame, disturbance))
        return ""

    one, six = _aspect(frame), 1.5 * _aspect(frame)
    return {
        name: Row(*((all_six, six) if name in LOSING else (front, one)), _corruptions(name, "camera", seed))
        for name in TYPES["camera"]
    }


def _rig_rows(index: FrameIndex, frame: Frame, seed: int) -> dict[str, Row]:
    points = _sweep(index.root, frame, Disturbance())

    def believed(axes: Axes, disturbance: Disturbance) -> str:
        camera = _front(frame)
        axes.imshow(decode_jpeg(index.root / camera.path, camera.size, 1))
        pixels, depth = project(disturbance.camera(frame, camera), points)
        colours = Normalize(MIN_DEPTH, MAX_DEPTH)
        axes.scatter(pixels[:, 0], pixels[:, 1], c=depth, norm=colours, s=2, cmap="turbo_r", linewidths=0)
        return ""

    def all_six(axes: Axes, disturbance: Disturbance) -> str:
        axes.imshow(_mosaic(index.root, frame, disturbance))
        return ""

    drifts = [CalibrationDrift(severity, seed) for severity in SEVERITIES]
    late = [TemporalMisalignment(severity, index, seed) for severity in SEVERITIES]
    return {
        "calibration_drift": Row(believed, _aspect(frame), drifts),
        "temporal_misalignment": Row(all_six, 1.5 * _aspect(frame), late),
    }


def _draw(title: str, rows: dict[str, Row], path: Path) -> None:
    """A row for each type: undisturbed, then its severities."""
    columns = 1 + len(SEVERITIES)
    wide, high = columns * PANEL, sum(PANEL / row.aspect + TITLE for row in rows.values()) + 2 * TITLE
    figure = Figure(figsize=(wide / DPI, high / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, y=1 - TITLE / 2 / high)
    below = high - 2 * TITLE  # upper edge of the next row, pixels from below
    for name, row in rows.items():
        below -= PANEL / row.aspect
        for column, disturbance in enumerate((Disturbance(), *row.disturbances)):
            severity = (0, *SEVERITIES)[column]
            left, width, height = (column * PANEL + GAP) / wide, (PANEL - 2 * GAP) / wide, PANEL / row.aspect / high
            axes = figure.add_axes((left, below / high, width, height))
            said = row.panel(axes, disturbance)
            heading = f"{name} {severity}" if severity else "undisturbed"
            axes.set_title(f"{heading}: {said}" if said else heading, fontsize=8)
            axes.set(xticks=[], yticks=[], aspect="equal")
        below -= TITLE
    figure.savefig(path)


def _corruptions(name: str, sensors: Literal["lidar", "camera"], seed: int) -> list[Disturbance]:
    return [Corruption(name, severity, sensors, seed) for severity in SEVERITIES]


def _sweep(root: Path, frame: Frame, disturbance: Disturbance) -> Points:
    """The key frame's points without the own car, as a network would see them."""
    return load_points(root, frame, sweeps=0, ego_radius=1.0, disturb=partial(disturbance.sweep, frame))[0]


def _load(root: Path, frame: Frame, camera: Camera, disturbance: Disturbance) -> Image:
    """The image as a network would see it, before it is resized."""
    seen = disturbance.camera(frame, camera)
    return disturbance.image(frame, camera, decode_jpeg(root / seen.path, seen.size, 1))


def _mosaic(root: Path, frame: Frame, disturbance: Disturbance) -> Image:
    """All six images in two rows, each `PANEL` / 3 wide; grey where the frame has none, red around another's file."""
    width = PANEL // 3
    height = round(width / _aspect(frame))
    mosaic = np.full((2, height, 3, width, 3), 128, np.uint8)
    for camera in frame.cameras:
        small = cv2.resize(_load(root, frame, camera, disturbance), (width, height), interpolation=cv2.INTER_AREA)
        if disturbance.camera(frame, camera).path != camera.path:
            cv2.rectangle(small, (1, 1), (width - 2, height - 2), RED, 2)
        row, column = divmod(CAMERA_CHANNELS.index(camera.channel), 3)
        mosaic[row, :, column] = small
    return mosaic.reshape(2 * height, 3 * width, 3)


def _front(frame: Frame) -> Camera:
    return next(camera for camera in frame.cameras if camera.channel == FRONT)


def _aspect(frame: Frame) -> float:
    width, height = frame.cameras[0].size
    return width / height
