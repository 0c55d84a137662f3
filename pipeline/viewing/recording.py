"""Frames as a recording for the Rerun viewer: https://rerun.io. Writes a file, opens no connection."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.geometry.transforms import Matrix
from pipeline.reporting.figures.bev import CLASS_COLOURS, SHOWN_SCORE
from pipeline.reporting.figures.regions import BACKGROUND, region_colours
from pipeline.viewing.pinhole import decompose
from pipeline.viewing.viewed_frame import ViewedFrame

LIDAR = "world/lidar"
REGIONS, INTENSITY, TRUTH, PREDICTED = (f"{LIDAR}/{name}" for name in ("regions", "intensity", "truth", "predicted"))
CAMERAS = f"{LIDAR}/cameras"
JPEG_QUALITY = 90
POINT_RADIUS = 0.04  # metres


def write_recording(frames: Iterable[ViewedFrame], name: str, arm: str, path: Path) -> int:
    """Writes frames to a file that `rerun FILE` opens.

    The world is the dataset's global frame (right-handed, z up, metres), moved so that the first LiDAR is at its
    origin. Below it `world/lidar` at its pose holds the points twice, by region (class ids are region ids, negative
    ones modulo 65,536) and by intensity; true and predicted boxes with their classes; and the cameras that there are,
    each with its pose, its intrinsics and its image. Timelines: `time` (seconds) and `frame` (0, 1, ... in the file).

    Args:
        frames: in the order of time.
        name: of the recording.
        arm: who predicted; shown in the panel `about`.
        path: file to write; complete or absent.

    Returns:
        How many frames.

    Raises:
        UserError: the package rerun-sdk is missing.
    """
    rr = _import_rerun()
    draft = path.with_name(f".{path.name}.draft")
    stream = rr.new_recording("calico", recording_id=name, make_default=False, make_thread_default=False)
    count = 0
    try:
        rr.save(draft, default_blueprint=_blueprint(), recording=stream)
        stream.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        stream.log("about", rr.TextDocument(f"{name}\npredictions: {arm or 'none'}"), static=True)
        stream.log(LIDAR, _classes(rr), static=True)
        origin = np.eye(4)
        for count, viewed in enumerate(frames, start=1):
            if count == 1:
                origin[:3, 3] = -viewed.frame.global_from_lidar[:3, 3]
            stream.set_time_seconds("time", viewed.frame.timestamp / 1e6)
            stream.set_time_sequence("frame", count - 1)
            _log_frame(rr, stream, viewed, origin @ viewed.frame.global_from_lidar)
        stream.flush(blocking=True)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        rr.disconnect(recording=stream)
    draft.replace(path)
    return count


def _import_rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise UserError(
            f"the package rerun-sdk cannot be imported: {error}",
            where="command line: --rerun",
            remedy='pip install "calico[view]", or leave --rerun out for a picture',
        ) from error
    return rerun


def _log_frame(rr: Any, stream: Any, viewed: ViewedFrame, world_from_lidar: Matrix) -> None:
    stream.log(LIDAR, rr.Transform3D(translation=world_from_lidar[:3, 3], mat3x3=world_from_lidar[:3, :3]))
    places = viewed.points[:, :3]
    if viewed.regions is not None:
        stream.log(f"{REGIONS}", _region_names(rr, viewed.regions))
        stream.log(REGIONS, rr.Points3D(places, class_ids=viewed.regions.astype(np.uint16), radii=POINT_RADIUS))
    shades = matplotlib.colormaps["viridis"](np.sqrt(viewed.points[:, 3].clip(0, 1)), bytes=True)[:, :3]
    if viewed.invented is not None:
        shades[viewed.invented] = (255, 80, 64)
    stream.log(INTENSITY, rr.Points3D(places, colors=shades, radii=POINT_RADIUS))
    if viewed.truth is not None:
        stream.log(TRUTH, _boxes(rr, viewed.truth, scores=False))
    if viewed.predicted is not None:
        sure = viewed.predicted.scores >= SHOWN_SCORE
        kept = ScoredBoxes(*(values[sure] for values in vars(viewed.predicted).values()))
        stream.log(PREDICTED, _boxes(rr, kept, scores=True))
    for channel, pixels in viewed.images.items():
        camera = viewed.cameras[channel]
        pinhole = decompose(camera.image_from_lidar)
        pose = pinhole.lidar_from_camera
        entity = f"{CAMERAS}/{channel}"
        stream.log(entity, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
        stream.log(
            entity,
            rr.Pinhole(
                image_from_camera=pinhole.intrinsics, resolution=camera.size, camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=2.0,
            ),
        )  # fmt: skip
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), JPEG_QUALITY, "RGB")
        stream.log(entity, rr.EncodedImage(contents=jpeg, media_type="image/jpeg"))


def _boxes(rr: Any, boxes: ScoredBoxes, scores: bool) -> Any:
    names = [DETECTION_CLASSES[label] for label in boxes.classes]
    labels = [f"{name} {score:.2f}" for name, score in zip(names, boxes.scores, strict=True)] if scores else names
    half = boxes.boxes[:, 6] / 2
    quaternions = np.stack([np.zeros_like(half), np.zeros_like(half), np.sin(half), np.cos(half)], axis=1)  # x y z w
    return rr.Boxes3D(
        centers=boxes.boxes[:, :3], half_sizes=boxes.boxes[:, 3:6] / 2, quaternions=quaternions,
        class_ids=boxes.classes.astype(np.uint16), labels=labels, radii=0.05 if scores else 0.02,
        colors=None if scores else [(255, 255, 255)] * len(names), show_labels=scores,
    )  # fmt: skip


def _classes(rr: Any) -> Any:
    """Names and colours of the detection classes, for all boxes."""
    return rr.AnnotationContext(
        [(label, name, _bytes(CLASS_COLOURS[name])) for label, name in enumerate(DETECTION_CLASSES)]
    )


def _region_names(rr: Any, ids: NDArray[np.int16]) -> Any:
    """Names and colours of the regions of one frame, and of the points in none."""
    rich = np.unique(ids[ids >= 0])
    named = [
        (int(np.uint16(negative & 0xFFFF)), name, _bytes(colour)) for negative, (name, colour) in BACKGROUND.items()
    ]
    colours = (region_colours(rich) * 255).round().astype(int)
    return rr.AnnotationContext(
        [*named, *((int(one), f"region {one}", tuple(map(int, c))) for one, c in zip(rich, colours, strict=True))]
    )


def _bytes(colour: Any) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in matplotlib.colors.to_rgb(colour))


def _blueprint() -> Any:
    """The world, in a tab each with points by region and by intensity, beside the cameras; boxes in all of them."""
    from rerun import blueprint as rrb

    boxes = [f"+ /{TRUTH}", f"+ /{PREDICTED}"]
    cameras = [
        rrb.Spatial2DView(origin=f"/{CAMERAS}/{channel}", contents=["+ $origin/**", *boxes], name=channel)
        for channel in CAMERA_CHANNELS
    ]
    world = rrb.Spatial3DView(origin="/world", contents=["+ /world/**", f"- /{INTENSITY}"], name="regions and boxes")
    plain = rrb.Spatial3DView(origin="/world", contents=["+ /world/**", f"- /{REGIONS}"], name="intensity and boxes")
    return rrb.Blueprint(
        rrb.Horizontal(rrb.Tabs(world, plain), rrb.Grid(*cameras, grid_columns=3), column_shares=[1, 1]),
        collapse_panels=True,
    )
