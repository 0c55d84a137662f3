"""Depth supervision of lift-splat by projected LiDAR points (BEVDepth, arXiv 2206.10092), without any label."""

import torch
from torch import Tensor
from torch.nn import functional

NO_TARGET = -1


def depth_targets(
    points: Tensor,
    offsets: Tensor,
    bev_from_image: Tensor,
    camera_present: Tensor,
    *,
    feature_size: tuple[int, int],
    image_size: tuple[int, int],
    depths: Tensor,
) -> Tensor:
    """The depth bin of the nearest key-frame point that projects into each cell of the image features.

    Args:
        points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity, time lag (s); earlier sweeps are left out.
        offsets: int64 [B + 1], start of each frame in `points`.
        bev_from_image: float32 [B, 6, 4, 4], (u d, v d, d, 1) to the BEV frame.
        camera_present: bool [B, 6], M of them true.
        feature_size: (rows, columns) of the image features.
        image_size: (height, width), pixels; a pixel's centre has integer coordinates.
        depths: float32 [D], metres on the camera's axis, evenly spaced; a depth belongs to the nearest one.

    Returns:
        int64 [M, rows, columns]; `NO_TARGET` where no point lies or the nearest one is out of the bins' reach.
    """
    (rows, columns), (height, width) = feature_size, image_size
    image_from_bev = torch.linalg.inv(bev_from_image[camera_present].double()).float()
    frames = camera_present.nonzero()[:, 0].tolist()
    bounds = offsets.tolist()
    nearest = points.new_full((len(frames), rows * columns), torch.inf)
    for image, frame in enumerate(frames):
        own = points[bounds[frame] : bounds[frame + 1]]
        own = own[own[:, 4] == 0, :3]
        placed = own @ image_from_bev[image, :3, :3].T + image_from_bev[image, :3, 3]
        placed = placed[placed[:, 2] > 0]
        depth = placed[:, 2]
        column = torch.floor((placed[:, 0] / depth + 0.5) * (columns / width))
        row = torch.floor((placed[:, 1] / depth + 0.5) * (rows / height))
        seen = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        nearest[image].scatter_reduce_(0, (row * columns + column)[seen].long(), depth[seen], "amin")
    bins = torch.round((nearest - depths[0]) / (depths[1] - depths[0]))
    reached = (bins >= 0) & (bins < len(depths))
    return torch.where(reached, bins, NO_TARGET).long().view(-1, rows, columns)


def depth_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the depth distributions, the mean over the cells that have a target.

    Args:
        logits: [M, rows, columns, D].
        targets: int64 [M, rows, columns] of `depth_targets`.

    Returns:
        A scalar; 0, still carrying a gradient, where no cell has a target.
    """
    total = functional.cross_entropy(
        logits.float().reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=NO_TARGET, reduction="sum"
    )
    return total / (targets != NO_TARGET).sum().clamp(min=1)
