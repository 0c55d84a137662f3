"""All that is known of one frame, read once for every way of drawing it."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import Camera, Frame
from pipeline.frames.images import decode_jpeg
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.points import load_points
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures.invented import find_invented


@dataclass(frozen=True)
class ViewedFrame:
    """A frame as a model reads it. What there is not is None, or missing from its dictionary.

    Attributes:
        frame: of the index.
        points: float32 [N, 5]: x, y, z (m, LiDAR frame), intensity (0..1), 0; the key frame's sweep, own car apart.
        regions: int16 [N], ids of `pipeline.regions.ids`; None under a disturbance: they belong to clean points.
        invented: bool [N], under a disturbance the points that it made (`find_invented`); else None.
        cameras: channel -> camera, as the model believes it to be.
        images: channel -> RGB pixels uint8 [h, w, 3] of the stored size.
        truth: annotated boxes that hold a point, LiDAR frame.
        predicted: boxes of an arm, LiDAR frame.
    """

    frame: Frame
    points: NDArray[np.float32]
    regions: NDArray[np.int16] | None
    invented: NDArray[np.bool_] | None
    cameras: dict[str, Camera]
    images: dict[str, NDArray[np.uint8]]
    truth: ScoredBoxes | None
    predicted: ScoredBoxes | None


def read_frame(
    index: FrameIndex,
    position: int,
    ego_radius: float,
    regions: RegionStore | None = None,
    labels: Labels | None = None,
    predicted: ScoredBoxes | None = None,
    disturbance: Disturbance | None = None,
) -> ViewedFrame:
    """Reads the sensor files of a frame and looks up the rest.

    Args:
        index: the frames.
        position: which of them.
        ego_radius: points with |x| and |y| below it are the own car, metres.
        regions: the store, if there is one.
        labels: the boxes, if there are some.
        predicted: by an arm.
        disturbance: what the sensors go through.

    Raises:
        UserError: a sensor file or a shard of the regions is missing or damaged.
    """
    frame = index[position]
    points, _, kept = load_points(index.root, frame, sweeps=0, ego_radius=ego_radius)
    ids, invented = None, None
    if disturbance is not None:
        clean = cKDTree(points[:, :3])
        struck = partial(disturbance.sweep, frame)
        points, _, _ = load_points(index.root, frame, sweeps=0, ego_radius=ego_radius, disturb=struck)
        invented = find_invented(clean, points)
    elif regions is not None and position not in regions.bad_frames:
        ids = regions.read(position, frame.points)[kept]
    seen = Disturbance() if disturbance is None else disturbance
    cameras = {camera.channel: seen.camera(frame, camera) for camera in frame.cameras}
    images = {
        camera.channel: seen.image(
            frame, camera, decode_jpeg(index.root / cameras[camera.channel].path, cameras[camera.channel].size, 1)
        )
        for camera in frame.cameras
    }
    truth = None if labels is None else _annotated(labels, frame.token)
    return ViewedFrame(frame, points, ids, invented, cameras, images, truth, predicted)


def _annotated(labels: Labels, token: str) -> ScoredBoxes:
    boxes, classes, points = labels.boxes(token)
    seen = points > 0
    return ScoredBoxes(boxes[seen], classes[seen], np.ones(int(seen.sum()), np.float32))
