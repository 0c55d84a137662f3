"""The unit of work: the frames of one shard, from sensor files to the bytes of the shard's file."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.params import Regions
from pipeline.regions.counts import COUNTS
from pipeline.regions.layout import Layout, encode_shard
from pipeline.regions.records import BadFrame, Shard
from pipeline.regions.segmentation import segment

Reader = Callable[[Path], NDArray[np.float32]]
Sweep = tuple[Path, int]  # a key-frame sensor file and the number of points that the index says it has


@dataclass(frozen=True)
class Unit:
    """All that a worker needs to make one shard.

    Attributes:
        params: of the segmentation.
        layout: of the array.
        first: position of the shard's first frame.
        sweeps: its frames; absolute paths, since a worker may run elsewhere.
        read: reads a file into [N, >= 3], metres, LiDAR frame; importable.
    """

    params: Regions
    layout: Layout
    first: int
    sweeps: tuple[Sweep, ...]
    read: Reader


def compute_shard(unit: Unit) -> tuple[Shard, bytes]:
    """Segments the frames of one shard; a frame that cannot be read or segmented is quarantined with its reason.

    Returns:
        The shard's record and the content of its file.
    """
    ids: list[NDArray[np.int16] | None] = []
    counts: list[dict[str, int]] = []
    bad: list[BadFrame] = []
    for position, (path, points) in enumerate(unit.sweeps, unit.first):
        try:
            cloud = unit.read(path)
            if len(cloud) != points:
                raise ValueError(f"{len(cloud)} points, the index says {points}")
            result = segment(cloud, unit.params)
        except (UserError, OSError, ValueError) as error:
            bad.append(BadFrame(position, path.name, _reason(error)))
            ids.append(None)
            counts.append(dict.fromkeys(COUNTS, 0))
        else:
            ids.append(result.ids)
            counts.append(result.counts)
    content = encode_shard(unit.layout, unit.first, ids)
    columns = {name: [frame[name] for frame in counts] for name in COUNTS}
    file = unit.layout.shard_file(unit.first)
    return Shard(unit.first, file, hashlib.sha256(content).hexdigest(), columns, bad), content


def cut_units(
    params: Regions, layout: Layout, sweeps: Sequence[Sweep], read: Reader, firsts: list[int]
) -> list[Unit]:  # fmt: skip
    """The units of the shards that start with the frames `firsts`; `sweeps` are those of the whole index."""
    size = layout.frames_per_shard
    whole = [(path.absolute(), points) for path, points in sweeps]
    return [Unit(params, layout, first, tuple(whole[first : first + size]), read) for first in firsts]


def _reason(error: Exception) -> str:
    """Why a frame is bad, without the directories of this machine: the reason is published."""
    if isinstance(error, UserError):
        return error.problem
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
