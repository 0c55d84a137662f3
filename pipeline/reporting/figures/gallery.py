"""The figures of the report: a few validation frames as projections, embeddings, regions, detections and maps."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation.detection import ScoredBoxes, read_submission
from pipeline.evaluation.map_segmentation import MapPictures
from pipeline.evaluation.record import KEPT_FRAMES, MAPS, SUBMISSION, spread
from pipeline.frames.frame import Frame
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.frames.points import read_points
from pipeline.params import Params, Regions
from pipeline.regions.rejections import find_rejections
from pipeline.regions.segmentation import segment
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures.bev import draw_detections, draw_maps
from pipeline.reporting.figures.embedding import embedding_maps
from pipeline.reporting.figures.embedding_figure import draw_embeddings
from pipeline.reporting.figures.overlays import draw_overlays
from pipeline.reporting.figures.picture import Picture, save_picture
from pipeline.reporting.figures.projection import draw_projection
from pipeline.reporting.figures.regions import draw_regions
from pipeline.reporting.page.report import Group
from pipeline.reporting.tables.table import HEADLINES


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


def draw_embedding_figures(
    params: Params, index: FrameIndex, positions: list[int], labels: Labels, checkpoints: Sequence[Path], out: Path
) -> Group:
    """One figure per frame: its BEV embeddings by every pre-trained network; none where nothing was pre-trained."""
    pictures = []
    for position in positions if checkpoints else []:
        frame, reach = index[position], params.networks.grid.reach
        boxes, _, points = labels.boxes(frame.token)
        maps = embedding_maps(params, index, position, checkpoints)
        figure = draw_embeddings(read_points(index.root / frame.lidar_path), boxes[points > 0], maps, reach)
        what = (
            "BEV embeddings, their first three principal components as colours; a distilled camera in those of its "
            "teacher"
        )
        pictures.append(_save(figure, out, "embeddings", frame, what))
    return "Embeddings", pictures


def draw_region_figures(
    index: FrameIndex, positions: list[int], regions: RegionStore, params: Regions, out: Path
) -> Group:
    """One figure per frame: key-frame points coloured by region, and outlines of rejected clusters by reason.

    The store holds no reasons, so the frame is clustered again; the caption tells where that gives other ids, as
    another processor's rounding may. Without frames whose regions could not be built.
    """
    pictures = []
    for position in positions:
        if position in regions.bad_frames:
            continue
        frame = index[position]
        points = read_points(index.root / frame.lidar_path)
        ids = regions.read(position, frame.points)
        figure = draw_regions(points, ids, rejections=find_rejections(points, params))
        other = int((segment(points, params).ids != ids).sum())
        doubt = f"; {other} points get other ids on this machine, so outlines may be wrong" if other else ""
        what = f"points by region, rejected clusters outlined by reason{doubt}"
        pictures.append(_save(figure, out, "regions", frame, what))
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


def choose_camera_arm(values: pd.DataFrame, arms: Sequence[str]) -> str | None:
    """Of some arms the one with the highest mean score of detection at the largest label fraction; None without any."""
    own = values[values["arm"].isin(arms) & (values["metric"] == HEADLINES["detection"][0])]
    means = own[own["fraction"] == own["fraction"].max()].groupby("arm", sort=False)["value"].mean()
    return str(means.idxmax()) if len(means) else None


def draw_overlay_figures(
    index: FrameIndex, positions: list[int], labels: Labels, arm: str, cell: Path, out: Path
) -> Group:
    """One figure per frame with cameras: boxes that `arm` predicts, and true ones that hold a point, in the images."""
    submission = json.loads((cell / SUBMISSION).read_bytes())
    pictures = []
    for position in positions:
        frame = index[position]
        if not frame.cameras:
            continue
        boxes, _, points = labels.boxes(frame.token)
        figure = draw_overlays(index.root, frame, boxes[points > 0], read_submission(submission, frame))
        what = f"boxes of {arm}, the best arm with cameras, by class; true boxes thin white"
        pictures.append(_save(figure, out, "overlay", frame, what))
    return "Detections in the images", pictures


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
