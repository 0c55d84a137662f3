"""Builds the region store: one unit of work is one whole shard, so workers never share a file and a rerun goes on."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.engine import run_units
from pipeline.errors import UserError
from pipeline.params import Regions, Runtime
from pipeline.regions.counts import COUNTS
from pipeline.regions.manifest import BadFrame, Manifest, Shard
from pipeline.regions.segmentation import segment
from pipeline.regions.store import create_array, digest_file, write_shard

Reader = Callable[[Path], NDArray[np.float32]]
Sweep = tuple[Path, int]  # a key-frame sensor file and the number of points that the index says it has
LIBRARIES = ("dbscan", "numcodecs", "numpy", "scipy", "zarr")


def build_regions(
    params: Regions, frames: Sequence[Sweep], read: Reader, *, identity: str, scratch: Path, runtime: Runtime
) -> Path:
    """Segments every frame and writes the store into a draft folder.

    The draft lives at `scratch`/<key> with a key over all that decides its content. After a kill the next call takes
    the finished shards from there; those with bad frames are tried again. The number of workers changes no byte.

    Args:
        frames: in the order of the index.
        read: reads a file into [N, >= 3], metres, LiDAR frame; importable by worker processes.
        identity: identity of the index that `frames` come from.
        scratch: directory for drafts.
        runtime: workers.

    Returns:
        The folder of the complete store (ids.zarr, manifest.json), to be published and then removed with its parent.

    Raises:
        UserError: there are no frames, or a larger share than `max_bad_frames` cannot be read.
    """
    if not frames:
        raise UserError("the index holds no frames", where="data/index", remedy="check dataset.version and its splits")
    draft = scratch / draft_key(params, frames, identity)
    store, records = draft / "store", draft / "records"
    for folder in (store, records):
        folder.mkdir(parents=True, exist_ok=True)
    for leftover in store.rglob("*.partial"):  # zarr writes beside and renames; a kill leaves the file beside
        leftover.unlink()
    width = max(max(points for _, points in frames), 1)
    create_array(store, len(frames), width, params.frames_per_shard)
    firsts = range(0, len(frames), params.frames_per_shard)
    units = [
        (params, tuple(frames[first : first + params.frames_per_shard]), read, store, records, first)
        for first in firsts
        if not _is_finished(store, records, first)
    ]
    run_units(build_shard, units, title="regions", runtime=runtime)
    shards = tuple(Shard.from_json(json.loads(_record_path(records, first).read_text())) for first in firsts)
    manifest = Manifest(asdict(params), width, shards)
    _check_bad_frames(manifest, len(frames), params.max_bad_frames)
    manifest.save(store)
    return store


def build_shard(
    params: Regions, frames: tuple[Sweep, ...], read: Reader, store: Path, records: Path, first: int
) -> None:
    """Segments the frames of one shard, writes the shard and, when it is complete, its record."""
    ids: list[NDArray[np.int16] | None] = []
    counts: list[dict[str, int]] = []
    bad: list[BadFrame] = []
    for position, (path, points) in enumerate(frames, first):
        try:
            cloud = read(path)
            if len(cloud) != points:
                raise ValueError(f"{len(cloud)} points, the index says {points}")
            result = segment(cloud, params)
        except (UserError, OSError, ValueError) as error:
            bad.append(BadFrame(position, path.name, _reason(error)))
            ids.append(None)
            counts.append(dict.fromkeys(COUNTS, 0))
        else:
            ids.append(result.ids)
            counts.append(result.counts)
    file = write_shard(store, first, ids)
    columns = {name: [frame[name] for frame in counts] for name in COUNTS}
    shard = Shard(first, file, digest_file(store / file), columns, bad)
    record = _record_path(records, first)
    beside = record.with_suffix(".partial")
    beside.write_text(json.dumps(shard.to_json()))
    beside.replace(record)


def draft_key(params: Regions, frames: Sequence[Sweep], identity: str) -> str:
    """Name of the draft: a digest over params, index, sizes, this room's code and the libraries that compute."""
    code = [digest_file(path) for path in sorted(Path(__file__).parent.glob("*.py"))]
    libraries = [version(library) for library in LIBRARIES]
    sizes = [(path.name, points) for path, points in frames]
    content = json.dumps([astuple(params), identity, sizes, code, libraries])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _is_finished(store: Path, records: Path, first: int) -> bool:
    """Whether the shard is there as its record says, without bad frames: their files may have been mended meanwhile."""
    try:
        shard = Shard.from_json(json.loads(_record_path(records, first).read_text()))
        return not shard.bad and digest_file(store / shard.file) == shard.sha256
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _record_path(records: Path, first: int) -> Path:
    return records / f"{first:07d}.json"


def _reason(error: Exception) -> str:
    """Why a frame is bad, without the directories of this machine: the reason is published."""
    if isinstance(error, UserError):
        return error.problem
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _check_bad_frames(manifest: Manifest, frames: int, allowed: float) -> None:
    bad = list(manifest.bad_frames().values())
    if len(bad) > allowed * frames:
        shown = "; ".join(f"frame {frame.position}: {frame.reason}" for frame in bad[:3])
        raise UserError(
            f"{len(bad)} of {frames} frames cannot be read ({shown}{'; ...' if len(bad) > 3 else ''})",
            where=", ".join(frame.file for frame in bad[:3]),
            remedy="mend or replace these files, or raise regions.max_bad_frames to leave such frames out",
        )
