"""DVC stage: regions of every key frame (ground removal, DBSCAN, filters) in a sharded zarr cache."""

import shutil
from pathlib import Path

from pipeline.artifacts.card import identity, write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import read_points
from pipeline.params import load_params, load_runtime
from pipeline.regions.builder import build_regions
from pipeline.regions.manifest import Manifest

INDEX = Path("data/index")


def main() -> None:
    """Runs the stage."""
    params, root = load_params(), Path(load_params().dataset.root)
    index = FrameIndex.open(INDEX, root)
    store = build_regions(
        params.regions, index.key_sweeps, read_points,
        identity=identity(INDEX), scratch=Path("scratch/regions"), runtime=load_runtime(),
    )  # fmt: skip
    manifest = Manifest.load(store)
    totals, bad = manifest.totals(), len(manifest.bad_frames())
    print(f"regions: {totals['kept']} of {totals['clusters']} clusters kept in {len(index)} frames, {bad} unreadable")
    with publish(Path("data/regions")) as draft:
        shutil.copytree(store, draft, dirs_exist_ok=True)
        write_card(
            draft, kind="regions", stage="regions", params={"regions": params.regions}, inputs=[INDEX],
            metrics=totals | {"bad_frames": bad},
        )  # fmt: skip
    shutil.rmtree(store.parent, ignore_errors=True)  # a worker of a killed build may still be writing there


if __name__ == "__main__":
    with user_errors():
        main()
