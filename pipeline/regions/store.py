"""The region ids of all frames, read from disk; `pipeline.regions.layout` says how they lie there."""

import hashlib
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.params import Regions
from pipeline.regions.ids import ABSENT
from pipeline.regions.layout import ARRAY, HEADER
from pipeline.regions.manifest import Manifest


def repair_command(path: Path) -> str:
    """What rebuilds the damaged files of the store at `path`, and only these."""
    return f"calico regions repair {shlex.quote(str(path))}"


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
        except UserError:
            raise
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
        return [shard.file for shard in self.manifest.shards if self.damage(shard.file, shard.sha256)]

    def damage(self, file: str, sha256: str) -> str | None:
        """What is wrong with a file of the store: "missing", "changed", that it cannot be read; None if it is sound."""
        try:
            return None if digest_file(self.path / file) == sha256 else "changed"
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError as error:
            return f"unreadable: {error.strerror}"

    def _damage(self, position: int, detail: str) -> UserError:
        shard = next(shard for shard in reversed(self.manifest.shards) if shard.first <= position)
        return self._damaged(f"a region shard is damaged: {detail}", shard.file)

    def _damaged(self, problem: str, file: str) -> UserError:
        return UserError(
            problem, where=str(self.path / file), remedy=f"rebuild what is damaged: `{repair_command(self.path)}`"
        )

    @cached_property
    def _points(self) -> list[int]:
        return self.manifest.column("points")

    @cached_property
    def _array(self) -> Any:
        try:
            array = zarr.open_array(self.path / ARRAY, mode="r")
            if array.shape != (len(self), self.manifest.width):
                raise ValueError(f"shape {array.shape}, the manifest says {(len(self), self.manifest.width)}")
        except Exception as error:  # whatever a broken header makes zarr raise
            raise self._damaged(f"the header of the region array is damaged: {error}", HEADER) from error
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "manifest": self.manifest}  # no open array crosses a process border
