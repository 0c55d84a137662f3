"""The two label-free stages as `dvc repro` runs them, in a project folder of their own."""

from pathlib import Path

import pytest
import yaml

from pipeline.artifacts.card import read_card
from pipeline.artifacts.checkpoint import load_weights
from pipeline.frames.index import FrameIndex, build_index
from pipeline.frames.points import read_points
from pipeline.params import Runtime, load_params
from pipeline.regions.builder import build_regions
from pipeline.regions.store import RegionStore
from stages import distill_camera, pretrain_lidar

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(world: Path, world_runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Index and regions of the small world; one training frame could not be read when the regions were built."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["dataset"]["root"] = str(world)
    content["regions"]["max_bad_frames"] = 0.5
    for name in ("pretrain_lidar", "distill_camera"):
        # Three steps of two: every frame that is trained on comes once.
        content[name] |= {"rich": 64, "less": 64, "schedule": content[name]["schedule"] | {"steps": 3, "batch": 2}}
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    Path("runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    params, index_folder = load_params(), Path("data/index")
    index_folder.mkdir(parents=True)
    build_index(params.dataset, index_folder)
    index = FrameIndex.open(index_folder, world)
    bad = index.split("embedded_train")[1]
    sweeps = [(world / frame.lidar_path, frame.points) for frame in (index[i] for i in range(len(index)))]
    sweeps[bad] = (world / "nowhere.bin", sweeps[bad][1])
    store = build_regions(
        params.regions, sweeps, read_points, identity="test", scratch=Path("scratch"), runtime=world_runtime
    )
    store.rename("data/regions")
    assert list(RegionStore.open(Path("data/regions")).bad_frames) == [bad]
    return tmp_path


def test_frames_without_regions_are_left_out(project: Path) -> None:
    """A bad frame in a batch would stop the stage: the store refuses to read it."""
    pretrain_lidar.main("prc")
    distill_camera.main("rad")
    for folder, branch in (("pretrain_lidar/prc", "lidar"), ("distill_camera/rad", "camera")):
        checkpoint = project / "data" / "checkpoints" / folder
        assert {name.split(".")[0] for name in load_weights(checkpoint)} == {branch, f"{branch}_projector"}
        assert len((checkpoint / "history.csv").read_text().splitlines()) == 1 + 3
        card = read_card(checkpoint)
        assert card["labels"]["count"] == 0
        stage = folder.split("/")[0]
        assert "augmentation" in card["params"][stage]
    assert not list((project / "scratch").glob("*/state.pt"))
