"""Turns positions of the index into batches. Imports nothing that reads labels: they come in through `LabelSource`."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import UserError
from pipeline.frames.augmentation import BevAugmentation, ImageAugmentation
from pipeline.frames.batch import NO_REGION, FrameBatch
from pipeline.frames.frame import CAMERA_CHANNELS, Frame
from pipeline.frames.images import load_image
from pipeline.frames.index import FrameIndex
from pipeline.frames.maps import MapRasters
from pipeline.frames.points import load_points, move_points
from pipeline.geometry.boxes import transform_boxes
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import Matrix
from pipeline.params import Augmentation, Frames, Grid


class RegionSource(Protocol):
    """Where region ids come from."""

    def read(self, position: int, points: int) -> NDArray[np.int16]:
        """int16 [points], the region ids of frame `position`, aligned with its key-frame file."""


class LabelSource(Protocol):
    """Where boxes come from."""

    def boxes(self, token: str) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Boxes [K, 9] in the LiDAR frame, classes [K] and points inside [K] of a sample."""


class FrameLoader:
    """Loads and augments frames; holds no state that a batch could depend on, and can be sent to workers."""

    def __init__(
        self,
        index: FrameIndex,
        frames: Frames,
        grid: Grid,
        *,
        regions: RegionSource | None = None,
        labels: LabelSource | None = None,
        map_grid: BevGrid | None = None,
        images: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        """What is left out is None in the batches.

        Args:
            index: the frames.
            frames: sweeps, image size, scale of the images at test time.
            grid: `reach`, `z_min`, `z_max`: points and boxes outside, after augmentation, are dropped.
            regions: region ids of the key-frame points.
            labels: boxes; those without a LiDAR point are left out.
            map_grid: the grid of the map labels.
            images: whether to load the cameras.
            augmentation: ranges of the random views; None for the fixed form used at test time.

        Raises:
            UserError: `map_grid` is given and the dataset has no maps.
        """
        self._index, self._frames, self._grid = index, frames, grid
        self._regions, self._labels, self._map_grid, self._images = regions, labels, map_grid, images
        self._augmentation = augmentation
        self._maps = MapRasters.open(index.path) if map_grid is not None else None

    def load(
        self,
        positions: Sequence[int],
        epoch: int = 0,
        seed: int = 0,
        view: str = "a",
        *,
        crop: bool = True,
    ) -> FrameBatch:
        """One batch.

        Args:
            positions: frames, by their place in the index.
            epoch: with `seed` and `view` decides the augmentation, whatever else is in the batch.
            seed: of the augmentation.
            view: name of the view; another name is another BEV augmentation of the same frames. Their images are alike.
            crop: False keeps the points outside the grid, so that row i is the same point in every view.

        Returns:
            The batch, on the CPU.

        Raises:
            UserError: a sensor file is missing or damaged.
        """
        chosen = [self._index[position] for position in positions]
        ranges = self._augmentation
        drawn = [
            BevAugmentation() if ranges is None else BevAugmentation.draw(ranges, seed, epoch, frame.token, view)
            for frame in chosen
        ]
        matrices = [augmentation.matrix for augmentation in drawn]
        points, regions = [], []
        for position, frame, matrix in zip(positions, chosen, matrices, strict=True):
            cloud, ids = self._cloud(position, frame, matrix, crop)
            points.append(cloud)
            regions.append(ids)
        optional: dict[str, Tensor | tuple[Tensor, ...]] = {}
        if self._regions is not None:
            optional["region_ids"] = torch.from_numpy(np.concatenate(regions))
        if self._images:
            optional |= self._cameras(chosen, matrices, seed, epoch)
        if self._labels is not None:
            pairs = [self._boxes(self._labels, frame.token, m) for frame, m in zip(chosen, matrices, strict=True)]
            optional["boxes"] = tuple(boxes for boxes, _ in pairs)
            optional["classes"] = tuple(classes for _, classes in pairs)
        if self._maps is not None and self._map_grid is not None:
            masks = [self._maps.map_labels(f, m, self._map_grid) for f, m in zip(chosen, matrices, strict=True)]
            optional["map_masks"] = torch.from_numpy(np.stack(masks).astype(np.float32))
        return FrameBatch(
            tokens=tuple(frame.token for frame in chosen),
            points=torch.from_numpy(np.concatenate(points)),
            offsets=torch.from_numpy(np.cumsum([0, *map(len, points)], dtype=np.int64)),
            bev_from_lidar=torch.from_numpy(np.stack(matrices).astype(np.float32)),
            **optional,  # type: ignore[arg-type]
        )

    def _cloud(
        self, position: int, frame: Frame, matrix: Matrix, crop: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
        """Points in the BEV frame, only those inside the grid if `crop`, and their region ids."""
        points, key_points, kept = load_points(self._index.root, frame, self._frames.sweeps, self._frames.ego_radius)
        move_points(matrix, points)
        grid = self._grid
        # A point that is not a number is inside nothing, so it is dropped here.
        inside = (
            (points[:, 0] >= -grid.reach) & (points[:, 0] < grid.reach)
            & (points[:, 1] >= -grid.reach) & (points[:, 1] < grid.reach)
            & (points[:, 2] >= grid.z_min) & (points[:, 2] < grid.z_max)
        )  # fmt: skip
        ids = np.full(len(points), NO_REGION, np.int16)
        if self._regions is not None:
            stored = self._regions.read(position, frame.points)
            if len(stored) != frame.points:
                raise UserError(
                    f"frame {frame.token} has {frame.points} points and {len(stored)} region ids",
                    where="data/regions",
                    remedy="the regions belong to another index: run `dvc repro regions`",
                )
            ids[:key_points] = stored[kept]
        return (points[inside], ids[inside]) if crop else (points, ids)

    def _cameras(
        self, frames: Sequence[Frame], matrices: Sequence[Matrix], seed: int, epoch: int
    ) -> dict[str, Tensor | tuple[Tensor, ...]]:
        """Images, their geometry and which are present."""
        shape = (len(frames), len(CAMERA_CHANNELS))
        images = np.zeros((*shape, 3, self._frames.image_height, self._frames.image_width), np.float32)
        # Absent cameras keep the identity: finite numbers that nobody reads.
        bev_from_image = np.tile(np.eye(4, dtype=np.float32), (*shape, 1, 1))
        present = np.zeros(shape, np.bool_)
        for b, (frame, bev_from_lidar) in enumerate(zip(frames, matrices, strict=True)):
            for camera in frame.cameras:
                c = CAMERA_CHANNELS.index(camera.channel)
                augmentation = ImageAugmentation.identity(self._frames, camera.size)
                if self._augmentation is not None:
                    augmentation = ImageAugmentation.draw(
                        self._augmentation, self._frames, camera.size, seed, epoch, frame.token, camera.channel
                    )
                images[b, c], pixel_matrix = load_image(self._index.root / camera.path, camera.size, augmentation)
                augmented_from_image = np.eye(4)
                augmented_from_image[:3, :3] = pixel_matrix
                bev_from_image[b, c] = bev_from_lidar @ np.linalg.inv(augmented_from_image @ camera.image_from_lidar)
                present[b, c] = True
        return {
            "images": torch.from_numpy(images),
            "bev_from_image": torch.from_numpy(bev_from_image),
            "camera_present": torch.from_numpy(present),
        }

    def _boxes(self, labels: LabelSource, token: str, bev_from_lidar: Matrix) -> tuple[Tensor, Tensor]:
        """Boxes with a point and a centre inside the grid, BEV frame, and their classes."""
        boxes, classes, points = labels.boxes(token)
        moved = transform_boxes(bev_from_lidar, boxes)
        kept = (points > 0) & (np.abs(moved[:, :2]) < self._grid.reach).all(1)
        return torch.from_numpy(moved[kept].astype(np.float32)), torch.from_numpy(classes[kept])
