"""The baseline that trains both branches at once, SimIPU's joint contrast, on unlabelled frames."""

from torch import Tensor, nn

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.transfer import load_start
from pipeline.objectives.point_sampling import DrawnPoints
from pipeline.objectives.simipu import simipu
from pipeline.params import DistillCamera, Frames, Networks, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.distill_camera import CameraEmbedding, with_depth
from pipeline.training.fabric import open_fabric
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit
from pipeline.training.pretrain_lidar import LidarEmbedding, draw_any_points, in_reach


class JointEmbedding(nn.Module):
    """Both branches with their projectors; weights and snapshots bear the names that each has alone."""

    def __init__(self, networks: Networks, frames: Frames) -> None:
        super().__init__()
        by_lidar, by_camera = LidarEmbedding(networks), CameraEmbedding(networks, frames)
        self.lidar, self.lidar_projector = by_lidar.lidar, by_lidar.lidar_projector
        self.camera, self.camera_projector = by_camera.camera, by_camera.camera_projector
        self.embeddings = (by_lidar, by_camera)  # a tuple: not registered once more

    def forward(self, one: FrameBatch, two: FrameBatch, drawn: DrawnPoints) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """LiDAR embeddings in both views and camera embeddings in the first, float32 [P, D], and the depth logits."""
        by_lidar, by_camera = self.embeddings
        camera, logits = by_camera(one, drawn)
        return by_lidar(one, drawn), by_lidar(two, drawn), camera, logits


def pretrain_jointly(
    loader: FrameLoader,
    run: Run,
    start_weights: dict[str, Tensor],
    networks: Networks,
    frames: Frames,
    params: DistillCamera,
    runtime: Runtime,
) -> tuple[dict[str, Tensor], History, dict[str, int | list[str]]]:
    """Trains a LiDAR and a camera branch by contrast of LiDAR with LiDAR and of camera with LiDAR.

    Args:
        loader: gives frames with regions (which tell the key frame's points) and images, augmented by
            `params.augmentation`.
        run: the run.
        start_weights: `camera.*` or `timm.*` that the camera branch starts from; none = at random.

    Returns:
        Weights named `lidar.*`, `lidar_projector.*`, `camera.*` and `camera_projector.*`, the losses, and what the
        start weights matched, missed, ….

    Raises:
        UserError: the start weights are of another image backbone.
    """
    fabric = open_fabric(runtime, run.schedule.precision, run.seed)
    both = JointEmbedding(networks, frames)
    transfer = load_start(both.embeddings[1], start_weights, least_matched=networks.camera.least_matched)
    both.to(fabric.device)
    for branch in both.embeddings:
        compile_dense(branch, runtime, fabric.device)

    def load(step: Step) -> tuple[FrameBatch, FrameBatch]:
        one, two = (
            loader.load(step.positions, step.epoch, run.seed, view, crop=False, device=fabric.device)
            for view in ("one", "two")
        )
        return one, two

    def losses(network: nn.Module, step: Step, views: tuple[FrameBatch, FrameBatch]) -> dict[str, Tensor]:
        one, two = views
        eligible = in_reach(one, networks.grid.reach) & in_reach(two, networks.grid.reach)
        drawn = draw_any_points(one, eligible, rich=params.rich, less=params.less, seed=run.seed, epoch=step.epoch)
        p, q, c, logits = network(one, two, drawn)
        terms = simipu(p, q, c, temperature=params.temperature, gather=run.schedule.gather)
        return with_depth(terms, "contrast", one, logits, both.camera, params.depth_supervision)

    history = fit(fabric, both, load, losses, run, runtime)
    return both.state_dict(), history, transfer.record()
