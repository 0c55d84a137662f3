"""Lift-splat (Philion and Fidler, arXiv 2008.05711): image features to BEV cells by predicted depth.

The lifted volume, depth probability times context per pixel and depth bin, is never built. The splat is a sparse
matrix (BEV cells x pixels, values = depth probabilities) times the context features; torch's embedding_bag computes
exactly that product row by row in a fixed order, and gives the gradient of values and features without the volume
either.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry.grid import BevGrid

SPLAT_Z = (-10.0, 10.0)  # metres; BEVFusion's one slab of height


def depth_bins(depth_min: float, depth_max: float, depth_step: float) -> Tensor:
    """Depth of every bin, float32 [D], metres on the camera's axis: depth_min + i depth_step, below depth_max."""
    return torch.arange(depth_min, depth_max - 1e-6, depth_step, dtype=torch.float32)


def feature_pixels(feature_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
    """Image position of every feature cell's centre.

    Args:
        feature_size: (rows, columns) of the feature map.
        image_size: (height, width), pixels; a pixel's centre has integer coordinates.

    Returns:
        float32 [rows, columns, 3]: (u, v, 1).
    """
    (rows, columns), (height, width) = feature_size, image_size
    v = (torch.arange(rows, dtype=torch.float32) + 0.5) * (height / rows) - 0.5
    u = (torch.arange(columns, dtype=torch.float32) + 0.5) * (width / columns) - 0.5
    v, u = torch.meshgrid(v, u, indexing="ij")
    return torch.stack([u, v, torch.ones_like(u)], -1)


def frustum_cells(bev_from_image: Tensor, frame: Tensor, pixels: Tensor, depths: Tensor, grid: BevGrid) -> Tensor:
    """The BEV cell that each pixel hits at each depth.

    Args:
        bev_from_image: float32 [M, 4, 4], (u d, v d, d, 1) to the BEV frame, one per image.
        frame: int64 [M], the frame of each image.
        pixels: float32 [h, w, 3] of `feature_pixels`.
        depths: float32 [D], metres.
        grid: BEV grid.

    Returns:
        int32 [M, h, w, D], (frame * size + row) * size + column; -1 off the grid or outside `SPLAT_Z`.
    """
    rays = torch.einsum("mij,hwj->mhwi", bev_from_image[:, :3, :3], pixels)
    places = rays[..., None, :] * depths[:, None] + bev_from_image[:, None, None, None, :3, 3]
    x, y, z = places.unbind(-1)
    column = torch.floor((x + grid.reach) / grid.cell)
    row = torch.floor((y + grid.reach) / grid.cell)
    inside = (column >= 0) & (column < grid.size) & (row >= 0) & (row < grid.size)
    inside &= (z >= SPLAT_Z[0]) & (z < SPLAT_Z[1])
    limit = grid.size - 1
    # float32 holds whole numbers to 2**24, which a batch of large grids would pass: count in integers.
    flat = (frame.int()[:, None, None, None] * grid.size + row.clamp(0, limit).int()) * grid.size
    return torch.where(inside, flat + column.clamp(0, limit).int(), -1)


def splat(context: Tensor, probabilities: Tensor, cells: Tensor, count: int) -> Tensor:
    """Sum of probability x context over everything that falls into a cell.

    Args:
        context: float32 [Q, C], features of Q pixels.
        probabilities: float32 [Q, D], one weight per depth bin.
        cells: int32 [Q, D], target of each pixel and bin; negative = nowhere.
        count: number of cells.

    Returns:
        float32 [count, C], zero for cells that nothing hits. Deterministic; differentiable in both inputs.
    """
    bins = cells.shape[1]
    entries = (cells.reshape(-1) >= 0).nonzero().squeeze(1)
    hit, order = torch.sort(cells.reshape(-1).index_select(0, entries), stable=True)
    entries = entries.index_select(0, order)
    starts = torch.searchsorted(hit, torch.arange(count, device=hit.device, dtype=hit.dtype))
    return functional.embedding_bag(
        torch.div(entries, bins, rounding_mode="floor"),
        context,
        starts,
        mode="sum",
        per_sample_weights=probabilities.reshape(-1).index_select(0, entries),
    )


class LiftSplat(nn.Module):
    """Depth distribution and context by one 1x1 convolution, then the splat.

    Args:
        inputs: channels of the image features.
        context: channels of the BEV map.
        depth: (min, max, step), metres.
        feature_size: (rows, columns) of the image features.
        image_size: (height, width), pixels.
        grid: BEV grid of the result.
    """

    pixels: Tensor
    depths: Tensor

    def __init__(
        self,
        inputs: int,
        context: int,
        depth: tuple[float, float, float],
        feature_size: tuple[int, int],
        image_size: tuple[int, int],
        grid: BevGrid,
    ) -> None:
        super().__init__()
        self.grid, self.context = grid, context
        self.register_buffer("pixels", feature_pixels(feature_size, image_size), persistent=False)
        self.register_buffer("depths", depth_bins(*depth), persistent=False)
        self.project = nn.Conv2d(inputs, len(self.depths) + context, 1)

    def forward(self, features: Tensor, bev_from_image: Tensor, frame: Tensor, frames: int) -> Tensor:
        """Lifts and splats the images of a batch.

        Args:
            features: [M, inputs, h, w], one per image.
            bev_from_image: float32 [M, 4, 4], (u d, v d, d, 1) to the BEV frame.
            frame: int64 [M], the frame of each image.
            frames: B; frames without images give zeros.

        Returns:
            float32 [B, context, S, S] in channels-last memory.
        """
        projected = self.project(features).permute(0, 2, 3, 1).float()
        with torch.autocast(features.device.type, enabled=False):
            logits, context = projected.split([len(self.depths), self.context], dim=-1)
            cells = frustum_cells(bev_from_image.float(), frame, self.pixels, self.depths, self.grid)
            bev = splat(
                context.reshape(-1, self.context),
                logits.softmax(-1).reshape(-1, len(self.depths)),
                cells.reshape(-1, len(self.depths)),
                frames * self.grid.size**2,
            )
        return bev.view(frames, self.grid.size, self.grid.size, self.context).permute(0, 3, 1, 2)
