"""What is written down about a shard: which frames, how they came out, what its file hashes to."""

from dataclasses import asdict, dataclass
from typing import Any


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

    @property
    def last(self) -> int:
        """Position of its last frame."""
        return self.first + len(self.frames["points"]) - 1

    def to_json(self) -> dict[str, Any]:
        """Plain containers."""
        return asdict(self)

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Shard":
        """The inverse of `to_json`; KeyError or TypeError if `record` is none."""
        return Shard(**{**record, "bad": [BadFrame(**frame) for frame in record["bad"]]})
