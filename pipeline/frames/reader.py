"""Reads and augments one frame. Imports neither torch nor what reads labels: they come in through `LabelSource`."""

from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.augmentation import BevAugmentation, ImageAugmentation
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import CAMERA_CHANNELS, Frame
from pipeline.frames.images import load_image
from pipeline.frames.index import FrameIndex
from pipeline.frames.loaded import NO_REGION, LoadedCameras, LoadedFrame
from pipeline.frames.maps import MapRasters
from pipeline.frames.points import load_points
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


class FrameReader:
    """Holds no state that a frame could depend on, and can be sent to other processes."""

    def __init__(
        self,
        index: FrameIndex,
        frames: Frames,
        grid: Grid,
        *,
        regions: RegionSource | None,
        labels: LabelSource | None,
        map_grid: BevGrid | None,
        images: bool,
        augmentation: Augmentation | None,
        disturbance: Disturbance | None = None,
    ) -> None:
        """See `FrameLoader`."""
        if regions is not None and disturbance is not None:
            raise ValueError("region ids belong to the points of the file, not to disturbed ones")
        self._index, self._frames, self._grid = index, frames, grid
        self._regions, self._labels, self._map_grid, self._images = regions, labels, map_grid, images
        self._augmentation, self._disturbance = augmentation, disturbance
        self._maps = MapRasters.open(index.path) if map_grid is not None else None

    def read(self, position: int, epoch: int, seed: int, view: str, crop: bool) -> LoadedFrame:
        """The frame at `position` of the index; a pure function of the arguments. See `FrameLoader.load`.

        Raises:
            UserError: a sensor file is missing or damaged.
        """
        frame = self._index[position]
        augmentation = BevAugmentation()
        if self._augmentation is not None:
            augmentation = BevAugmentation.draw(self._augmentation, seed, epoch, frame.token, view)
        matrix = augmentation.matrix
        points, regions = self._cloud(position, frame, matrix, crop)
        boxes, classes = self._boxes(frame, matrix)
        return LoadedFrame(
            token=frame.token,
            points=points,
            bev_from_lidar=matrix,
            region_ids=regions,
            cameras=self._cameras(frame, matrix, seed, epoch) if self._images else None,
            boxes=boxes,
            classes=classes,
            map_masks=self._map_masks(frame, matrix),
        )

    def _cloud(
        self, position: int, frame: Frame, matrix: Matrix, crop: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int16] | None]:
        """Points in the BEV frame, only those inside the grid if `crop`, and their region ids."""
        points, key_points, kept = load_points(
            self._index.root, frame, self._frames.sweeps, self._frames.ego_radius, matrix, self._grid if crop else None,
            disturb=partial(self._disturbance.sweep, frame) if self._disturbance is not None else None,
        )  # fmt: skip
        if self._regions is None:
            return points, None
        stored = self._regions.read(position, frame.points)
        if len(stored) != frame.points:
            raise UserError(
                f"frame {frame.token} has {frame.points} points and {len(stored)} region ids",
                where="data/regions",
                remedy="the regions belong to another index: run `dvc repro regions`",
            )
        ids = np.full(len(points), NO_REGION, np.int16)
        ids[:key_points] = stored[kept]
        return points, ids

    def _cameras(self, frame: Frame, bev_from_lidar: Matrix, seed: int, epoch: int) -> LoadedCameras:
        """Images, their geometry and which are present."""
        cameras = len(CAMERA_CHANNELS)
        pixels = np.zeros((cameras, 3, self._frames.image_height, self._frames.image_width), np.uint8)
        # Absent cameras keep the identity: finite numbers that nobody reads.
        augmented_from_image, image_from_lidar = np.tile(np.eye(4), (2, cameras, 1, 1))
        present = np.zeros(cameras, np.bool_)
        for stored in frame.cameras:
            camera, disturb = stored, None
            if self._disturbance is not None:
                camera = self._disturbance.camera(frame, stored)
                disturb = partial(self._disturbance.image, frame, stored)
            c = CAMERA_CHANNELS.index(camera.channel)
            augmentation = ImageAugmentation.identity(self._frames, camera.size)
            if self._augmentation is not None:
                augmentation = ImageAugmentation.draw(
                    self._augmentation, self._frames, camera.size, seed, epoch, frame.token, camera.channel
                )
            load_image(self._index.root / camera.path, camera.size, augmentation, out=pixels[c], disturb=disturb)
            augmented_from_image[c, :3, :3], image_from_lidar[c] = augmentation.matrix, camera.image_from_lidar
            present[c] = True
        bev_from_image = bev_from_lidar @ np.linalg.inv(augmented_from_image @ image_from_lidar)
        bev_from_image[~present] = np.eye(4)
        return LoadedCameras(pixels, augmented_from_image[:, :3, :3], bev_from_image, present)

    def _boxes(
        self, frame: Frame, bev_from_lidar: Matrix
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.int64] | None]:
        """Boxes with a point and a centre inside the grid, BEV frame, and their classes."""
        if self._labels is None:
            return None, None
        boxes, classes, points = self._labels.boxes(frame.token)
        moved = transform_boxes(bev_from_lidar, boxes)
        kept = (points > 0) & (np.abs(moved[:, :2]) < self._grid.reach).all(1)
        return moved[kept], classes[kept]

    def _map_masks(self, frame: Frame, bev_from_lidar: Matrix) -> NDArray[np.bool_] | None:
        if self._maps is None or self._map_grid is None:
            return None
        return self._maps.map_labels(frame, bev_from_lidar, self._map_grid)
