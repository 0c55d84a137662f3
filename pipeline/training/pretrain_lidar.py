"""Stage one of CALICO: PRC pre-trains the LiDAR branch on unlabelled frames."""

import torch
from torch import Tensor, nn

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.projector import Projector
from pipeline.networks.sampling import sample_bev
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.objectives.point_sampling import DrawnPoints, draw_points
from pipeline.objectives.prc import prc
from pipeline.params import Networks, PretrainLidar, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.device import place
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit


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
    loader: FrameLoader, run: Run, networks: Networks, params: PretrainLidar, runtime: Runtime
) -> tuple[dict[str, Tensor], History]:
    """Trains a LiDAR branch by contrast between two augmented views of each frame.

    Args:
        loader: gives frames with regions, augmented by `params.augmentation`.
        run: the run.

    Returns:
        Weights named `lidar.*` and `lidar_projector.*`, and the losses.
    """
    device = place(runtime, run.seed)
    network = LidarEmbedding(networks).to(device)
    compile_dense(network, runtime, device)

    def load(step: Step) -> tuple[FrameBatch, FrameBatch]:
        # Uncropped, so that row i is the same point in both views.
        one, two = (
            loader.load(step.positions, step.epoch, run.seed, view, crop=False, device=device)
            for view in ("one", "two")
        )
        return one, two

    def losses(step: Step, views: tuple[FrameBatch, FrameBatch]) -> dict[str, Tensor]:
        one, two = views
        drawn = draw_contrast_points(
            one, in_reach(one, networks.grid.reach) & in_reach(two, networks.grid.reach),
            rich=params.rich, less=params.less, seed=run.seed, step=step.number,
        )  # fmt: skip
        p, q = network(one, drawn), network(two, drawn)
        terms = prc(p, q, drawn.region, temperature=params.temperature, alpha=params.alpha)
        return terms | {"alignment": alignment(p, q), "uniformity": uniformity(p)}

    history = fit(network, load, losses, run, runtime)
    return network.state_dict(), history


def in_reach(batch: FrameBatch, reach: float) -> Tensor:
    """bool [ΣN]: points inside the BEV area of the batch's own view."""
    return (batch.points[:, :2].abs() < reach).all(1)


def draw_contrast_points(
    batch: FrameBatch, eligible: Tensor, *, rich: int, less: int, seed: int, step: int
) -> DrawnPoints:
    """Draws the points of a contrast; a pure function of the batch, the seed and the step."""
    if batch.region_ids is None:
        raise ValueError("a contrast needs frames loaded with their regions")
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    return draw_points(batch.region_ids, batch.frame_of_point, eligible, rich=rich, less=less, generator=generator)
