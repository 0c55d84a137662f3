"""How good regions are, frame by frame and added up: what they cover, and against truth where there is some.

Everything counted is a whole number; so the sum over frames depends on no order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.region_truth import ObjectPoints, Truth
from pipeline.frames.point_labels import UNLABELLED
from pipeline.regions.ids import GROUND, NOISE, REJECTED

MIN_POINTS = 5  # of an object that is asked for
PIECE_SHARE, PIECE_POINTS = 0.1, 3  # what a region must hold of an object to be a piece of it
BIN_METRES = 10
LAST_BIN = 10  # everything from 100 m on
PURITY_STEPS = 10_000  # the mean purity of regions is summed in whole steps of 1 / PURITY_STEPS

RECALLED, SPLIT = "recalled", "split"
# What most points of a missed object are; of equally many the first.
FATES = {REJECTED: "rejected", GROUND: "ground", NOISE: "noise", 0: SPLIT}
OUTCOMES = (RECALLED, "ground", "noise", "rejected", SPLIT)


@dataclass(frozen=True)
class Quality:
    """Sums over frames.

    Attributes:
        frames: how many.
        counts: `pipeline.regions.counts.COUNTS`.
        frame_sizes: frames by their number of regions.
        sizes: regions by floor(log2(points)).
        region_bins: regions by distance (`distance_bin` of the mean of their points).
        point_bins: points by distance, those that have one; `rich_bins` those in a region.
        objects: objects with at least `MIN_POINTS` points by (category, distance bin, outcome). *recalled*: more than
            half of its points lie in one region. Otherwise what most of its points are: ground, noise, in rejected
            clusters, or *split*: in regions, none of which holds more than half.
        bystanders: objects with fewer points, which nothing is asked of.
        pieced: recalled and split objects; `pieces` of them: regions that hold at least a tenth of the object and
            three points of it. pieces / pieced is the over-segmentation, 1 at best.
        holding: regions that hold more than half of at least one object; `merging` of two or more (under-segmentation).
        overlap: for recalled objects, points both in the object and in its region; `union` in one of the two.
        pure: points of regions that carry their region's most frequent class; `labelled` points of regions.
        purity_steps: sum over regions of their own purity, in 1 / PURITY_STEPS; `purity_regions` regions with labels.
        instance_pure: as `pure`, of class and object at once; `instance_labelled` points of regions.
        ground_hits: labelled points that are ground and taken for it; `ground_false` taken for it wrongly;
            `ground_missed` the others.
    """

    frames: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    frame_sizes: Counter[int] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    region_bins: Counter[int] = field(default_factory=Counter)
    point_bins: Counter[int] = field(default_factory=Counter)
    rich_bins: Counter[int] = field(default_factory=Counter)
    objects: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    bystanders: int = 0
    pieced: int = 0
    pieces: int = 0
    holding: int = 0
    merging: int = 0
    overlap: int = 0
    union: int = 0
    labelled_frames: int = 0
    pure: int = 0
    labelled: int = 0
    purity_steps: int = 0
    purity_regions: int = 0
    instance_pure: int = 0
    instance_labelled: int = 0
    ground_hits: int = 0
    ground_false: int = 0
    ground_missed: int = 0

    def __add__(self, other: "Quality") -> "Quality":
        return Quality(**{of.name: getattr(self, of.name) + getattr(other, of.name) for of in fields(Quality)})


def add_up(parts: Iterable[Quality]) -> Quality:
    """The sum; of nothing, the quality of no frame."""
    return sum(parts, start=Quality())


def measure_frame(
    points: NDArray[np.float32], ids: NDArray[np.int16], counts: Mapping[str, int], truth: Truth
) -> Quality:
    """The quality of one frame.

    Args:
        points: [N, >= 2], metres, LiDAR frame.
        ids: [N], see `pipeline.regions.ids`; regions are numbered without gaps.
        counts: of the frame, as its segmentation or the manifest of its store has them.
        truth: about the same points.
    """
    parts = [
        Quality(frames=1, counts=Counter(counts)),
        measure_places(points, ids),
        measure_objects(ids, truth.objects),
    ]
    if truth.classes is not None:
        pure, labelled, steps, regions = measure_purity(ids, truth.classes, truth.classes != UNLABELLED)
        parts.append(
            Quality(labelled_frames=1, pure=pure, labelled=labelled, purity_steps=steps, purity_regions=regions)
        )
        if truth.instances is not None:
            pure, labelled, _, _ = measure_purity(ids, truth.instances, truth.classes != UNLABELLED)
            parts.append(Quality(instance_pure=pure, instance_labelled=labelled))
        if truth.ground is not None:
            parts.append(measure_ground(ids, truth.classes, truth.ground))
    return add_up(parts)


def measure_places(points: NDArray[np.float32], ids: NDArray[np.int16]) -> Quality:
    """Sizes and distances of regions; arguments as in `measure_frame`."""
    rich, finite = ids >= 0, np.isfinite(points[:, :2]).all(axis=1)
    bins = distance_bin(points[finite])
    sizes = np.bincount(ids[rich])
    sums = [np.bincount(ids[rich], weights=points[rich, axis]) for axis in (0, 1)]
    centres = np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]
    return Quality(
        frame_sizes=Counter({int((sizes > 0).sum()): 1}),
        sizes=_count(np.frexp(sizes[sizes > 0])[1] - 1),  # frexp is exact where log2 may round up
        region_bins=_count(distance_bin(centres[sizes > 0])),
        point_bins=_count(bins),
        rich_bins=_count(bins[rich[finite]]),
    )


def measure_objects(ids: NDArray[np.int16], objects: Iterable[ObjectPoints]) -> Quality:
    """Recall, over- and under-segmentation of annotated objects, whose `members` are rows of `ids` [N]."""
    sizes = np.bincount(ids[ids >= 0])
    outcomes: Counter[tuple[str, int, str]] = Counter()
    held: Counter[int] = Counter()
    bystanders = pieced = pieces = overlap = union = 0
    for thing in objects:
        total = len(thing.members)
        if total < MIN_POINTS:
            bystanders += 1
            continue
        outcome, region, of_it = judge_object(ids[thing.members])
        outcomes[thing.category, _bin(thing.distance), outcome] += 1
        if outcome == RECALLED:
            held[region] += 1
            overlap += int(of_it[region])
            union += total + int(sizes[region] - of_it[region])
        if outcome in (RECALLED, SPLIT):
            pieced += 1
            pieces += int(((of_it >= PIECE_POINTS) & (of_it >= PIECE_SHARE * total)).sum())
    return Quality(
        objects=outcomes, bystanders=bystanders, pieced=pieced, pieces=pieces, holding=len(held),
        merging=sum(several > 1 for several in held.values()), overlap=overlap, union=union,
    )  # fmt: skip


def judge_object(ids: NDArray[np.int16]) -> tuple[str, int, NDArray[np.int64]]:
    """What became of one object.

    Args:
        ids: [n], n > 0, of the points inside its box.

    Returns:
        outcome: one of `OUTCOMES`.
        region: the one that holds most of it; -1 where none does.
        counts: int64, its points in each region up to the last one that has any.
    """
    counts = np.bincount(ids[ids >= 0])
    region = int(counts.argmax()) if len(counts) else -1
    if region >= 0 and 2 * counts[region] > len(ids):
        return RECALLED, region, counts
    kinds, often = np.unique(np.minimum(ids, 0), return_counts=True)
    return FATES[int(kinds[often.argmax()])], region, counts


def measure_purity(
    ids: NDArray[np.int16], values: NDArray[np.int64], known: NDArray[np.bool_]
) -> tuple[int, int, int, int]:
    """How uniform regions are.

    Args:
        ids: [N].
        values: [N], not negative.
        known: [N], which values count.

    Returns:
        pure: points whose value is the most frequent one of their region, over all regions.
        labelled: points in regions whose value is known.
        steps: sum over regions of pure / labelled, in 1 / PURITY_STEPS.
        regions: how many have a known value.
    """
    counted = (ids >= 0) & known
    if not counted.any():
        return 0, 0, 0, 0
    _, compact = np.unique(values[counted], return_inverse=True)
    width = int(compact.max()) + 1
    table = np.bincount(ids[counted].astype(np.int64) * width + compact)
    table = np.append(table, np.zeros(-len(table) % width, np.int64)).reshape(-1, width)
    pure, labelled = table.max(axis=1), table.sum(axis=1)
    steps = np.rint(pure[labelled > 0] / labelled[labelled > 0] * PURITY_STEPS)
    return int(pure.sum()), int(labelled.sum()), int(steps.sum()), int((labelled > 0).sum())


def measure_ground(ids: NDArray[np.int16], classes: NDArray[np.int64], is_ground: NDArray[np.bool_]) -> Quality:
    """Ground removal against labelled points; `is_ground` is bool [classes]."""
    known = classes != UNLABELLED
    taken, truly = ids[known] == GROUND, is_ground[classes[known]]
    return Quality(
        ground_hits=int((taken & truly).sum()),
        ground_false=int((taken & ~truly).sum()),
        ground_missed=int((~taken & truly).sum()),
    )


def distance_bin(xy: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """int64 [N]: tens of metres from the sensor on x y, the last bin open, for [N, >= 2] in metres."""
    metres = np.hypot(xy[:, 0].astype(np.float64), xy[:, 1].astype(np.float64))
    return np.minimum(metres // BIN_METRES, LAST_BIN).astype(np.int64)


def _bin(metres: float) -> int:
    return min(int(metres // BIN_METRES), LAST_BIN)


def _count(values: NDArray[np.integer[Any]]) -> Counter[int]:
    kinds, often = np.unique(values, return_counts=True)
    return Counter(dict(zip(kinds.tolist(), often.tolist(), strict=True)))
