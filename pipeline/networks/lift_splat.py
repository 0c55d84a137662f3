"""Lift-splat (Philion and Fidler, arXiv 2008.05711): image features to BEV cells by predicted depth.

The lifted volume, depth probability times context per pixel and bin, is never built: see `pipeline.networks.splat`.
"""

import torch
from torch import Tensor, nn

from pipeline.geometry.grid import BevGrid
from pipeline.networks.splat import SplatPlan, plan_splat, splat

SPLAT_Z = (-10.0, 10.0)  # metres; BEVFusion's one slab of height
PLANS_KEPT = 2  # a fixed rig has two: a full batch and the last one


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
    to_cells = bev_from_image[:, :3].clone()  # x and y in cells from the grid's corner, z in metres
    to_cells[:, :2, 3] += grid.reach
    to_cells[:, :2] /= grid.cell
    rays = torch.einsum("mij,hwj->imhw", to_cells[:, :, :3], pixels)[..., None]
    origins = to_cells[:, :, 3].t()[:, :, None, None, None]
    column, row, z = ((ray * depths).add_(origin) for ray, origin in zip(rays, origins, strict=True))
    inside = (z >= SPLAT_Z[0]) & (z < SPLAT_Z[1])
    # What is not a number is inside nothing.
    for place in (column, row):
        inside &= (place >= 0) & (place < grid.size)
    # float32 holds whole numbers to 2**24, which a batch of large grids would pass: count in integers. Above 0, the
    # conversion is the floor.
    limit = grid.size - 1
    flat: Tensor = row.clamp_(0, limit).int().add_(frame.int()[:, None, None, None] * grid.size).mul_(grid.size)
    return flat.add_(column.clamp_(0, limit).int()).masked_fill_(~inside, -1)


class LiftSplat(nn.Module):
    """Depth distribution and context by one 1x1 convolution, then the splat.

    In eval mode the last few plans are kept and found again by the bytes of the camera matrices: a rig that does not
    change is sorted once. In training every frame has its own augmentation, so nothing is kept.

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
        self.plans: dict[tuple[str, int, bytes, bytes], SplatPlan] = {}

    def forward(self, features: Tensor, bev_from_image: Tensor, frame: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Lifts and splats the images of a batch.

        Args:
            features: [M, inputs, h, w], one per image.
            bev_from_image: float32 [M, 4, 4], (u d, v d, d, 1) to the BEV frame.
            frame: int64 [M], the frame of each image.
            frames: B; frames without images give zeros.

        Returns:
            bev: float32 [B, context, S, S] in channels-last memory.
            logits: float32 [M, h, w, D] of the depth distributions.
        """
        projected = self.project(features).permute(0, 2, 3, 1).float()
        with torch.autocast(features.device.type, enabled=False):
            logits, context = projected.split([len(self.depths), self.context], dim=-1)
            plan = self.plan(bev_from_image.float(), frame, frames)
            bev = splat(context.reshape(-1, self.context), logits.softmax(-1).reshape(-1, len(self.depths)), plan)
        return bev.view(frames, self.grid.size, self.grid.size, self.context).permute(0, 3, 1, 2), logits

    def plan(self, bev_from_image: Tensor, frame: Tensor, frames: int) -> SplatPlan:
        """Where every pixel and depth bin of a batch goes; arguments as for `forward`."""
        if torch.compiler.is_compiling():
            return self._plan(bev_from_image, frame, frames)
        if self.training:
            self.plans.clear()
            return self._plan(bev_from_image, frame, frames)
        key = (str(frame.device), frames, frame.cpu().numpy().tobytes(), bev_from_image.cpu().numpy().tobytes())
        found = self.plans.pop(key, None) or self._plan(bev_from_image, frame, frames)
        self.plans[key] = found  # the last used stand last
        while len(self.plans) > PLANS_KEPT:
            del self.plans[next(iter(self.plans))]
        return found

    def _plan(self, bev_from_image: Tensor, frame: Tensor, frames: int) -> SplatPlan:
        cells = frustum_cells(bev_from_image, frame, self.pixels, self.depths, self.grid)
        return plan_splat(cells.reshape(-1, len(self.depths)), frames * self.grid.size**2)
