"""What decides the bytes of a store, and that no worker computes with anything else."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.frames.points import read_points
from pipeline.params import Runtime
from pipeline.regions import builder
from pipeline.regions.builder import build_regions, build_shard, check_worker
from pipeline.regions.layout import Layout
from pipeline.regions.provenance import Provenance, provenance_here
from pipeline.regions.shards import Unit
from tests.dask_cluster import dask_cluster
from tests.regions.small_store import ALONE, PARAMS, SmallStore, build_small, read_cloud

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    return build_small(tmp_path / "small")


@pytest.fixture
def unit(small: SmallStore) -> Unit:
    return Unit(PARAMS, Layout(9, 60, 4), 0, tuple(small.sweeps[:4]), read_cloud)


def test_differences_name_both_sides() -> None:
    one = Provenance("a" * 64, {"x.py": "1" * 64, "y.py": "2" * 64}, {"numpy": "1", "zarr": "3"})
    two = Provenance("b" * 64, {"x.py": "1" * 64, "z.py": "3" * 64}, {"numpy": "2", "zarr": "3"})
    assert one.differences(one) == {}
    assert one.differences(two) == {
        "index": ("a" * 12, "b" * 12), "numpy": ("1", "2"), "y.py": ("2" * 12, None), "z.py": (None, "3" * 12),
    }  # fmt: skip


def test_all_that_computes_is_in_it_and_nothing_else() -> None:
    made = provenance_here("index", read_points)
    files = set(made.code)
    assert made.index == "index"
    computing = {"clustering", "filters", "ground", "ids", "layout", "segmentation", "shards"}
    assert {f"pipeline/regions/{name}.py" for name in computing} <= files
    assert {"pipeline/params/regions.py", "pipeline/frames/points.py"} <= files
    assert "pipeline/params/training.py" not in files  # what a training is told changes no region
    assert not {"pipeline/engine.py", "pipeline/regions/store.py", "pipeline/regions/repair.py"} & files
    assert {"numba", "numpy", "zarr"} <= set(made.libraries)
    own = provenance_here("index", read_cloud)
    assert own.code.keys() - files >= {"tests/regions/small_store.py"}
    assert own.code["pipeline/regions/ground.py"] == made.code["pipeline/regions/ground.py"]


def test_a_worker_with_other_code_or_libraries_refuses(unit: Unit, tmp_path: Path) -> None:
    here = provenance_here("index", read_cloud)
    check_worker(unit, here, tmp_path)
    check_worker(unit, replace(here, index="another"), tmp_path)  # a worker does not look at the index
    other = replace(here, libraries=here.libraries | {"zarr": "3.0"}, code=here.code | {"new.py": "1" * 64})
    with pytest.raises(UserError, match="new.py: None here, 111111111111 asked") as caught:
        check_worker(unit, other, tmp_path)
    assert f"zarr: {here.libraries['zarr']} here, 3.0 asked" in caught.value.problem
    assert "start the dask workers again" in caught.value.remedy


def test_a_worker_without_the_draft_refuses(unit: Unit, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not see the folder to write into") as caught:
        build_shard(unit, tmp_path / "elsewhere", provenance_here("index", read_cloud))
    assert str(tmp_path / "elsewhere") in caught.value.where
    assert "file system that all dask workers share" in caught.value.remedy
    assert not (tmp_path / "elsewhere").exists()


def test_a_shard_that_a_worker_wrote_elsewhere_is_missed(
    small: SmallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builder.build_shard

    def lose(unit: Unit, draft: Path, provenance: Provenance) -> object:
        shard = real(unit, draft, provenance)
        next((draft / "shards").glob(f"*-{shard.sha256}")).unlink()
        return shard

    monkeypatch.setattr(builder, "build_shard", lose)
    with pytest.raises(UserError, match="a worker's shard is not here") as caught:
        build_regions(PARAMS, small.sweeps, read_cloud, identity="index", scratch=tmp_path / "scratch", runtime=ALONE)
    assert "file system that all dask workers share" in caught.value.remedy


@pytest.fixture
def old_checkout(tmp_path: Path) -> Iterator[Runtime]:
    """A worker that runs an older version of the ground removal."""
    for room in ("pipeline", "tests"):
        shutil.copytree(ROOT / room, tmp_path / "old" / room, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "old/pipeline/regions/ground.py").open("a") as code:
        code.write("# as it was\n")
    with dask_cluster(1, tmp_path / "cluster", checkout=tmp_path / "old") as address:
        yield replace(ALONE, scheduler=address)


def test_a_worker_of_another_checkout_is_refused(small: SmallStore, tmp_path: Path, old_checkout: Runtime) -> None:
    with pytest.raises(UserError, match="a worker runs other code") as caught:
        build_regions(
            PARAMS, small.sweeps, read_cloud, identity="index", scratch=tmp_path / "scratch", runtime=old_checkout
        )
    assert "pipeline/regions/ground.py: " in caught.value.problem
    assert "filters.py" not in caught.value.problem
    assert not list((tmp_path / "scratch").glob("*/shards/*"))
