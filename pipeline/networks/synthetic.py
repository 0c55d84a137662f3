"""Made-up sensor tensors of the sizes that real ones have: to count and to measure with, not to learn from."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.params import Frames

CAMERAS = 6
FIELD_OF_VIEW = 70.0  # degrees, of most nuScenes cameras


@dataclass(frozen=True)
class SyntheticBatch:
    """A `pipeline.networks.model.SensorBatch`; every camera is present."""

    points: Tensor
    offsets: Tensor
    images: Tensor | None
    bev_from_image: Tensor | None
    camera_present: Tensor | None


def make_batch(frames: Frames, points: int, *, images: bool, batch: int, device: torch.device) -> SyntheticBatch:
    """Random frames with six cameras around the car.

    Args:
        frames: sweeps and image size.
        points: of one sweep; a frame has `frames.sweeps` + 1 of them, denser near the car as real ones are.
        images: whether there are images.
        batch: frames.

    Returns:
        The same tensors on every call, on `device`.
    """
    generator = torch.Generator().manual_seed(0)
    count = points * (frames.sweeps + 1)
    cloud = torch.rand(batch * count, 5, generator=generator) / 2
    # As in a stack of real sweeps: 271,156 points fall into 30,000 to 40,000 pillars of 0.2 m.
    distance = 2 - 14 * torch.rand(len(cloud), generator=generator).clamp(min=1e-6).log()
    angle = 2 * math.pi * torch.rand(len(cloud), generator=generator)
    cloud[:, 0], cloud[:, 1] = distance * angle.cos(), distance * angle.sin()
    cloud[:, 2] = 0.8 * torch.randn(len(cloud), generator=generator) - 1.5
    offsets = torch.arange(batch + 1) * count
    if not images:
        return SyntheticBatch(cloud.to(device), offsets.to(device), None, None, None)
    size = (frames.image_height, frames.image_width)
    pixels = torch.randn(batch, CAMERAS, 3, *size, generator=generator)
    matrices = _camera_ring(*size).expand(batch, -1, -1, -1).contiguous()
    present = torch.ones(batch, CAMERAS, dtype=torch.bool)
    return SyntheticBatch(*(tensor.to(device) for tensor in (cloud, offsets, pixels, matrices, present)))


def _camera_ring(height: int, width: int) -> Tensor:
    """float32 [6, 4, 4], (u d, v d, d, 1) to the BEV frame: level cameras at its origin, 60 degrees apart."""
    focal = width / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)
    intrinsic = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    matrices = torch.eye(4).repeat(CAMERAS, 1, 1)
    for number in range(CAMERAS):
        cos, sin = math.cos(2 * math.pi * number / CAMERAS), math.sin(2 * math.pi * number / CAMERAS)
        axes = torch.tensor([[sin, 0, cos], [-cos, 0, sin], [0, -1.0, 0]])  # right, down, ahead
        matrices[number, :3, :3] = axes @ torch.linalg.inv(intrinsic)
    return matrices
