"""The pictures of one frame that `calico view` writes besides the sheet: its regions, its embeddings."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipeline.artifacts.card import CARD
from pipeline.errors import UserError
from pipeline.frames.points import read_points
from pipeline.regions.rejections import find_rejections
from pipeline.reporting.figures.regions import draw_regions
from pipeline.reporting.methods import folders_of_methods
from pipeline.viewing.viewer import Viewer

CHECKPOINTS = Path("data/checkpoints")
Counts = dict[str, Any]


def draw_frame_regions(viewer: Viewer, position: int) -> tuple[Figure, Counts]:
    """Regions in colours and rejected clusters by reason; how many there are of both.

    Raises:
        UserError: the frame has no regions.
    """
    frame = viewer.index[position]
    if viewer.regions is None:
        raise UserError("there are no regions", where="data/regions", remedy="run `dvc repro regions`")
    ids = viewer.regions.read(position, frame.points)
    points = read_points(viewer.index.root / frame.lidar_path)
    rejections = find_rejections(points, viewer.params.regions)
    figure = draw_regions(points, ids, rejections=rejections)
    return figure, {"regions": len(np.unique(ids[ids >= 0])), "rejected clusters": len(rejections)}


def draw_frame_embeddings(viewer: Viewer, position: int) -> tuple[Figure, Counts]:
    """BEV embeddings of the pre-trained networks that params list, see `embedding_maps`; how many maps.

    Raises:
        UserError: nothing was pre-trained.
    """
    from pipeline.reporting.figures.embedding import embedding_maps  # opens torch
    from pipeline.reporting.figures.embedding_figure import draw_embeddings

    checkpoints = folders_of_methods(viewer.params, CHECKPOINTS, CARD)
    if not checkpoints:
        remedy = "run `dvc repro pretrain_lidar distill_camera`"
        raise UserError("nothing was pre-trained", where=str(CHECKPOINTS), remedy=remedy)
    frame = viewer.index[position]
    boxes = np.empty((0, 9), np.float32)
    if viewer.labels is not None:
        annotated, _, held = viewer.labels.boxes(frame.token)
        boxes = annotated[held > 0]
    maps = embedding_maps(viewer.params, viewer.index, position, checkpoints)
    points = read_points(viewer.index.root / frame.lidar_path)
    figure = draw_embeddings(points, boxes, maps, viewer.params.networks.grid.reach)
    return figure, {"maps": len(maps)}
