"""DVC stage: regions of every key frame (ground removal, DBSCAN, filters) in a sharded zarr cache."""

import shutil
from pathlib import Path

from pipeline.artifacts.card import identity, write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import read_points
from pipeline.params import Params, Runtime, load_params, load_runtime
from pipeline.regions.builder import build_regions
from pipeline.regions.manifest import Manifest
from pipeline.throughput import measured
from pipeline.work import regions_work

INDEX, REGIONS, SCRATCH = Path("data/index"), Path("data/regions"), Path("scratch/regions")


def main() -> None:
    """Runs the stage."""
    params, root = load_params(), Path(load_params().dataset.root)
    runtime, index = load_runtime(), FrameIndex.open(INDEX, root)
    continued = any(SCRATCH.glob("*"))
    with measured(regions_work(params, runtime), REGIONS, processes=runtime.workers) as work:
        build(params, index, runtime)
        work.units = 0 if continued else len(index)


def build(params: Params, index: FrameIndex, runtime: Runtime) -> None:
    """Builds and publishes the store."""
    store = build_regions(
        params.regions, index.key_sweeps, read_points, identity=identity(INDEX), scratch=SCRATCH, runtime=runtime
    )
    manifest = Manifest.load(store)
    totals, bad = manifest.totals(), len(manifest.bad_frames())
    print(f"regions: {totals['kept']} of {totals['clusters']} clusters kept in {len(index)} frames, {bad} unreadable")
    with publish(REGIONS) as draft:
        shutil.copytree(store, draft, dirs_exist_ok=True)
        write_card(
            draft, kind="regions", stage="regions", params={"regions": params.regions}, inputs=[INDEX],
            metrics=totals | {"bad_frames": bad},
        )  # fmt: skip
    shutil.rmtree(store.parent, ignore_errors=True)  # a worker of a killed build may still be writing there


if __name__ == "__main__":
    with user_errors():
        main()
