"""Stage two of CALICO: RAD, or a baseline, distils the frozen LiDAR branch into the camera branch without labels."""

import torch
from torch import Tensor, nn

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.geometry.grid import BevGrid
from pipeline.networks.camera import CameraBranch
from pipeline.networks.projector import Projector
from pipeline.networks.sampling import sample_bev
from pipeline.networks.transfer import load_start
from pipeline.objectives.bev_distill import bev_distill, region_cells
from pipeline.objectives.depth import depth_loss, depth_targets
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.objectives.point_sampling import DrawnPoints
from pipeline.objectives.rad import rad
from pipeline.params import CameraMethod, DistillCamera, Frames, Networks, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.fabric import open_fabric
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit
from pipeline.training.pretrain_lidar import LidarEmbedding, draw_contrast_points, in_reach, region_ids


class CameraEmbedding(nn.Module):
    """Camera branch and projector: unit vectors at points, and the depth distributions behind them."""

    def __init__(self, networks: Networks, frames: Frames) -> None:
        super().__init__()
        size = (frames.image_height, frames.image_width)
        self.camera = CameraBranch(networks.camera, networks.grid.feature_grid, size)
        self.camera_projector = Projector(self.camera.out_channels, networks.embedding)

    def forward(self, batch: FrameBatch, drawn: DrawnPoints) -> tuple[Tensor, Tensor]:
        """Embeddings of the drawn points, float32 [P, D], rows of length 1, and the logits of `CameraBranch.encode`."""
        bev, logits = encode(self.camera, batch)
        positions = batch.points[drawn.index, :2]
        embeddings: Tensor = self.camera_projector(sample_bev(bev, positions, drawn.frame, self.camera.out_grid))
        return embeddings, logits


class CameraMap(nn.Module):
    """Camera branch and an adapter: its BEV map in the channels of the LiDAR branch, and the depth distributions."""

    def __init__(self, networks: Networks, frames: Frames, channels: int) -> None:
        super().__init__()
        size = (frames.image_height, frames.image_width)
        self.camera = CameraBranch(networks.camera, networks.grid.feature_grid, size)
        self.camera_adapter = nn.Conv2d(self.camera.out_channels, channels, 1)

    def forward(self, batch: FrameBatch) -> tuple[Tensor, Tensor]:
        """[B, channels, S, S] and the logits of `CameraBranch.encode`."""
        bev, logits = encode(self.camera, batch)
        return self.camera_adapter(bev), logits


def encode(camera: CameraBranch, batch: FrameBatch) -> tuple[Tensor, Tensor]:
    """`CameraBranch.encode` of a batch loaded with images."""
    assert batch.images is not None
    assert batch.bev_from_image is not None
    assert batch.camera_present is not None
    return camera.encode(batch.images, batch.bev_from_image, batch.camera_present)


def distill_camera(
    loader: FrameLoader,
    run: Run,
    teacher_weights: dict[str, Tensor],
    start_weights: dict[str, Tensor],
    networks: Networks,
    frames: Frames,
    params: DistillCamera,
    runtime: Runtime,
    method: CameraMethod = "rad",
) -> tuple[dict[str, Tensor], History, dict[str, int | list[str]]]:
    """Trains a camera branch to answer, at each point, what the frozen LiDAR branch answers there.

    Camera and LiDAR see the same augmented BEV frame; the image augmentation is undone by its own matrix.

    Args:
        loader: gives frames with regions and images, augmented by `params.augmentation`.
        run: the run.
        teacher_weights: `lidar.*` and `lidar_projector.*` of a pre-trained LiDAR branch.
        start_weights: `camera.*` or `timm.*` that the student starts from; none = at random.
        method: rad, rad_unweighted or bev_distill.

    Returns:
        Weights named `camera.*` and `camera_projector.*` (bev_distill: `camera_adapter.*`), the losses, and what the
        start weights matched, missed, ….

    Raises:
        UserError: the start weights are of another image backbone.
    """
    fabric = open_fabric(runtime, run.schedule.precision, run.seed)
    teacher = LidarEmbedding(networks).to(fabric.device)
    teacher.load_state_dict(teacher_weights)
    teacher.eval().requires_grad_(False)
    student: CameraEmbedding | CameraMap
    if method == "bev_distill":
        student = CameraMap(networks, frames, teacher.lidar.out_channels)
    else:
        student = CameraEmbedding(networks, frames)
    transfer = load_start(student, start_weights, least_matched=networks.camera.least_matched)
    student.to(fabric.device)
    for network in (teacher, student):
        compile_dense(network, runtime, fabric.device)

    gather = run.schedule.gather

    def load(step: Step) -> FrameBatch:
        return loader.load(step.positions, step.epoch, run.seed, device=fabric.device)

    def losses(network: nn.Module, step: Step, batch: FrameBatch) -> dict[str, Tensor]:
        if isinstance(student, CameraMap):
            with torch.no_grad(), fabric.autocast():
                target_map = teacher.lidar(batch.points, batch.offsets)
            bev, logits = network(batch)
            watched: dict[str, Tensor] = {}
            loss = bev_distill(bev, target_map, cells_of_regions(batch, teacher.lidar.out_grid), gather=gather)
        else:
            inside = in_reach(batch, networks.grid.reach)
            drawn = draw_contrast_points(
                batch, inside, rich=params.rich, less=params.less, seed=run.seed, epoch=step.epoch
            )
            with torch.no_grad(), fabric.autocast():
                target = teacher(batch, drawn)
            embeddings, logits = network(batch, drawn)
            loss = rad(
                embeddings, target.float(), drawn.region, drawn.frame, temperature=params.temperature,
                region_weights=params.region_weights and method == "rad", gather=gather,
            )  # fmt: skip
            watched = {"alignment": alignment(embeddings, target), "uniformity": uniformity(embeddings)}
        terms = with_depth({"loss": loss}, method, batch, logits, student.camera, params.depth_supervision)
        return terms | watched

    history = fit(fabric, student, load, losses, run, runtime)
    return student.state_dict(), history, transfer.record()


def cells_of_regions(batch: FrameBatch, grid: BevGrid) -> Tensor:
    """bool [B, S, S]: cells of a grid that hold a semantic-rich point."""
    return region_cells(batch.points[:, :2], batch.frame_of_point, region_ids(batch) >= 0, grid, len(batch))


def with_depth(
    terms: dict[str, Tensor], name: str, batch: FrameBatch, logits: Tensor, camera: CameraBranch, weight: float
) -> dict[str, Tensor]:
    """The terms with depth supervision added to their `loss`, which alone stands under `name` then; as is for 0."""
    if not weight:
        return terms
    assert batch.images is not None
    assert batch.bev_from_image is not None
    assert batch.camera_present is not None
    targets = depth_targets(
        batch.points, batch.offsets, batch.bev_from_image, batch.camera_present,
        feature_size=(logits.shape[1], logits.shape[2]), image_size=(batch.images.shape[3], batch.images.shape[4]),
        depths=camera.view.depths,
    )  # fmt: skip
    depth = depth_loss(logits, targets)
    return terms | {"loss": terms["loss"] + weight * depth, name: terms["loss"], "depth": depth}
