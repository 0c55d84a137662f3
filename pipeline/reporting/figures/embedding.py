"""What pre-trained networks see from above: their BEV embeddings of one frame as colours.

The three colours are the first three principal components (Pearson 1901) of the embeddings at the cells that hold a
point. A distilled camera branch is shown in the components of its LiDAR teacher, whose embeddings it was trained to
give: where both have learned the same, both show the same colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.artifacts.checkpoint import load_snapshots
from pipeline.errors import UserError
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.networks.camera import CameraBranch
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.projector import Projector
from pipeline.params import Params
from pipeline.reporting.methods import method_name

TAILS = (2.0, 98.0)  # percentiles of a component that become the darkest and the brightest

Weights = Mapping[str, Tensor]
Rows = NDArray[np.float32]  # [S * S, D], embeddings of the cells, row by row


@dataclass(frozen=True)
class EmbeddingMap:
    """The embeddings of one network as an image.

    Attributes:
        title: checkpoint and step.
        colours: float32 [S, S, 3] in 0..1; rows y, columns x, both ascending, as in `BevGrid`.
        share: of the embeddings' variance at cells with points, how much the three components hold, 0..1.
    """

    title: str
    colours: NDArray[np.float32]
    share: float


@dataclass(frozen=True)
class Components:
    """Three directions in the space of embeddings, and the range of each that is shown.

    Attributes:
        mean: float32 [D].
        directions: float32 [D, 3], of length 1, the largest entry of each positive.
        low: float32 [3], shown dark.
        high: float32 [3], shown bright.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def embedding_maps(params: Params, index: FrameIndex, position: int, checkpoints: Sequence[Path]) -> list[EmbeddingMap]:
    """Maps of one frame by pre-trained networks: untrained, where a checkpoint kept that, and at the end.

    Args:
        params: all of them; `networks`, `frames` and `distill_camera.teacher` are read.
        index: the frames.
        position: which of them; without augmentation.
        checkpoints: folders below data/checkpoints/pretrain_lidar and data/checkpoints/distill_camera, LiDAR first: a
            camera branch whose teacher is not among them is shown in components of its own. Those of cameras are left
            out where the frame has no image.

    Raises:
        UserError: a sensor file or a checkpoint is missing or damaged, or belongs to other params.
    """
    cameras = bool(index[position].cameras)
    grid = params.networks.grid
    batch = FrameLoader(index, params.frames, grid, images=cameras).load([position])
    occupied = _occupied(batch, params)
    teachers: dict[str, Components] = {}
    maps = []
    for folder in checkpoints:
        snapshots = load_snapshots(folder)
        first, last = min(snapshots), max(snapshots)
        of_camera = any(name.startswith("camera.") for name in snapshots[last])
        if of_camera and not cameras:
            continue
        own: Components | None = None
        if not of_camera:
            own = teachers[folder.name] = principal_components(_embed(snapshots[last], batch, params, folder), occupied)
        elif _below(snapshots[last], "camera_projector"):
            taught = _below(snapshots[last], "lidar_projector")
            own = (
                principal_components(_embed_lidar(snapshots[last], batch, params, folder), occupied)
                if taught
                else teachers.get(params.distill_camera.teacher)
            )
        for step in dict.fromkeys([0, last] if first == 0 else [last]):
            rows = _embed(snapshots[step], batch, params, folder)
            # An untrained LiDAR branch shares no space with a trained one.
            shown = own if own and (of_camera or step == last) else principal_components(rows, occupied)
            title = f"{method_name(folder)}, {f'after {step} steps' if step else 'untrained'}"
            maps.append(EmbeddingMap(title, paint(rows, shown), explained(rows[occupied], shown)))
    return maps


def principal_components(rows: Rows, occupied: NDArray[np.bool_]) -> Components:
    """The three directions of largest variance of the rows [S * S, D] at occupied cells [S * S]; D is at least 3."""
    seen = rows[occupied]
    mean = seen.mean(axis=0)
    # Rows of zeros add no variance and let a frame of fewer than three points pass.
    centred = np.concatenate([seen - mean, np.zeros((3, seen.shape[1]), np.float32)])
    directions = np.linalg.svd(centred, full_matrices=False)[2][:3].T
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    directions = directions * np.where(largest < 0, -1, 1)
    low, high = np.percentile((seen - mean) @ directions, TAILS, axis=0)
    return Components(mean, directions.astype(np.float32), low.astype(np.float32), high.astype(np.float32))


def paint(rows: Rows, components: Components) -> NDArray[np.float32]:
    """Rows [S * S, D] as colours float32 [S, S, 3] in 0..1."""
    values = (rows - components.mean) @ components.directions
    span = np.maximum(components.high - components.low, 1e-12)
    size = round(len(rows) ** 0.5)
    return np.asarray(np.clip((values - components.low) / span, 0, 1), np.float32).reshape(size, size, 3)


def explained(rows: Rows, components: Components) -> float:
    """Share of the variance of the rows [P, D] that lies along the three directions; 0 where nothing varies."""
    centred = np.asarray(rows - rows.mean(axis=0), np.float64)
    whole = float((centred**2).sum())
    return float(((centred @ components.directions) ** 2).sum()) / whole if whole else 0.0


def _embed(weights: Weights, batch: FrameBatch, params: Params, folder: Path) -> Rows:
    """Embeddings [S * S, D] of all cells; those of the camera where the weights hold one."""
    if not _below(weights, "camera"):
        return _embed_lidar(weights, batch, params, folder)
    assert batch.images is not None and batch.bev_from_image is not None and batch.camera_present is not None
    size = (params.frames.image_height, params.frames.image_width)
    camera = CameraBranch(params.networks.camera, params.networks.grid.feature_grid, size)
    with torch.inference_mode():
        _load(camera, weights, "camera", folder)
        bev, _ = camera.encode(batch.images, batch.bev_from_image, batch.camera_present)
        return _project(bev, weights, "camera_projector", params, folder)


def _embed_lidar(weights: Weights, batch: FrameBatch, params: Params, folder: Path) -> Rows:
    lidar = LidarBranch(params.networks.lidar, params.networks.grid)
    with torch.inference_mode():
        _load(lidar, weights, "lidar", folder)
        return _project(lidar(batch.points, batch.offsets), weights, "lidar_projector", params, folder)


def _project(bev: Tensor, weights: Weights, name: str, params: Params, folder: Path) -> Rows:
    """Rows of a map [1, C, S, S] after the projector of that name; as they are where the weights have none."""
    rows = bev[0].permute(1, 2, 0).flatten(0, 1).float()
    if _below(weights, name):
        projector = Projector(rows.shape[1], params.networks.embedding)
        _load(projector, weights, name, folder)
        rows = projector(rows)
    return np.asarray(rows.numpy(), np.float32)


def _load(network: nn.Module, weights: Weights, name: str, folder: Path) -> None:
    try:
        network.load_state_dict(_below(weights, name))
    except RuntimeError as error:
        raise UserError(
            f"the weights do not fit params.yaml: {str(error).splitlines()[-1].strip()}",
            where=str(folder),
            remedy="run `dvc repro`, or put the params under `networks` back",
        ) from error
    network.eval()


def _below(weights: Weights, name: str) -> dict[str, Tensor]:
    """The weights below a name, without it; empty where there are none."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _occupied(batch: FrameBatch, params: Params) -> NDArray[np.bool_]:
    """Which cells of the feature grid hold a point, bool [S * S]."""
    grid = params.networks.grid.feature_grid
    cells = ((batch.points[:, :2] + grid.reach) / grid.cell).floor().long().numpy()
    held = np.zeros((grid.size, grid.size), np.bool_)
    inside = ((cells >= 0) & (cells < grid.size)).all(axis=1)
    held[cells[inside, 1], cells[inside, 0]] = True
    return held.reshape(-1)
