"""The region ids of all frames on disk: one zarr v3 array, int16 [frame, point], a chunk a frame, few large shards."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

from pipeline.errors import UserError
from pipeline.params import Regions
from pipeline.regions.ids import ABSENT, PADDING
from pipeline.regions.manifest import Manifest

ARRAY = "ids.zarr"
REBUILD = "build it again: `dvc repro --force --single-item regions`"


def create_array(folder: Path, frames: int, width: int, frames_per_shard: int) -> None:
    """An array [frames, width] full of `ABSENT` at `folder`/ids.zarr; an existing one of that kind is left as it is.

    The checksum is listed for chunks too: zarr by itself only protects the index of a shard.
    """
    if (folder / ARRAY / "zarr.json").exists():
        return
    checked: tuple[Any, ...] = (ZstdCodec(level=3), Crc32cCodec())
    sharding = ShardingCodec(
        chunk_shape=(1, width),
        codecs=[BytesCodec(), *checked],
        index_codecs=[BytesCodec(), Crc32cCodec()],
    )
    zarr.create_array(
        folder / ARRAY,
        shape=(frames, width),
        dtype=np.int16,
        chunks=(frames_per_shard, width),
        serializer=sharding,
        compressors=None,
        filters=None,
        fill_value=ABSENT,
    )


def write_shard(folder: Path, first: int, ids: list[NDArray[np.int16] | None]) -> str:
    """Writes one whole shard.

    Args:
        folder: where `create_array` made the array.
        first: position of the shard's first frame, a multiple of its frames per shard.
        ids: ids of its frames; None for a bad frame.

    Returns:
        The shard's file, relative to `folder`.
    """
    array = zarr.open_array(folder / ARRAY, mode="r+")
    block = np.full((len(ids), array.shape[1]), PADDING, np.int16)
    for row, frame in zip(block, ids, strict=True):
        if frame is not None:
            row[: len(frame)] = frame
    array[first : first + len(ids)] = block
    assert array.shards is not None
    return f"{ARRAY}/c/{first // array.shards[0]}/0"


def digest_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class RegionStore:
    """A finished store, read-only.

    Each process opens the array at its first read, so a store may be pickled to spawned workers.
    """

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: Path, expect: Regions | None = None) -> "RegionStore":
        """Opens the store at `path`.

        Args:
            expect: the params that the caller works with; None takes any.

        Raises:
            UserError: there is no store, it is damaged, or other params made it (shows which).
        """
        manifest = Manifest.load(path)
        differences = manifest.differences(expect) if expect is not None else {}
        if differences:
            shown = "; ".join(
                f"{name}: {here!r} in the store, {there!r} asked" for name, (here, there) in differences.items()
            )
            raise UserError(
                f"other params made these regions ({shown})",
                where=str(path),
                remedy="run `dvc repro regions`, or put the params back",
            )
        return RegionStore(path, manifest)

    def __len__(self) -> int:
        return len(self._points)

    def read(self, position: int, points: int) -> NDArray[np.int16]:
        """Region ids of one frame.

        Args:
            position: of the frame in the index.
            points: key-frame points that the caller has; the ids are aligned with them.

        Returns:
            int16 [points]: region id >= 0, or one of the negative ids of `pipeline.regions.ids`.

        Raises:
            IndexError: there is no such position.
            UserError: the frame is a bad one, has another number of points, or its shard is damaged (names it).
        """
        if not 0 <= position < len(self):
            raise IndexError(f"frame {position} of {len(self)}")
        bad = self.bad_frames.get(position)
        if bad is not None:
            raise UserError(
                f"frame {position} has no regions: {bad}",
                where=str(self.path),
                remedy="leave the frame out, or mend its file and run `dvc repro --force --single-item regions`",
            )
        if points != self._points[position]:
            raise UserError(
                f"frame {position} has {points} points, its regions were built from {self._points[position]}",
                where=str(self.path),
                remedy="the sensor files changed after the regions were built: run `dvc repro`",
            )
        try:
            row = np.asarray(self._array[position, :points], np.int16)
        except Exception as error:  # codecs raise what they like: a checksum is a ValueError, a short file anything
            raise self._damage(position, str(error)) from error
        if points and row.min() == ABSENT:
            raise self._damage(position, "the shard's file is missing")
        return row

    @cached_property
    def bad_frames(self) -> dict[int, str]:
        """Reason by position of the frames that could not be read when the store was built; `read` refuses them."""
        return {position: frame.reason for position, frame in self.manifest.bad_frames().items()}

    def damaged_shards(self) -> list[str]:
        """Shard files, relative to `path`, that are missing or do not hash to what the manifest says."""
        files = [(shard.file, shard.sha256) for shard in self.manifest.shards]
        return [file for file, sha in files if not (self.path / file).exists() or digest_file(self.path / file) != sha]

    def _damage(self, position: int, detail: str) -> UserError:
        shard = next(shard for shard in reversed(self.manifest.shards) if shard.first <= position)
        return UserError(f"a region shard is damaged: {detail}", where=str(self.path / shard.file), remedy=REBUILD)

    @cached_property
    def _points(self) -> list[int]:
        return self.manifest.column("points")

    @cached_property
    def _array(self) -> Any:
        return zarr.open_array(self.path / ARRAY, mode="r")

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "manifest": self.manifest}  # no open array crosses a process border
