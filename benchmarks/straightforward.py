"""The loader to compare with: what BEVFusion's ImageAug3D and the devkit do, frame by frame, with PIL and numpy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import normalize, to_tensor

from pipeline.frames.augmentation import BevAugmentation, ImageAugmentation
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.images import DEVIATION, MEAN
from pipeline.geometry.transforms import Matrix
from pipeline.params import Augmentation, Frames, Grid


@dataclass
class StraightforwardLoader(Dataset[dict[str, Tensor]]):
    """Draws what ours draws, so that both show the same view of a frame.

    Item k is the frame k modulo their number, in epoch k. `smooth` rotates by bilinear interpolation; ImageAug3D takes
    the nearest pixel.
    """

    root: Path
    version: str
    tokens: list[str]
    frames: Frames
    grid: Grid
    ranges: Augmentation
    smooth: bool = False

    def __post_init__(self) -> None:
        from nuscenes.nuscenes import NuScenes

        self.tables = NuScenes(self.version, str(self.root), verbose=False)

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        token = self.tokens[item % len(self.tokens)]
        return {"points": self.points(token, item), "images": self.images(token, item)}

    def points(self, token: str, epoch: int, crop: bool = True) -> Tensor:
        """float32 [N, 5] in the BEV frame."""
        from nuscenes.utils.data_classes import LidarPointCloud

        sample = self.tables.get("sample", token)
        cloud, lags = LidarPointCloud.from_file_multisweep(
            self.tables, sample, "LIDAR_TOP", "LIDAR_TOP", self.frames.sweeps + 1, self.frames.ego_radius
        )
        matrix: Matrix = BevAugmentation.draw(self.ranges, 0, epoch, token, "a").matrix
        cloud.transform(matrix)
        points = np.concatenate([cloud.points, lags]).T.astype(np.float32)
        points[:, 3] /= 255
        reach = self.grid.reach
        low, high = np.array([[-reach, -reach, self.grid.z_min], [reach, reach, self.grid.z_max]])
        inside = ((points[:, :3] >= low) & (points[:, :3] < high)).all(1)
        return torch.from_numpy(points[inside] if crop else points)

    def images(self, token: str, epoch: int) -> Tensor:
        """float32 [6, 3, H, W], normalised."""
        data = self.tables.get("sample", token)["data"]
        return torch.stack(
            [self.image(self.tables.get("sample_data", data[c]), token, c, epoch) for c in CAMERA_CHANNELS]
        )

    def image(self, row: dict[str, Any], token: str, channel: str, epoch: int) -> Tensor:
        stored = (row["width"], row["height"])
        drawn = ImageAugmentation.draw(self.ranges, self.frames, stored, 0, epoch, token, channel)
        with Image.open(self.root / row["filename"]) as file:
            image: Image.Image = file
            # Without the box, PIL would round the scale itself to whole pixels of the result.
            size = int(stored[0] * drawn.resize), int(stored[1] * drawn.resize)
            image = image.resize(size, box=(0, 0, size[0] / drawn.resize, size[1] / drawn.resize))
            left, top = drawn.crop
            image = image.crop((left, top, left + drawn.size[0], top + drawn.size[1]))
            if drawn.flip:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            way = Image.Resampling.BILINEAR if self.smooth else Image.Resampling.NEAREST
            image = image.rotate(-float(np.rad2deg(drawn.rotation)), resample=way)
        return normalize(to_tensor(image), MEAN.tolist(), DEVIATION.tolist())
