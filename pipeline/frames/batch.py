"""The one batch type that flows from frames to networks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.frames.images import DEVIATION, MEAN
from pipeline.frames.loaded import NO_REGION, LoadedCameras, LoadedFrame

__all__ = ["NO_REGION", "FrameBatch", "collate"]

Part = TypeVar("Part")


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
        augmented_from_image: float32 [B, 6, 3, 3], the drawn augmentation on pixels (u, v, 1) of the stored image, or
            None.
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
    augmented_from_image: Tensor | None = None
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


def collate(frames: Sequence[LoadedFrame], device: torch.device) -> FrameBatch:
    """Frames as one batch on `device`; all of them hold the same optional parts."""
    regions = _given(frame.region_ids for frame in frames)
    cameras = _given(frame.cameras for frame in frames)
    boxes = _given(frame.boxes for frame in frames)
    classes = _given(frame.classes for frame in frames)
    masks = _given(frame.map_masks for frame in frames)
    return FrameBatch(
        tokens=tuple(frame.token for frame in frames),
        points=_join([frame.points for frame in frames]),
        offsets=torch.from_numpy(np.cumsum([0, *(len(frame.points) for frame in frames)], dtype=np.int64)),
        bev_from_lidar=_stack([frame.bev_from_lidar for frame in frames]).float(),
        region_ids=_join(regions) if regions else None,
        images=_normalise(cameras, device) if cameras else None,
        augmented_from_image=_stack([c.augmented_from_image for c in cameras]).float() if cameras else None,
        bev_from_image=_stack([c.bev_from_image for c in cameras]).float() if cameras else None,
        camera_present=_stack([c.present for c in cameras]) if cameras else None,
        boxes=tuple(map(torch.from_numpy, boxes)) if boxes else None,
        classes=tuple(map(torch.from_numpy, classes)) if classes else None,
        map_masks=_stack(masks).float() if masks else None,
    ).to(device)


def _normalise(cameras: Sequence[LoadedCameras], device: torch.device) -> Tensor:
    """float32 [B, 6, 3, H, W] on `device`, where bytes arrive and numbers are made of them."""
    scale, mean = (torch.from_numpy(a.reshape(3, 1, 1)).to(device) for a in (1 / (255 * DEVIATION), MEAN / DEVIATION))
    shape = (len(cameras), *cameras[0].pixels.shape)
    # numpy asks for huge pages and torch does not: touching fresh memory is most of the work on a CPU.
    images = (
        torch.from_numpy(np.empty(shape, np.float32)) if device.type == "cpu" else torch.empty(shape, device=device)
    )
    for image, camera in zip(images, cameras, strict=True):
        image.copy_(torch.from_numpy(camera.pixels).to(device)).mul_(scale).sub_(mean)
        if not camera.present.all():
            image[torch.from_numpy(~camera.present).to(device)] = 0
    return images


def _given(parts: Iterable[Part | None]) -> list[Part]:
    return [part for part in parts if part is not None]


def _join(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays) if len(arrays) > 1 else arrays[0])


def _stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))
