"""Small network sizes and a synthetic batch for tests."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.params import CameraNetwork, Frames, Grid, LidarNetwork, Networks
from tests.small_heads import small_heads


@dataclass(frozen=True)
class Inputs:
    """A `SensorBatch` of two frames; the second has one point and lacks four cameras."""

    points: Tensor
    offsets: Tensor
    images: Tensor | None
    bev_from_image: Tensor | None
    camera_present: Tensor | None


def small_networks() -> Networks:
    return Networks(
        grid=Grid(reach=12.8, z_min=-5.0, z_max=3.0, pillar=0.4, stride=2),
        lidar=LidarNetwork([8], [8, 16], [1, 1], [2, 2], [8, 8], "pillars", None, None, 0.25, [4, 8, 8, 8]),
        camera=CameraNetwork(
            backbone="swin_tiny_patch4_window7_224",
            backbone_options={"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 2], "window_size": [4, 4]},
            out_indices=[1, 2],
            neck_channels=8,
            context_channels=6,
            depth_min=1.0,
            depth_max=20.0,
            depth_step=1.0,
        ),
        heads=small_heads(),
        embedding=16,
    )


def small_frames() -> Frames:
    return Frames(sweeps=0, ego_radius=1.0, image_height=32, image_width=64, resize=1.1)


def small_inputs() -> Inputs:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(2001, 5, generator=generator)
    points[:, :2] = (points[:, :2] - 0.5) * 26
    points[:, 2] = (points[:, 2] - 0.5) * 8
    points[-1, :3] = 0
    intrinsics = torch.tensor([[50.0, 0, 31.5], [0, 50.0, 15.5], [0, 0, 1]])
    matrices = torch.eye(4).repeat(2, 6, 1, 1)
    for n in range(6):
        cos, sin = math.cos(math.pi * n / 3), math.sin(math.pi * n / 3)
        turned = torch.tensor([[sin, 0, cos], [-cos, 0, sin], [0, -1.0, 0]])
        matrices[:, n, :3, :3] = turned @ torch.linalg.inv(intrinsics)
    present = torch.ones(2, 6, dtype=torch.bool)
    present[1, 2:] = False
    images = torch.randn(2, 6, 3, 32, 64, generator=generator)
    return Inputs(points, torch.tensor([0, 2000, 2001]), images, matrices, present)
