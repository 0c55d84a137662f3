"""Probes of pre-trained LiDAR branches: classes from frozen features, alignment and uniformity of the embeddings."""

from collections.abc import Mapping
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from pipeline.evaluation.probe_frames import Maps, Name, ProbeSource, class_scores, gather
from pipeline.evaluation.probe_geometry import geometry_map
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.geometry.grid import BevGrid
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.params import Networks, PretrainLidar
from pipeline.training.pretrain_lidar import LidarEmbedding, draw_contrast_points, in_reach

Weights = dict[str, Tensor]


def probe_lidar(
    weights: Mapping[Name, Weights],
    source: ProbeSource,
    networks: Networks,
    params: PretrainLidar,
    device: torch.device,
) -> dict[Name, dict[str, float]]:
    """Scores of each of some weights; the frames are loaded once for all of them.

    Args:
        weights: named `lidar.*` and `lidar_projector.*`, e.g. by the step after which they were kept.
        source: the frames and their classes.
        networks: what the weights belong to.
        params: augmentation and number of points of the two views.
        device: where the networks run.

    Returns:
        `class_scores`, `alignment` and `uniformity` by name of the weights.
    """
    opened = {name: _open(own, networks, device) for name, own in weights.items()}
    maps: dict[Name, Maps] = {name: partial(_lidar_map, network) for name, network in opened.items()}
    fitted, scored = (gather(maps, source.batches(positions, device)) for positions in (source.train, source.test))
    views = _view_scores(opened, source, params, device)
    return {name: class_scores(fitted[name], scored[name]) | views[name] for name in weights}


def probe_geometry(source: ProbeSource, networks: Networks, device: torch.device) -> dict[str, float]:
    """`class_scores` of what lies in a cell, without a network: see `geometry_map`. Arguments as in `probe_lidar`."""
    grid = networks.grid.feature_grid

    def maps(frames: FrameBatch) -> tuple[Tensor, BevGrid]:
        return geometry_map(frames.points, frames.offsets, grid, networks.grid.z_min, networks.grid.z_max), grid

    fitted, scored = (
        gather({"": maps}, source.batches(positions, device))[""] for positions in (source.train, source.test)
    )
    return class_scores(fitted, scored)


def _open(weights: Weights, networks: Networks, device: torch.device) -> LidarEmbedding:
    network = LidarEmbedding(networks)
    network.load_state_dict(weights)
    return network.to(device).eval()


def _lidar_map(network: LidarEmbedding, frames: FrameBatch) -> tuple[Tensor, BevGrid]:
    return network.lidar(frames.points, frames.offsets), network.lidar.out_grid


@torch.inference_mode()
def _view_scores(
    networks: Mapping[Name, LidarEmbedding],
    source: ProbeSource,
    params: PretrainLidar,
    device: torch.device,
) -> dict[Name, dict[str, float]]:
    """Alignment of two augmented views and uniformity of the first, the mean over batches."""
    loader = FrameLoader(
        source.index, source.frames, source.grid, regions=source.regions, augmentation=params.augmentation
    )
    rows: dict[Name, list[tuple[float, float]]] = {name: [] for name in networks}
    for own in source.split(source.test):
        one, two = (loader.load(own, view=view, crop=False, device=device) for view in ("one", "two"))
        inside = in_reach(one, source.grid.reach) & in_reach(two, source.grid.reach)
        drawn = draw_contrast_points(one, inside, rich=params.rich, less=params.less, seed=params.seed, epoch=0)
        for name, network in networks.items():
            p, q = network(one, drawn), network(two, drawn)
            rows[name].append((float(alignment(p, q)), float(uniformity(p))))
    return {
        name: {"alignment": fmean(apart for apart, _ in own), "uniformity": fmean(spread for _, spread in own)}
        for name, own in rows.items()
    }
