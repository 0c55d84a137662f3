"""The whole network of an arm and a task."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from pipeline.networks.fusion import ConvFuser
from pipeline.networks.heads.centerpoint import CenterPointHead
from pipeline.networks.heads.map import MapHead
from pipeline.networks.heads.transfusion import TransFusionHead
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.transfer import TransferReport, load_start
from pipeline.params import Frames, Networks


class SensorBatch(Protocol):
    """What the model reads of a batch; `pipeline.frames.batch.FrameBatch` is one."""

    @property
    def points(self) -> Tensor:
        """float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity (0..1), time lag (s)."""

    @property
    def offsets(self) -> Tensor:
        """int64 [B + 1], start of each frame in `points`."""

    @property
    def images(self) -> Tensor | None:
        """[B, 6, 3, H, W]; this and the next two are not read by models of modality L."""

    @property
    def bev_from_image(self) -> Tensor | None:
        """float32 [B, 6, 4, 4], (u d, v d, d, 1) to the BEV frame."""

    @property
    def camera_present(self) -> Tensor | None:
        """bool [B, 6]."""


class BevModel(nn.Module):
    """Branches, fuser and one head. Weight names start with `lidar.`, `camera.`, `fuser.`, `head.`.

    Args:
        networks: every size.
        frames: the image size the camera branch is built for.
        modality: L (LiDAR) or LC (LiDAR and camera).
        task: detection or map: which head.

    Attributes:
        lidar: the LiDAR branch.
        camera: the camera branch, None for L.
        fuser: the fuser.
        head: `CenterPointHead` or `TransFusionHead` (`networks.heads.detection`), or `MapHead`.

    Raises:
        ValueError: an unknown modality or task, or sizes that do not fit together.
    """

    def __init__(self, networks: Networks, frames: Frames, modality: str, task: str) -> None:
        super().__init__()
        if modality not in ("L", "LC"):
            raise ValueError(f"unknown modality {modality!r}: L or LC")
        if task not in ("detection", "map"):
            raise ValueError(f"unknown task {task!r}: detection or map")
        self.lidar = LidarBranch(networks.lidar, networks.grid)
        grid = self.lidar.out_grid
        channels = [self.lidar.out_channels]
        self.camera = None
        if modality == "LC":
            from pipeline.networks.camera import CameraBranch  # imports timm, which an L model can do without

            self.camera = CameraBranch(networks.camera, grid, (frames.image_height, frames.image_width))
            channels.append(self.camera.out_channels)
        self.least_matched = networks.camera.least_matched
        self.fuser = ConvFuser(channels, networks.heads.fused_channels)
        self.head: CenterPointHead | TransFusionHead | MapHead
        detection = TransFusionHead if networks.heads.detection == "transfusion" else CenterPointHead
        chosen = detection if task == "detection" else MapHead
        self.head = chosen(self.fuser.out_channels, networks.heads, grid)

    def forward(self, batch: SensorBatch) -> dict[str, Tensor] | Tensor:
        """Sensor tensors of B frames to the head's output.

        Returns:
            What the detection head says, by name, or the logits of `MapHead`.

        Raises:
            ValueError: a model of modality LC was given no images.
        """
        maps = [self.lidar(batch.points, batch.offsets)]
        if self.camera is not None:
            if batch.images is None or batch.bev_from_image is None or batch.camera_present is None:
                raise ValueError("a model of modality LC needs images, bev_from_image and camera_present")
            maps.append(self.camera(batch.images, batch.bev_from_image, batch.camera_present))
        outputs: dict[str, Tensor] | Tensor = self.head(self.fuser(maps))
        return outputs

    def load_start(self, weights: Mapping[str, Tensor], branches: Sequence[str] | None = None) -> TransferReport:
        """Copies start weights; see `pipeline.networks.transfer.load_start`."""
        return load_start(self, weights, branches, least_matched=self.least_matched)
