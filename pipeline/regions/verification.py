"""Whether every file of a region store still holds what its manifest says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine import progress_bar
from pipeline.regions.layout import HEADER
from pipeline.regions.manifest import Manifest
from pipeline.regions.records import Shard
from pipeline.regions.store import RegionStore, repair_command


@dataclass(frozen=True)
class Damage:
    """One file that is not what the manifest says.

    Attributes:
        file: relative to the store.
        problem: "missing", "changed" or why it cannot be read.
        shard: its record; None for the header of the array.
    """

    file: str
    problem: str
    shard: Shard | None


@dataclass(frozen=True)
class Verdict:
    """The outcome for a whole store."""

    path: Path
    manifest: Manifest
    damages: tuple[Damage, ...]

    @property
    def shards(self) -> list[Shard]:
        """The damaged shards."""
        return [damage.shard for damage in self.damages if damage.shard]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a machine."""
        total, lost = len(self.manifest.column("points")), sum(shard.last - shard.first + 1 for shard in self.shards)
        return {
            "path": str(self.path),
            "sound": not self.damages,
            "shards": len(self.manifest.shards),
            "sound_shards": len(self.manifest.shards) - len(self.shards),
            "frames": total,
            "sound_frames": total - lost,
            "bad_frames": len(self.manifest.bad_frames()),
            "damaged": [
                {
                    "file": damage.file,
                    "problem": damage.problem,
                    "frames": [damage.shard.first, damage.shard.last] if damage.shard else None,
                }
                for damage in self.damages
            ],
            "repair": repair_command(self.path) if self.damages else None,
        }

    def lines(self) -> list[str]:
        """The same for a person."""
        told = self.to_json()
        bad = f", {told['bad_frames']} of these without ids (unreadable when built)" if told["bad_frames"] else ""
        lines = [
            f"{self.path}: {told['sound_shards']} of {told['shards']} shards sound, "
            f"{told['sound_frames']} of {told['frames']} frames{bad}"
        ]
        for entry in told["damaged"]:
            frames = entry["frames"]
            held = f"frames {frames[0]} to {frames[1]}" if frames else "header of the array, so no frame can be read"
            lines.append(f"  {entry['problem']}: {entry['file']} ({held})")
        return [*lines, *([f"rebuild only these: {told['repair']}"] if told["repair"] else [])]


def verify_store(path: Path) -> Verdict:
    """Hashes every file of the store again, with a progress bar on stderr.

    Raises:
        UserError: there is no store, or its manifest is damaged.
    """
    store = RegionStore.open(path)
    manifest = store.manifest
    files: list[tuple[str, str, Shard | None]] = [(HEADER, manifest.header, None)]
    files += [(shard.file, shard.sha256, shard) for shard in manifest.shards]
    damages = []
    with progress_bar(stderr=True) as bar:
        for file, sha256, shard in bar.track(files, description="verify"):
            problem = store.damage(file, sha256)
            if problem:
                damages.append(Damage(file, problem, shard))
    return Verdict(path, manifest, tuple(damages))
