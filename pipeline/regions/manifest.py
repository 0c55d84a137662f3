"""What a region store says about itself: the params that made it, a digest per shard, counts per frame, bad frames."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import Regions
from pipeline.regions.counts import COUNTS

SCHEMA = 1
FILE = "manifest.json"


@dataclass(frozen=True)
class BadFrame:
    """A frame that could not be read: quarantined, counted, without ids in the store."""

    position: int  # in the index
    file: str  # name of the sensor file
    reason: str


@dataclass(frozen=True)
class Shard:
    """One shard: which frames, how they came out, and what its file must hash to.

    Attributes:
        first: position of its first frame.
        file: path inside the store.
        sha256: of the file.
        frames: for each of `COUNTS` one number per frame; all 0 for a bad frame.
        bad: its bad frames.
    """

    first: int
    file: str
    sha256: str
    frames: dict[str, list[int]]
    bad: list[BadFrame]

    def to_json(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Shard":
        """The inverse of `to_json`; KeyError or TypeError if `record` is none."""
        return Shard(**{**record, "bad": [BadFrame(**frame) for frame in record["bad"]]})


@dataclass(frozen=True)
class Manifest:
    """The whole of manifest.json.

    Attributes:
        params: `asdict` of the `Regions` that made the store.
        width: columns of the array: points of the largest frame.
        shards: in order.
    """

    params: dict[str, Any]
    width: int
    shards: tuple[Shard, ...]

    def column(self, count: str) -> list[int]:
        """One of `COUNTS` for every frame."""
        return [number for shard in self.shards for number in shard.frames[count]]

    def totals(self) -> dict[str, int]:
        """Every one of `COUNTS` summed over the frames."""
        return {count: sum(self.column(count)) for count in COUNTS}

    def bad_frames(self) -> dict[int, BadFrame]:
        """The bad frames by position."""
        return {frame.position: frame for shard in self.shards for frame in shard.bad}

    def differences(self, expect: Regions) -> dict[str, tuple[Any, Any]]:
        """Params that differ from `expect`: name to (here, there)."""
        wanted = asdict(expect)
        names = sorted(wanted.keys() | self.params.keys())
        pairs = {name: (self.params.get(name), wanted.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def save(self, folder: Path) -> None:
        """Writes manifest.json: one line per entry, the same bytes for the same content."""
        entries = {
            "schema": SCHEMA,
            "params": self.params,
            "width": self.width,
            "shards": [{"first": shard.first, "file": shard.file, "sha256": shard.sha256} for shard in self.shards],
            "totals": self.totals(),
            "frames": {count: self.column(count) for count in COUNTS},
            "bad_frames": [asdict(frame) for frame in self.bad_frames().values()],
        }
        lines = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in entries.items()
        )
        (folder / FILE).write_text("{\n" + lines + "\n}\n")

    @staticmethod
    def load(folder: Path) -> "Manifest":
        """Reads manifest.json.

        Raises:
            UserError: it is missing, unreadable or of another schema version.
        """
        remedy = "build the regions again: `dvc repro --force --single-item regions`"
        try:
            entries = json.loads((folder / FILE).read_text())
        except FileNotFoundError:
            raise UserError(
                "there is no region store here", where=str(folder), remedy="run `dvc repro regions`"
            ) from None
        except ValueError as error:
            raise UserError(f"the manifest is damaged: {error}", where=str(folder / FILE), remedy=remedy) from None
        if not isinstance(entries, dict) or entries.get("schema") != SCHEMA:
            found = entries.get("schema") if isinstance(entries, dict) else None
            raise UserError(
                f"the region store has schema version {found}, this code reads {SCHEMA}",
                where=str(folder / FILE),
                remedy=remedy,
            )
        try:
            return _parse(entries)
        except (KeyError, TypeError) as error:
            raise UserError(f"the manifest is damaged: {error!r}", where=str(folder / FILE), remedy=remedy) from None


def _parse(entries: dict[str, Any]) -> Manifest:
    bad = [BadFrame(**frame) for frame in entries["bad_frames"]]
    firsts = [shard["first"] for shard in entries["shards"]]
    ends = [*firsts[1:], len(entries["frames"]["points"])]
    shards = [
        Shard(
            **shard,
            frames={count: entries["frames"][count][shard["first"] : end] for count in COUNTS},
            bad=[frame for frame in bad if shard["first"] <= frame.position < end],
        )
        for shard, end in zip(entries["shards"], ends, strict=True)
    ]
    return Manifest(params=entries["params"], width=entries["width"], shards=tuple(shards))
