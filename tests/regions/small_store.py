"""A small store, built from sweeps that a test may spoil."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.params import Runtime
from pipeline.regions.builder import Sweep, build_regions
from tests.reference.regions import paper_regions

PARAMS = replace(paper_regions(), max_bad_frames=0.2)  # four frames a shard
ALONE = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)
HEADER = "ids.zarr/zarr.json"
SHARDS = tuple(f"ids.zarr/c/{number}/0" for number in range(3))


@dataclass(frozen=True)
class SmallStore:
    """Nine frames in three shards; frame 6 could not be read when they were built."""

    path: Path
    sweeps: list[Sweep]

    def files(self) -> dict[str, bytes]:
        """Content of every file, by its path in the store."""
        return {str(path.relative_to(self.path)): path.read_bytes() for path in self.path.rglob("*") if path.is_file()}

    def flip(self, file: str, at: int = 20) -> None:
        """Changes one bit."""
        content = bytearray((self.path / file).read_bytes())
        content[at] ^= 1
        (self.path / file).write_bytes(content)

    def reads(self) -> list[int]:
        """Frames that were read since the last call."""
        notes = self.sweeps[0][0].with_name("reads")
        found = [int(line) for line in notes.read_text().split()]
        notes.write_text("")
        return found


def build_small(folder: Path) -> SmallStore:
    """Writes the sweeps and builds the store below a folder."""
    rng = np.random.default_rng(1)
    (folder / "sweeps").mkdir(parents=True)
    sweeps = [(folder / "sweeps" / f"{number}.npy", 60) for number in range(9)]
    for path, points in sweeps:
        np.save(path, rng.uniform([5, 5, -1.5], [7, 9, 0], (points, 3)).astype(np.float32))
    (folder / "sweeps" / "reads").touch()
    sound = sweeps[6][0].read_bytes()
    sweeps[6][0].write_bytes(sound[:100])
    made = build_regions(PARAMS, sweeps, read_cloud, identity="index", scratch=folder / "scratch", runtime=ALONE)
    store = SmallStore(made.rename(folder / "store"), sweeps)
    store.reads()
    return store


def read_cloud(path: Path) -> NDArray[np.float32]:
    """The reader; it notes what it reads."""
    with path.with_name("reads").open("a") as notes:
        notes.write(f"{path.stem}\n")
    cloud: NDArray[np.float32] = np.load(path)
    return cloud
