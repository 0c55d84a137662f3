"""The one batch type that flows from frames to networks."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

NO_REGION = -4  # a point of an earlier sweep: it was never clustered


@dataclass(frozen=True)
class FrameBatch:
    """B frames. The BEV frame is the augmented LiDAR frame: x right, y forward, metres.

    Attributes:
        tokens: sample tokens, B of them.
        points: float32 [ΣN, 5]: x, y, z (m, BEV frame), intensity (0..1), time lag (s); key-frame points
            first in each frame.
        offsets: int64 [B + 1]; frame b owns points[offsets[b]:offsets[b + 1]].
        bev_from_lidar: float32 [B, 4, 4], the drawn augmentation.
        region_ids: int16 [ΣN] aligned with points (see `pipeline.regions`), or None where regions are not loaded.
        images: float32 [B, 6, 3, H, W], ImageNet-normalised, or None.
        bev_from_image: float32 [B, 6, 4, 4]; (u d, v d, d, 1) in augmented pixels at depth d to the BEV frame, or None.
        camera_present: bool [B, 6]; False where the frame has no such image (its pixels are zero), or None.
        boxes: per frame float32 [K, 9] in `BOX_FIELDS` order, BEV frame, or None where labels are not loaded.
        classes: per frame int64 [K], index into the detection classes, or None.
        map_masks: float32 [B, 6, S, S] in the map head's grid, BEV frame, or None.
    """

    tokens: tuple[str, ...]
    points: Tensor
    offsets: Tensor
    bev_from_lidar: Tensor
    region_ids: Tensor | None = None
    images: Tensor | None = None
    bev_from_image: Tensor | None = None
    camera_present: Tensor | None = None
    boxes: tuple[Tensor, ...] | None = None
    classes: tuple[Tensor, ...] | None = None
    map_masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def frame_of_point(self) -> Tensor:
        """int64 [ΣN], the frame that owns each point."""
        counts = self.offsets[1:] - self.offsets[:-1]
        return torch.repeat_interleave(torch.arange(len(self), device=counts.device), counts)

    def to(self, device: torch.device) -> "FrameBatch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        if self.boxes is not None and self.classes is not None:
            moved["boxes"] = tuple(boxes.to(device) for boxes in self.boxes)
            moved["classes"] = tuple(classes.to(device) for classes in self.classes)
        return replace(self, **moved)
