"""Stage one of CALICO: PRC, or a baseline in its place, pre-trains the LiDAR branch on unlabelled frames."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.frames.augmentation import generator
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.projector import Projector
from pipeline.networks.sampling import sample_bev
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.objectives.point_info_nce import point_info_nce
from pipeline.objectives.point_sampling import DrawnPoints, draw_points
from pipeline.objectives.prc import prc
from pipeline.objectives.proposal_contrast import proposal_contrast, propose
from pipeline.params import LidarMethod, Networks, PretrainLidar, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.fabric import open_fabric
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit

NEVER_CLUSTERED, GROUND, NOISE = -4, -2, -1  # region ids of `pipeline.regions`


class LidarEmbedding(nn.Module):
    """LiDAR branch and projector: unit vectors at points."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.lidar = LidarBranch(networks.lidar, networks.grid)
        self.lidar_projector = Projector(self.lidar.out_channels, networks.embedding)

    def forward(self, batch: FrameBatch, drawn: DrawnPoints) -> Tensor:
        """Embeddings of the drawn points, float32 [P, D], rows of length 1."""
        bev = self.lidar(batch.points, batch.offsets)
        positions = batch.points[drawn.index, :2]
        embeddings: Tensor = self.lidar_projector(sample_bev(bev, positions, drawn.frame, self.lidar.out_grid))
        return embeddings


def pretrain_lidar(
    loader: FrameLoader,
    run: Run,
    networks: Networks,
    params: PretrainLidar,
    runtime: Runtime,
    method: LidarMethod = "prc",
) -> tuple[dict[str, Tensor], History]:
    """Trains a LiDAR branch by contrast between two augmented views of each frame.

    Args:
        loader: gives frames with regions, augmented by `params.augmentation`.
        run: the run.
        method: which contrast, see `contrast`.

    Returns:
        Weights named `lidar.*` and `lidar_projector.*`, and the losses.
    """
    fabric = open_fabric(runtime, run.schedule.precision, run.seed)
    embedding = LidarEmbedding(networks).to(fabric.device)
    compile_dense(embedding, runtime, fabric.device)

    def load(step: Step) -> tuple[FrameBatch, FrameBatch]:
        # Uncropped, so that row i is the same point in both views.
        one, two = (
            loader.load(step.positions, step.epoch, run.seed, view, crop=False, device=fabric.device)
            for view in ("one", "two")
        )
        return one, two

    def losses(network: nn.Module, step: Step, views: tuple[FrameBatch, FrameBatch]) -> dict[str, Tensor]:
        one, two = views
        eligible = in_reach(one, networks.grid.reach) & in_reach(two, networks.grid.reach)
        sizes = {"rich": params.rich, "less": params.less}
        if method == "point_info_nce":
            drawn = draw_any_points(one, eligible, **sizes, seed=run.seed, epoch=step.epoch)
        elif method == "proposal_contrast":
            drawn = draw_any_points(one, eligible & off_ground(one), **sizes, seed=run.seed, epoch=step.epoch)
        else:
            drawn = draw_contrast_points(one, eligible, **sizes, seed=run.seed, epoch=step.epoch)
        p, q = network(one, drawn), network(two, drawn)
        positions = one.points[drawn.index, :3]
        terms = contrast(method, params, p, q, drawn, positions, gather=run.schedule.gather)
        return terms | {"alignment": alignment(p, q), "uniformity": uniformity(p)}

    history = fit(fabric, embedding, load, losses, run, runtime)
    return embedding.state_dict(), history


def contrast(
    method: LidarMethod,
    params: PretrainLidar,
    p: Tensor,
    q: Tensor,
    drawn: DrawnPoints,
    positions: Tensor,
    gather: bool = False,
) -> dict[str, Tensor]:
    """The loss terms of a method.

    Args:
        method: prc; plrc and rapc are its two terms alone; the others are baselines.
        params: temperature and what else the method has.
        p: view 1, float32 [P, D], rows of length 1.
        q: view 2, the same points.
        drawn: the points.
        positions: float32 [P, 3], metres, in view 1.
        gather: whether the points of all processes are negatives.
    """
    if method == "point_info_nce":
        return {"loss": point_info_nce(p, q, temperature=params.temperature, gather=gather)}
    if method == "proposal_contrast":
        own = params.proposals
        proposals = propose(positions, drawn.frame, centres=own.centres, radius=own.radius)
        return {"loss": proposal_contrast(p, q, proposals, temperature=params.temperature, gather=gather)}
    alpha = {"prc": params.alpha, "plrc": 1.0, "rapc": 0.0}[method]
    return prc(p, q, drawn.region, temperature=params.temperature, alpha=alpha, switches=params.rapc, gather=gather)


def in_reach(batch: FrameBatch, reach: float) -> Tensor:
    """bool [ΣN]: points inside the BEV area of the batch's own view."""
    return (batch.points[:, :2].abs() < reach).all(1)


def off_ground(batch: FrameBatch) -> Tensor:
    """bool [ΣN]: points that the regions' ground removal did not take away."""
    return region_ids(batch) != GROUND


def draw_contrast_points(
    batch: FrameBatch, eligible: Tensor, *, rich: int, less: int, seed: int, epoch: int
) -> DrawnPoints:
    """Draws the points of a contrast; those of a frame are a pure function of the frame, the seed and the epoch."""
    randoms = [
        generator(seed, epoch, token, "points").random(count, dtype=np.float32)
        for token, count in zip(batch.tokens, batch.offsets.diff().tolist(), strict=True)
    ]
    priority = torch.from_numpy(np.concatenate(randoms)).to(batch.points.device)
    return draw_points(region_ids(batch), batch.frame_of_point, eligible, priority, rich=rich, less=less)


def draw_any_points(batch: FrameBatch, eligible: Tensor, *, rich: int, less: int, seed: int, epoch: int) -> DrawnPoints:
    """Draws as many points, but without a look at their regions; only points of the key frame, as there."""
    known = region_ids(batch)
    blind = replace(batch, region_ids=torch.where(known == NEVER_CLUSTERED, known, NOISE))
    return draw_contrast_points(blind, eligible, rich=0, less=rich + less, seed=seed, epoch=epoch)


def region_ids(batch: FrameBatch) -> Tensor:
    """int16 [ΣN]; a ValueError where the batch was loaded without them."""
    if batch.region_ids is None:
        raise ValueError("a contrast needs frames loaded with their regions")
    return batch.region_ids
