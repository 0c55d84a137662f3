"""What a region store says about itself: params, provenance, a digest per file, counts per frame, bad frames."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.params import Regions
from pipeline.regions.counts import COUNTS
from pipeline.regions.layout import Layout
from pipeline.regions.placement import place_file
from pipeline.regions.provenance import Provenance
from pipeline.regions.records import BadFrame, Shard
from pipeline.strict_yaml import build_model

__all__ = ["BadFrame", "Manifest", "Shard"]

SCHEMA = 2
FILE = "manifest.json"
SEAL = ',\n"seal": '
REBUILD = (
    "bring it back with `dvc checkout --force regions`, or build it again: `dvc repro --force --single-item regions`"
)


@dataclass(frozen=True)
class Manifest:
    """The whole of manifest.json.

    Attributes:
        params: the `Regions` that made the store, as plain JSON values.
        provenance: index, code and libraries that made it.
        width: columns of the array: points of the largest frame.
        header: SHA-256 of the array's zarr.json.
        shards: in order.
    """

    params: dict[str, Any]
    provenance: Provenance
    width: int
    header: str
    shards: tuple[Shard, ...]

    @property
    def layout(self) -> Layout:
        """Shape of the array."""
        return Layout(len(self.column("points")), self.width, self.params["frames_per_shard"])

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
        """Params that differ from `expect`: dotted name to (here, there), None where one side lacks it."""
        here, there = dict(_flat(self.params)), dict(_flat(plain_params(expect)))
        names = sorted(here.keys() | there.keys())
        pairs = {name: (here.get(name), there.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def regions(self, folder: Path) -> Regions:
        """The params as the class that the segmentation takes.

        Raises:
            UserError: they are of another form than this code's, so another version of the code made the store.
        """
        return build_model(Regions, self.params, f"{folder / FILE}: params")

    def save(self, folder: Path) -> None:
        """Writes manifest.json: one line per entry, the same bytes for the same content, a seal over all before it."""
        entries = {
            "schema": SCHEMA,
            "params": self.params,
            **asdict(self.provenance),
            "width": self.width,
            "header": self.header,
            "shards": [{"first": shard.first, "file": shard.file, "sha256": shard.sha256} for shard in self.shards],
            "totals": self.totals(),
            "frames": {count: self.column(count) for count in COUNTS},
            "bad_frames": [asdict(frame) for frame in self.bad_frames().values()],
        }
        lines = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in entries.items()
        )
        text = "{\n" + lines
        place_file(folder / FILE, f"{text}{SEAL}{json.dumps(_seal(text))}\n}}\n".encode())

    @staticmethod
    def load(folder: Path) -> "Manifest":
        """Reads manifest.json.

        Raises:
            UserError: it is missing, not as it was written, or of another schema version.
        """
        try:
            text = (folder / FILE).read_text(encoding="utf-8")
            entries = json.loads(text)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                "there is no region store here", where=str(folder), remedy="run `dvc repro regions`"
            ) from None
        except ValueError as error:
            raise _damage(folder, str(error)) from None
        found = entries.get("schema") if isinstance(entries, dict) else None
        if found != SCHEMA:
            raise UserError(
                f"the region store has schema version {found}, this code reads {SCHEMA}",
                where=str(folder / FILE),
                remedy="build the regions again: `dvc repro --force --single-item regions`",
            )
        if entries.get("seal") != _seal(text.rpartition(SEAL)[0]):
            raise _damage(folder, "its seal does not fit")
        try:
            return _parse(entries)
        except (KeyError, TypeError, ValueError) as error:
            raise _damage(folder, repr(error)) from None


def plain_params(params: Regions) -> dict[str, Any]:
    """The params as JSON gives them back: nested dicts, lists, numbers, text."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(params)))
    return plain


def _damage(folder: Path, detail: str) -> UserError:
    return UserError(f"the manifest is damaged: {detail}", where=str(folder / FILE), remedy=REBUILD)


def _seal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


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
    provenance = Provenance(entries["index"], entries["code"], entries["libraries"])
    manifest = Manifest(entries["params"], provenance, entries["width"], entries["header"], tuple(shards))
    for shard in shards:  # a name of another kind could lead a reader, or a repair, out of the store
        if shard.file != manifest.layout.shard_file(shard.first):
            raise ValueError(f"shard {shard.first} names the file {shard.file!r}")
    return manifest
