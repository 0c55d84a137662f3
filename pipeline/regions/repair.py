"""Rebuilds the damaged files of a region store, from its own manifest, and nothing else."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.engine import run_units
from pipeline.errors import UserError
from pipeline.params import Runtime
from pipeline.regions.builder import check_worker
from pipeline.regions.layout import HEADER, encode_header
from pipeline.regions.manifest import Manifest
from pipeline.regions.placement import flush_folder, place_file
from pipeline.regions.provenance import Provenance, provenance_here
from pipeline.regions.records import Shard
from pipeline.regions.shards import Reader, Sweep, Unit, compute_shard, cut_units
from pipeline.regions.verification import Verdict, verify_store

ANEW = "build all regions anew: `dvc repro --force --single-item regions`"


def repair_store(
    path: Path, frames: Sequence[Sweep], read: Reader, *, identity: str, runtime: Runtime
) -> list[str]:  # fmt: skip
    """Rebuilds what is damaged or missing; each file is replaced only by bytes of the digest in the manifest.

    A file is replaced by a rename, so that a kill at any moment loses nothing sound and a file shared with a cache
    stays as it is; the next call goes on.

    Args:
        path: the store.
        frames: as `build_regions` takes them, of the index as it is now.
        read: as for `build_regions`.
        identity: identity of that index.
        runtime: workers; one damaged shard is one unit.

    Returns:
        The files that were rebuilt, relative to `path`.

    Raises:
        UserError: there is no store; its manifest is damaged; the index, code or libraries are not those that made it;
            or what is built now has another digest (says which shards; those keep what they had).
    """
    verdict = verify_store(path)
    manifest = verdict.manifest
    if verdict.shards:
        _check_provenance(path, manifest, provenance_here(identity, read))
    drafts = path.absolute().with_name(f".{path.name}.repair")  # beside the store: an artifact holds no strays
    shutil.rmtree(drafts, ignore_errors=True)
    if not verdict.damages:
        return []
    drafts.mkdir()
    try:
        if any(damage.file == HEADER for damage in verdict.damages):
            _replace_header(path, manifest, drafts)
        refused = _rebuild(verdict, frames, read, drafts, runtime) if verdict.shards else []
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
    if refused:
        raise UserError(
            f"{len(refused)} of {len(verdict.shards)} damaged shards do not come out as they were and stay as they are "
            f"({'; '.join(refused[:3])}{'; ...' if len(refused) > 3 else ''})",
            where=str(path),
            remedy=f"bring the sensor files back to what they were, or {ANEW}",
        )
    return [damage.file for damage in verdict.damages]


def _rebuild(verdict: Verdict, frames: Sequence[Sweep], read: Reader, drafts: Path, runtime: Runtime) -> list[str]:
    """Makes the damaged shards again; why some of them were refused."""
    manifest, shards = verdict.manifest, verdict.shards
    params = manifest.regions(verdict.path)
    units = cut_units(params, manifest.layout, frames, read, [shard.first for shard in shards])
    work = [
        (unit, shard, verdict.path.absolute(), drafts, manifest.provenance)
        for unit, shard in zip(units, shards, strict=True)
    ]
    return [reason for reason in run_units(rebuild_shard, work, title="repair", runtime=runtime) if reason]


def rebuild_shard(unit: Unit, shard: Shard, store: Path, drafts: Path, provenance: Provenance) -> str | None:
    """Makes one shard again in a worker and puts it in its place if it hashes to its digest in the manifest.

    Returns:
        None, or why it was refused.
    """
    check_worker(unit, provenance, drafts)
    made, content = compute_shard(unit)
    if made.sha256 == shard.sha256:
        _replace(store / shard.file, content, drafts)
        return None
    bad = {frame.position: frame.reason for frame in made.bad}
    was = {frame.position: frame.reason for frame in shard.bad}
    news = [f"frame {position}: {bad[position]}" for position in sorted(bad.keys() - was.keys())]
    news += [f"frame {position} can be read now and could not before" for position in sorted(was.keys() - bad.keys())]
    return f"{shard.file}: {', '.join(news[:3]) or 'its sensor files hold other points than then'}"


def _check_provenance(path: Path, manifest: Manifest, now: Provenance) -> None:
    differences = manifest.provenance.differences(now)
    if differences:
        shown = "; ".join(f"{name}: {here} in the store, {there} now" for name, (here, there) in differences.items())
        raise UserError(
            f"only what made the store can rebuild a part of it bit by bit ({shown})",
            where=str(path),
            remedy=f"bring back the index, code and libraries that made it, or {ANEW}",
        )


def _replace_header(path: Path, manifest: Manifest, drafts: Path) -> None:
    header = encode_header(manifest.layout)
    if hashlib.sha256(header).hexdigest() != manifest.header:
        raise UserError(
            "this code's array header is not the store's: another version of code or zarr made it",
            where=str(path / HEADER),
            remedy=f"bring back the code and libraries that made it, or {ANEW}",
        )
    _replace(path / HEADER, header, drafts)


def _replace(path: Path, content: bytes, drafts: Path) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        flush_folder(path.parent.parent)
    place_file(path, content, drafts)
