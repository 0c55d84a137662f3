"""The figures of the report: a few validation frames as projections, regions, detections and maps."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pipeline.evaluation.detection import ScoredBoxes, read_submission
from pipeline.evaluation.map_segmentation import MapPictures
from pipeline.evaluation.record import KEPT_FRAMES, MAPS, SUBMISSION, spread
from pipeline.frames.frame import Frame
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.points import read_points
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures import draw_detections, draw_maps
from pipeline.reporting.page import Group
from pipeline.reporting.picture import Picture, save_picture
from pipeline.reporting.projection import draw_projection
from pipeline.reporting.regions import draw_regions


def choose_frames(index: FrameIndex, split: str, count: int) -> list[int]:
    """Positions of the frames drawn: at most `count` of those whose maps `evaluate` kept."""
    return spread(spread(index.split(split), KEPT_FRAMES), count)


def draw_projection_figures(index: FrameIndex, positions: list[int], labels: Labels, out: Path) -> Group:
    """One figure per frame with cameras: points and true boxes that hold a point, over the images."""
    pictures = []
    for position in positions:
        frame = index[position]
        if not frame.cameras:
            continue
        boxes, _, points = labels.boxes(frame.token)
        figure = draw_projection(index.root, frame, boxes[points > 0])
        pictures.append(_save(figure, out, "projection", frame, "LiDAR points by depth and true boxes in the images"))
    return "Projection", pictures


def draw_region_figures(index: FrameIndex, positions: list[int], regions: RegionStore, out: Path) -> Group:
    """One figure per frame: key-frame points coloured by region; without frames whose regions could not be built."""
    pictures = []
    for position in positions:
        if position in regions.bad_frames:
            continue
        frame = index[position]
        figure = draw_regions(read_points(index.root / frame.lidar_path), regions.read(position, frame.points))
        pictures.append(_save(figure, out, "regions", frame, "points by region"))
    return "Regions", pictures


def draw_detection_figures(
    index: FrameIndex, positions: list[int], labels: Labels, cells: dict[str, Path], reach: float, out: Path
) -> Group:
    """One figure per frame, one panel per arm; `cells` maps an arm to the results folder of its cell."""
    submissions = {arm: json.loads((folder / SUBMISSION).read_bytes()) for arm, folder in cells.items()}
    pictures = []
    for position in positions:
        frame = index[position]
        boxes, classes, points = labels.boxes(frame.token)
        seen = (points > 0) & (np.abs(boxes[:, :2]) < reach).all(axis=1)
        truth = ScoredBoxes(boxes[seen], classes[seen], np.ones(int(seen.sum()), np.float32))
        panels = [(arm, read_submission(submission, frame)) for arm, submission in submissions.items()]
        figure = draw_detections(read_points(index.root / frame.lidar_path), truth, panels, reach)
        pictures.append(_save(figure, out, "detections", frame, "predicted boxes by class, true boxes thin black"))
    return "Detections", pictures


def draw_map_figures(index: FrameIndex, positions: list[int], cells: dict[str, Path], reach: float, out: Path) -> Group:
    """One figure per frame: the true map and the one of each arm, probability at least 0.5."""
    maps = {arm: MapPictures.load(folder / MAPS) for arm, folder in cells.items()}
    pictures = []
    for position in positions:
        frame = index[position]
        rows = {arm: kept.tokens.index(frame.token) for arm, kept in maps.items()}
        panels = [(arm, kept.predicted[rows[arm]]) for arm, kept in maps.items()]
        arm, kept = next(iter(maps.items()))
        figure = draw_maps(kept.truth[rows[arm]], panels, reach)
        pictures.append(_save(figure, out, "map", frame, "map segmentation at threshold 0.5"))
    return "Map segmentation", pictures


def _save(figure: Figure, out: Path, kind: str, frame: Frame, what: str) -> Picture:
    short = frame.token[:8]
    return save_picture(figure, out, f"{kind}-{short}", f"{frame.scene}, sample {short}: {what}.")
