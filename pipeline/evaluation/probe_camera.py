"""Probes of distilled camera branches: retrieval of LiDAR points by camera, and classes from frozen features."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.evaluation.probe_frames import Maps, Name, ProbeSource, class_scores, gather
from pipeline.evaluation.probes import retrieval
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.geometry.grid import BevGrid
from pipeline.networks.camera import CameraBranch
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.objectives.similarity import region_means
from pipeline.params import DistillCamera, Networks
from pipeline.training.distill_camera import CameraEmbedding, encode
from pipeline.training.pretrain_lidar import LidarEmbedding, draw_contrast_points, in_reach

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Pair:
    """Embeddings of two branches that were trained to say the same at a point."""

    camera: CameraEmbedding
    lidar: LidarEmbedding


def probe_camera(
    weights: Mapping[Name, Weights],
    teacher_weights: Weights,
    source: ProbeSource,
    networks: Networks,
    params: DistillCamera,
    device: torch.device,
) -> dict[Name, dict[str, float]]:
    """Scores of each of some weights; arguments as in `probe_lidar` but for these.

    Args:
        weights: named `camera.*`; `camera_projector.*` where points were compared (`bev_distill` compares maps);
            `lidar.*` and `lidar_projector.*` where a LiDAR branch was trained along (`simipu`).
        teacher_weights: `lidar.*` and `lidar_projector.*` of the branch that taught those without one of their own.
        params: number of points.

    Returns:
        By name of the weights: `class_scores`; within a frame, `retrieval` of a region's mean LiDAR embedding by its
        mean camera embedding and `retrieval_point` of single points of regions, each with its `_chance`; `alignment`
        of camera and LiDAR, `uniformity` of the camera. The class scores alone for weights without a projector.
    """
    students = {name: _open_camera(own, source, networks, device) for name, own in weights.items()}
    maps: dict[Name, Maps] = {name: partial(_camera_map, student.camera) for name, student in students.items()}
    fitted, scored = (
        gather(maps, source.batches(positions, device, images=True)) for positions in (source.train, source.test)
    )
    teacher = _open_lidar(teacher_weights, networks, device)
    pairs = {
        name: Pair(students[name], _open_lidar(own, networks, device) if part(own, "lidar") else teacher)
        for name, own in weights.items()
        if part(own, "camera_projector")
    }
    compared = _pair_scores(pairs, source, params, device)
    return {name: class_scores(fitted[name], scored[name]) | compared.get(name, {}) for name in weights}


def _open_camera(weights: Weights, source: ProbeSource, networks: Networks, device: torch.device) -> CameraEmbedding:
    """The branch, with a projector that is left at random where the weights have none."""
    student = CameraEmbedding(networks, source.frames)
    student.camera.load_state_dict(part(weights, "camera"))
    if projector := part(weights, "camera_projector"):
        student.camera_projector.load_state_dict(projector)
    return student.to(device).eval()


def _open_lidar(weights: Weights, networks: Networks, device: torch.device) -> LidarEmbedding:
    branch = LidarEmbedding(networks)
    branch.lidar.load_state_dict(part(weights, "lidar"))
    branch.lidar_projector.load_state_dict(part(weights, "lidar_projector"))
    return branch.to(device).eval()


def part(weights: Weights, name: str) -> Weights:
    """The weights below a name, without it; empty where there are none."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _camera_map(camera: CameraBranch, frames: FrameBatch) -> tuple[Tensor, BevGrid]:
    bev, _ = encode(camera, frames)
    return bev, camera.out_grid


@torch.inference_mode()
def _pair_scores(
    pairs: Mapping[Name, Pair],
    source: ProbeSource,
    params: DistillCamera,
    device: torch.device,
) -> dict[Name, dict[str, float]]:
    """Camera against LiDAR at the same points of regions, the mean over frames."""
    loader = FrameLoader(source.index, source.frames, source.grid, regions=source.regions, images=True)
    rows: dict[Name, list[dict[str, float]]] = {name: [] for name in pairs}
    for own in source.split(source.test) if pairs else ():
        frames = loader.load(own, crop=False, device=device)
        inside = in_reach(frames, source.grid.reach)
        drawn = draw_contrast_points(frames, inside, rich=params.rich, less=0, seed=params.seed, epoch=0)
        answers: dict[LidarEmbedding, Tensor] = {}  # one teacher of all is asked once
        for name, pair in pairs.items():
            camera, _ = pair.camera(frames, drawn)
            if pair.lidar not in answers:
                answers[pair.lidar] = pair.lidar(frames, drawn)
            lidar = answers[pair.lidar]
            rows[name] += [
                _compare(camera[of_it], lidar[of_it], drawn.region[of_it])
                for of_it in (drawn.frame == frame for frame in range(len(own)))
                if bool(of_it.any())
            ]
    return {
        name: {what: sum(row[what] for row in own) / len(own) for what in (own[0] if own else {})}
        for name, own in rows.items()
    }


def _compare(camera: Tensor, lidar: Tensor, region: Tensor) -> dict[str, float]:
    """Of one frame; whole regions are compared by their mean embeddings, so that each weighs the same."""
    names, member = region.unique(return_inverse=True)
    of_regions = (normalize(region_means(points, member, len(names)), dim=1) for points in (camera, lidar))
    found, chance = _retrieve(*of_regions)
    exact, exact_chance = _retrieve(camera, lidar)
    return {
        "retrieval": found,
        "retrieval_chance": chance,
        "retrieval_point": exact,
        "retrieval_point_chance": exact_chance,
        "alignment": float(alignment(camera, lidar)),
        "uniformity": float(uniformity(camera)),
    }


def _retrieve(camera: Tensor, lidar: Tensor) -> tuple[float, float]:
    return retrieval(camera.cpu().numpy(), lidar.cpu().numpy(), np.arange(len(camera)))
