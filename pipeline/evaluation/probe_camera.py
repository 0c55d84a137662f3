"""Probes of distilled camera branches: retrieval of LiDAR points by camera, and classes from frozen features."""

from collections.abc import Mapping
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
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.objectives.similarity import region_means
from pipeline.params import DistillCamera, Networks
from pipeline.training.distill_camera import CameraEmbedding
from pipeline.training.pretrain_lidar import LidarEmbedding, draw_contrast_points, in_reach

Weights = dict[str, Tensor]


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
        weights: named `camera.*` and `camera_projector.*`.
        teacher_weights: `lidar.*` and `lidar_projector.*` of the branch that taught.
        params: number of points.

    Returns:
        By name of the weights: `class_scores`; within a frame, `retrieval` of a region's mean LiDAR embedding by its
        mean camera embedding and `retrieval_point` of single points of regions, each with its `_chance`; `alignment`
        of camera and LiDAR, `uniformity` of the camera.
    """
    opened = {name: _open(own, source, networks, device) for name, own in weights.items()}
    maps: dict[Name, Maps] = {name: partial(_camera_map, network) for name, network in opened.items()}
    fitted, scored = (
        gather(maps, source.batches(positions, device, images=True)) for positions in (source.train, source.test)
    )
    teacher = LidarEmbedding(networks)
    teacher.load_state_dict(teacher_weights)
    pairs = _pair_scores(opened, teacher.to(device).eval(), source, params, device)
    return {name: class_scores(fitted[name], scored[name]) | pairs[name] for name in weights}


def _open(weights: Weights, source: ProbeSource, networks: Networks, device: torch.device) -> CameraEmbedding:
    network = CameraEmbedding(networks, source.frames)
    network.load_state_dict(weights)
    return network.to(device).eval()


def _camera_map(network: CameraEmbedding, frames: FrameBatch) -> tuple[Tensor, BevGrid]:
    assert frames.images is not None
    assert frames.bev_from_image is not None
    assert frames.camera_present is not None
    bev, _ = network.camera.encode(frames.images, frames.bev_from_image, frames.camera_present)
    return bev, network.camera.out_grid


@torch.inference_mode()
def _pair_scores(
    networks: Mapping[Name, CameraEmbedding],
    teacher: LidarEmbedding,
    source: ProbeSource,
    params: DistillCamera,
    device: torch.device,
) -> dict[Name, dict[str, float]]:
    """Camera against LiDAR at the same points of regions, the mean over frames."""
    loader = FrameLoader(source.index, source.frames, source.grid, regions=source.regions, images=True)
    rows: dict[Name, list[dict[str, float]]] = {name: [] for name in networks}
    for own in source.split(source.test):
        frames = loader.load(own, crop=False, device=device)
        inside = in_reach(frames, source.grid.reach)
        drawn = draw_contrast_points(frames, inside, rich=params.rich, less=0, seed=params.seed, epoch=0)
        lidar = teacher(frames, drawn)
        for name, network in networks.items():
            camera, _ = network(frames, drawn)
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
