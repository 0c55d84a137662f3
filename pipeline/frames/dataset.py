"""Turns positions of the index into batches, in this process or with reading processes beside it."""

from collections.abc import Sequence

import torch

from pipeline.frames.batch import FrameBatch, collate
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.frames.processes import ReadingProcesses
from pipeline.frames.reader import FrameReader, LabelSource, RegionSource
from pipeline.geometry.grid import BevGrid
from pipeline.params import Augmentation, Frames, Grid

CPU = torch.device("cpu")


class FrameLoader:
    """Loads and augments frames; holds no state that a batch could depend on.

    Attributes:
        index: the frames.
    """

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
        disturbance: Disturbance | None = None,
        processes: int = 0,
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
            disturbance: what goes wrong with the sensors; not beside `regions`, which belong to undisturbed points.
            processes: how many processes read the frames of a batch; 0 reads them in the calling thread. The batches
                are the same.

        Raises:
            UserError: `map_grid` is given and the dataset has no maps.
        """
        self.index = index
        self._reader = FrameReader(
            index, frames, grid, regions=regions, labels=labels, map_grid=map_grid, images=images,
            augmentation=augmentation, disturbance=disturbance,
        )  # fmt: skip
        self._processes = ReadingProcesses(self._reader, processes) if processes else None

    def load(
        self,
        positions: Sequence[int],
        epoch: int = 0,
        seed: int = 0,
        view: str = "a",
        *,
        crop: bool = True,
        device: torch.device = CPU,
    ) -> FrameBatch:
        """One batch; may be called from several threads.

        Args:
            positions: frames, by their place in the index.
            epoch: with `seed` and `view` decides the augmentation, whatever else is in the batch.
            seed: of the augmentation.
            view: name of the view; another name is another BEV augmentation of the same frames. Their images are alike.
            crop: False keeps the points outside the grid, so that row i is the same point in every view.
            device: where the batch goes; images are normalised there.

        Returns:
            The batch.

        Raises:
            UserError: a sensor file is missing or damaged, or a reading process was killed.
        """
        requests = [(position, epoch, seed, view, crop) for position in positions]
        if self._processes is not None:
            return collate(self._processes.read(requests), device)
        return collate([self._reader.read(*request) for request in requests], device)
