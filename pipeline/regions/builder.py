"""Builds the region store: one unit of work is one whole shard, so workers never share a file and a rerun goes on."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

from pipeline.engine import run_units
from pipeline.errors import UserError
from pipeline.params import Regions, Runtime
from pipeline.regions.layout import HEADER, Layout, encode_header
from pipeline.regions.manifest import Manifest, plain_params
from pipeline.regions.placement import place_file
from pipeline.regions.provenance import Provenance, provenance_here
from pipeline.regions.records import BadFrame, Shard
from pipeline.regions.shards import Reader, Sweep, Unit, compute_shard, cut_units

__all__ = ["Reader", "Sweep", "build_regions"]

SHARE = "put project and dataset on a file system that all dask workers share, at the same path, and try again"


def build_regions(
    params: Regions, frames: Sequence[Sweep], read: Reader, *, identity: str, scratch: Path, runtime: Runtime
) -> Path:
    """Segments every frame and writes the store into a draft folder.

    The draft lives at `scratch`/<key> with a key over all that decides its content. After a kill the next call takes
    the finished shards from there; those with bad frames are tried again. The number of workers changes no byte, and
    workers that outlived a killed build do no harm: nothing in a draft is ever changed once it has its name.

    Args:
        frames: in the order of the index.
        read: reads a file into [N, >= 3], metres, LiDAR frame; importable by worker processes.
        identity: identity of the index that `frames` come from.
        scratch: directory for drafts.
        runtime: workers.

    Returns:
        The folder of the complete store (ids.zarr, manifest.json), to be published and then removed with its parent.

    Raises:
        UserError: there are no frames; a larger share than `max_bad_frames` cannot be read (found as early as the
            finished shards show it); a worker runs other code or libraries than this process, or shares no files with
            it.
    """
    if not frames:
        raise UserError("the index holds no frames", where="data/index", remedy="check dataset.version and its splits")
    provenance = provenance_here(identity, read)
    draft = scratch.absolute() / draft_key(params, frames, provenance)
    for folder in (draft / "shards", draft / "records"):
        folder.mkdir(parents=True, exist_ok=True)
    layout = Layout(len(frames), max(max(points for _, points in frames), 1), params.frames_per_shard)
    finished = {first: shard for first in layout.firsts if (shard := _finished_shard(draft, first)) is not None}
    bad: list[BadFrame] = []

    def accept(shard: Shard) -> None:
        finished[shard.first] = shard
        bad.extend(shard.bad)
        _check_bad_frames(bad, len(frames), params.max_bad_frames)

    left = [first for first in layout.firsts if first not in finished]
    units = [(unit, draft, provenance) for unit in cut_units(params, layout, frames, read, left)]
    run_units(build_shard, units, title="regions", runtime=runtime, accept=accept)
    shards = tuple(finished[first] for first in layout.firsts)
    return _assemble(draft, params, provenance, layout, shards)


def build_shard(unit: Unit, draft: Path, provenance: Provenance) -> Shard:
    """Makes one shard in a worker: the shard's file first and, once the disk has it, its record.

    The file's name in the draft holds its digest, so two workers on one shard can never mix up file and record. What
    another worker finished meanwhile, one of a killed build or one that died before it could answer, is taken over.

    Raises:
        UserError: this process runs other code or libraries than the one that asks, or does not see the draft.
    """
    check_worker(unit, provenance, draft)
    there = _finished_shard(draft, unit.first)
    if there is not None:
        return there
    shard, content = compute_shard(unit)
    place_file(_shard_path(draft, shard), content)
    place_file(_record_path(draft, shard.first), json.dumps(shard.to_json()).encode())
    return shard


def check_worker(unit: Unit, provenance: Provenance, folder: Path) -> None:
    """Refuses to compute in a process whose bytes could differ: a dask worker elsewhere, or one started before an edit.

    Raises:
        UserError: code or libraries differ from `provenance` (names them), or the `folder` to write into is not there.
    """
    differences = provenance.differences(provenance_here(provenance.index, unit.read))
    if differences:
        shown = "; ".join(f"{name}: {there} here, {here} asked" for name, (here, there) in differences.items())
        raise UserError(
            f"a worker runs other code or libraries than the build ({shown})",
            where=os.uname().nodename,
            remedy="start the dask workers again, from the same checkout and the same requirements.lock",
        )
    if not folder.is_dir():
        raise UserError("a worker does not see the folder to write into", where=_on_this_machine(folder), remedy=SHARE)


def draft_key(params: Regions, frames: Sequence[Sweep], provenance: Provenance) -> str:
    """Name of the draft: a digest over params, sizes, index, code and libraries."""
    sizes = [(path.name, points) for path, points in frames]
    content = json.dumps([plain_params(params), asdict(provenance), sizes], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _finished_shard(draft: Path, first: int) -> Shard | None:
    """A shard that is there as its record says, without bad frames: their files may have been mended meanwhile."""
    try:
        shard = Shard.from_json(json.loads(_record_path(draft, first).read_bytes()))
        content = _shard_path(draft, shard).read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return shard if not shard.bad and hashlib.sha256(content).hexdigest() == shard.sha256 else None


def _assemble(draft: Path, params: Regions, provenance: Provenance, layout: Layout, shards: tuple[Shard, ...]) -> Path:
    """Gathers the shards below their final names in a folder of its own, with header and manifest."""
    store = draft / f"store-{uuid4().hex}"
    for shard in shards:
        (store / shard.file).parent.mkdir(parents=True)
        _link(_shard_path(draft, shard), store / shard.file)
    header = encode_header(layout)
    place_file(store / HEADER, header)
    digest = hashlib.sha256(header).hexdigest()
    Manifest(plain_params(params), provenance, layout.width, digest, shards).save(store)
    return store


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:  # a worker wrote it into a folder of the same name, elsewhere
        raise UserError("a worker's shard is not here", where=_on_this_machine(source), remedy=SHARE) from None
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _on_this_machine(path: Path) -> str:
    return f"{path} on {os.uname().nodename}"


def _shard_path(draft: Path, shard: Shard) -> Path:
    return draft / "shards" / f"{shard.first:07d}-{shard.sha256}"


def _record_path(draft: Path, first: int) -> Path:
    return draft / "records" / f"{first:07d}.json"


def _check_bad_frames(bad: list[BadFrame], frames: int, allowed: float) -> None:
    if len(bad) > allowed * frames:
        shown = sorted(bad, key=lambda frame: frame.position)[:3]
        reasons = "; ".join(f"frame {frame.position}: {frame.reason}" for frame in shown)
        raise UserError(
            f"at least {len(bad)} of {frames} frames cannot be read ({reasons}{'; ...' if len(bad) > 3 else ''})",
            where=", ".join(frame.file for frame in shown),
            remedy="mend or replace these files, or raise regions.max_bad_frames to leave such frames out",
        )
