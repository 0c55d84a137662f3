"""Boxes as the numbers that heads predict."""

import torch
from torch import Tensor

from pipeline.geometry.grid import BevGrid

# Channels of a code: position (column, row; cells), centre's z (m), log of length, width, height (log m), sine and
# cosine of yaw, velocity (m/s).
CODE = {"position": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}
MAX_LOG_SIZE = 4.0  # e^4 = 55 m; keeps an untrained head's sizes finite


def encode_boxes(boxes: Tensor, grid: BevGrid) -> Tensor:
    """Boxes float [..., 9] in `BOX_FIELDS` order, BEV frame, to codes [..., 10]; sizes must be above 0."""
    position = (boxes[..., :2] + grid.reach) / grid.cell
    yaw = boxes[..., 6:7]
    return torch.cat([position, boxes[..., 2:3], boxes[..., 3:6].log(), yaw.sin(), yaw.cos(), boxes[..., 7:9]], -1)


def decode_boxes(codes: Tensor, grid: BevGrid) -> Tensor:
    """Codes float [..., 10] back to boxes [..., 9]; sine and cosine need not lie on the unit circle."""
    position, height, size, rotation, velocity = codes.split(list(CODE.values()), -1)
    yaw = torch.atan2(rotation[..., :1], rotation[..., 1:])
    lengths = size.clamp(max=MAX_LOG_SIZE).exp()
    return torch.cat([position * grid.cell - grid.reach, height, lengths, yaw, velocity], -1)
