"""Stage two of CALICO: RAD distils the frozen LiDAR branch into the camera branch, on unlabelled frames."""

import torch
from torch import Tensor, nn

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.camera import CameraBranch
from pipeline.networks.projector import Projector
from pipeline.networks.sampling import sample_bev
from pipeline.networks.transfer import load_start
from pipeline.objectives.depth import depth_loss, depth_targets
from pipeline.objectives.hypersphere import alignment, uniformity
from pipeline.objectives.point_sampling import DrawnPoints
from pipeline.objectives.rad import rad
from pipeline.params import DistillCamera, Frames, Networks, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.device import place
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit
from pipeline.training.pretrain_lidar import LidarEmbedding, draw_contrast_points, in_reach


class CameraEmbedding(nn.Module):
    """Camera branch and projector: unit vectors at points, and the depth distributions behind them."""

    def __init__(self, networks: Networks, frames: Frames) -> None:
        super().__init__()
        size = (frames.image_height, frames.image_width)
        self.camera = CameraBranch(networks.camera, networks.grid.feature_grid, size)
        self.camera_projector = Projector(self.camera.out_channels, networks.embedding)

    def forward(self, batch: FrameBatch, drawn: DrawnPoints) -> tuple[Tensor, Tensor]:
        """Embeddings of the drawn points, float32 [P, D], rows of length 1, and the logits of `CameraBranch.encode`."""
        assert batch.images is not None
        assert batch.bev_from_image is not None
        assert batch.camera_present is not None
        bev, logits = self.camera.encode(batch.images, batch.bev_from_image, batch.camera_present)
        positions = batch.points[drawn.index, :2]
        embeddings: Tensor = self.camera_projector(sample_bev(bev, positions, drawn.frame, self.camera.out_grid))
        return embeddings, logits


def distill_camera(
    loader: FrameLoader,
    run: Run,
    teacher_weights: dict[str, Tensor],
    start_weights: dict[str, Tensor],
    networks: Networks,
    frames: Frames,
    params: DistillCamera,
    runtime: Runtime,
) -> tuple[dict[str, Tensor], History, dict[str, int | list[str]]]:
    """Trains a camera branch to answer, at each point, what the frozen LiDAR branch answers there.

    Camera and LiDAR see the same augmented BEV frame; the image augmentation is undone by its own matrix.

    Args:
        loader: gives frames with regions and images, augmented by `params.augmentation`.
        run: the run.
        teacher_weights: `lidar.*` and `lidar_projector.*` of a pre-trained LiDAR branch.
        start_weights: `camera.*` or `timm.*` that the student starts from; none = at random.

    Returns:
        Weights named `camera.*` and `camera_projector.*`, the losses, and what the start weights matched, missed, ….

    Raises:
        UserError: the start weights are of another image backbone.
    """
    device = place(runtime, run.seed)
    teacher = LidarEmbedding(networks).to(device)
    teacher.load_state_dict(teacher_weights)
    teacher.eval().requires_grad_(False)
    student = CameraEmbedding(networks, frames)
    transfer = load_start(student, start_weights, least_matched=networks.camera.least_matched)
    student.to(device)
    for network in (teacher, student):
        compile_dense(network, runtime, device)

    def load(step: Step) -> FrameBatch:
        return loader.load(step.positions, step.epoch, run.seed, device=device)

    def losses(step: Step, batch: FrameBatch) -> dict[str, Tensor]:
        inside = in_reach(batch, networks.grid.reach)
        drawn = draw_contrast_points(batch, inside, rich=params.rich, less=params.less, seed=run.seed, step=step.number)
        with torch.no_grad():
            target = teacher(batch, drawn)
        embeddings, logits = student(batch, drawn)
        loss = rad(embeddings, target, drawn.region, drawn.frame, temperature=params.temperature)
        watched = {"alignment": alignment(embeddings, target), "uniformity": uniformity(embeddings)}
        if not params.depth_supervision:
            return {"loss": loss, **watched}
        assert batch.bev_from_image is not None
        assert batch.camera_present is not None
        targets = depth_targets(
            batch.points, batch.offsets, batch.bev_from_image, batch.camera_present,
            feature_size=(logits.shape[1], logits.shape[2]), image_size=(frames.image_height, frames.image_width),
            depths=student.camera.view.depths,
        )  # fmt: skip
        depth = depth_loss(logits, targets)
        return {"loss": loss + params.depth_supervision * depth, "rad": loss, "depth": depth, **watched}

    history = fit(student, load, losses, run, runtime)
    return student.state_dict(), history, transfer.record()
