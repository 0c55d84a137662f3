"""The points of a few frames at which features are probed, with their true classes. Reads labels, to judge only."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from pipeline.evaluation.probe_truth import OBJECT, UNKNOWN, open_truth
from pipeline.evaluation.probes import ProbeSet, join, linear_probe, neighbour_probe
from pipeline.evaluation.record import spread
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.reader import RegionSource
from pipeline.geometry.grid import BevGrid
from pipeline.networks.sampling import sample_bev
from pipeline.objectives.similarity import region_means
from pipeline.params import Frames, Grid, Params, Probe
from pipeline.params.classes import DETECTION_CLASSES
from pipeline.regions.store import RegionStore

REGION = "region"  # probed beside single points: means over regions
Maps = Callable[[FrameBatch], tuple[Tensor, BevGrid]]  # a network: its BEV map [B, C, S, S], and the grid of the map
Name = TypeVar("Name")


@dataclass(frozen=True)
class Sample:
    """Rows of a batch's points that are probed.

    Attributes:
        index: int64 [P].
        unit: int64 [P], ascending: rows of one unit are averaged.
        classes: int64 [U], the class of each unit.
    """

    index: Tensor
    unit: Tensor
    classes: Tensor

    def to(self, device: torch.device) -> "Sample":
        """The same rows on another device."""
        return Sample(self.index.to(device), self.unit.to(device), self.classes.to(device))


@dataclass(frozen=True)
class ProbeBatch:
    """Frames without augmentation, and what is probed in them, by name."""

    frames: FrameBatch
    samples: dict[str, Sample]


@dataclass(frozen=True)
class ProbeSource:
    """Everything that probes read.

    Attributes:
        index: the frames.
        regions: of the frames.
        truth: classes in the form of region ids, by `OBJECT` and, where the dataset labels points, `POINT`.
        frames: sweeps and image size.
        grid: the networks' own.
        own: how much is looked at.
        train: positions of the frames that class probes are fitted to.
        test: positions of the frames of other scenes, on which everything is scored.
    """

    index: FrameIndex
    regions: RegionSource
    truth: dict[str, RegionSource]
    frames: Frames
    grid: Grid
    own: Probe
    train: list[int]
    test: list[int]

    @staticmethod
    def open(index: FrameIndex, regions: RegionStore, params: Params, *, cameras: bool = False) -> "ProbeSource":
        """Chooses frames, evenly spread over the training and the validation split, and reads their truth.

        Args:
            index: the frames.
            regions: of the frames.
            params: all of them.
            cameras: whether a frame needs a camera image.

        Raises:
            UserError: the labels of this dataset are not read, or a table is missing or broken.
        """
        dataset, own = params.dataset, params.probe
        train, test = (
            spread(
                [i for i in index.split(name) if i not in regions.bad_frames and (not cameras or index[i].cameras)], n
            )
            for name, n in ((dataset.train_split, own.train_frames), (dataset.val_split, own.val_frames))
        )
        truth = open_truth(index, dataset, params.region_quality.point_labels, sorted({*train, *test}))
        return ProbeSource(index, regions, truth, params.frames, params.networks.grid, own, train, test)

    def split(self, positions: Sequence[int]) -> Iterator[list[int]]:
        """`positions` in batches."""
        return (list(positions[first : first + self.own.batch]) for first in range(0, len(positions), self.own.batch))

    def batches(self, positions: Sequence[int], device: torch.device, *, images: bool = False) -> Iterator[ProbeBatch]:
        """Loads frames without augmentation and chooses what is probed, evenly spread: nothing is drawn at random.

        Args:
            positions: of the frames in the index.
            device: where the networks are.
            images: whether to load the cameras.
        """
        loaders = {
            name: FrameLoader(self.index, self.frames, self.grid, regions=classes)
            for name, classes in self.truth.items()
        }
        loader = FrameLoader(self.index, self.frames, self.grid, regions=self.regions, images=images)
        for own in self.split(positions):
            frames = loader.load(own, crop=False)
            inside = (frames.points[:, :2].abs() < self.grid.reach).all(1)
            classes = {name: _ids(source.load(own, crop=False)) for name, source in loaders.items()}
            samples = {
                name: _spread_classes(known, frames.frame_of_point, inside, self.own.points)
                for name, known in classes.items()
            }
            samples[REGION] = _spread_regions(frames, classes[OBJECT], inside, self.own.points)
            yield ProbeBatch(frames.to(device), {name: sample.to(device) for name, sample in samples.items()})


@torch.inference_mode()
def gather(maps: Mapping[Name, Maps], batches: Iterable[ProbeBatch]) -> dict[Name, dict[str, ProbeSet]]:
    """Features and classes of everything that is probed, by network and then by what is probed.

    Args:
        maps: the networks; the frames are loaded once for all of them.
        batches: the frames.
    """
    found: dict[Name, dict[str, list[ProbeSet]]] = {name: {} for name in maps}
    for batch in batches:
        frame_of_point = batch.frames.frame_of_point
        for name, bev_of in maps.items():
            bev, grid = bev_of(batch.frames)
            for what, sample in batch.samples.items():
                rows = sample_bev(bev, batch.frames.points[sample.index, :2], frame_of_point[sample.index], grid)
                means = region_means(rows, sample.unit, len(sample.classes)).cpu().numpy()
                found[name].setdefault(what, []).append(ProbeSet(means, sample.classes.cpu().numpy()))
    return {name: {what: join(parts) for what, parts in sets.items()} for name, sets in found.items()}


def class_scores(train: Mapping[str, ProbeSet], test: Mapping[str, ProbeSet]) -> dict[str, float]:
    """The scores of the features of one network, flat: `<what>_<probe>` is the balanced accuracy.

    Left out is what has fewer than two classes, or no frame on one side: a recorded sample may lack its cameras.
    """
    scores: dict[str, float] = {}
    for what in (what for what in train if what in test):
        probes = {"linear": linear_probe, "knn": neighbour_probe} if what != REGION else {"knn": neighbour_probe}
        for probe, score_of in probes.items():
            if score := score_of(train[what], test[what]):
                scores |= {f"{what}_{probe}": score.balanced, f"{what}_{probe}_accuracy": score.accuracy}
                scores |= {f"{what}_chance": score.chance, f"{what}_majority": score.majority}
    return scores


def _ids(frames: FrameBatch) -> Tensor:
    if frames.region_ids is None:
        raise ValueError("probes need frames loaded with their regions")
    # Points of earlier sweeps carry no class: the loader marks them as in no region.
    return frames.region_ids.long().clamp(min=UNKNOWN)


def _spread_classes(classes: Tensor, frame: Tensor, inside: Tensor, most: int) -> Sample:
    """Up to `most` points of each class of each frame, each a unit of its own."""
    rows = (inside & (classes != UNKNOWN)).nonzero().squeeze(1)
    kept = rows[_spread(frame[rows] * (int(classes.max()) + 2) + classes[rows], most)]
    return Sample(kept, torch.arange(len(kept)), classes[kept])


def _spread_regions(frames: FrameBatch, classes: Tensor, inside: Tensor, most: int) -> Sample:
    """Up to `most` points of each region most of whose points are of one class; a region is a unit."""
    ids = _ids(frames)
    rows = (inside & (ids >= 0)).nonzero().squeeze(1)
    _, unit = (ids[rows] + frames.frame_of_point[rows] * (1 << 15)).unique(return_inverse=True)
    units = int(unit.max()) + 1 if len(unit) else 0
    votes = torch.zeros(units, len(DETECTION_CLASSES) + 1)
    votes.index_put_((unit, classes[rows] + 1), torch.ones(len(rows)), accumulate=True)
    shares = votes / votes.sum(1, keepdim=True)
    share, winner = shares.max(1)
    known = (winner > 0) & (share > 0.5)
    rows, unit = rows[known[unit]], unit[known[unit]]
    chosen = _spread(unit, most)
    _, renumbered = unit[chosen].unique(return_inverse=True)
    return Sample(rows[chosen], renumbered, winner[known] - 1)


def _spread(group: Tensor, most: int) -> Tensor:
    """Rows of at most `most` members of each group, evenly spread in their order; sorted by group."""
    order = group.argsort(stable=True)
    if len(order) == 0:
        return order
    counts = torch.bincount(group)
    counts = counts[counts > 0]
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    size = torch.repeat_interleave(counts, counts)
    rank = torch.arange(len(order)) - first
    taken = size.clamp(max=most)
    # The k-th of `taken` chosen ones has the rank k * size // taken.
    k = (rank * taken + size - 1) // size
    return order[(k < taken) & (k * size // taken == rank)]
