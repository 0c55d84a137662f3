"""Datasets that the tests of this room read."""

import os
import shutil
from pathlib import Path

import pytest

from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.map_drawing import build_maps
from pipeline.params import Dataset, Prepare
from tests.frames.tiny_dataset import dataset_at, write_tiny


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: tests that break something take `tiny_copy`."""
    root = tmp_path_factory.mktemp("tiny")
    write_tiny(root)
    return root


@pytest.fixture
def tiny_copy(tiny_root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_root, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def tiny_index(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    out = tmp_path_factory.mktemp("index")
    build_index(dataset_at(tiny_root), out)
    assert build_maps(tiny_root, 0.2, FrameIndex.open(out, tiny_root), out)
    return FrameIndex.open(out, tiny_root)


@pytest.fixture(scope="session")
def labels(tiny_root: Path, tiny_index: FrameIndex, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    out = tmp_path_factory.mktemp("labels")
    build_labels(dataset_at(tiny_root), Prepare(0.2, [1.0]), tiny_index, out)
    return Labels.open(out)


@pytest.fixture(scope="session")
def real_dataset() -> Dataset:
    root = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
    if not root.is_dir():
        pytest.skip(f"no recorded data at {root}; set CALICO_REAL_DATA to a nuScenes root")
    scenes = ["scene-0006", "scene-0061", "scene-0103"]
    return dataset_at(
        root, version="v1.0-mini", pretrain_split="all", splits={"all": scenes, "train": scenes[:2], "val": scenes[2:]}
    )


@pytest.fixture(scope="session")
def real_index(real_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    out = tmp_path_factory.mktemp("real-index")
    build_index(real_dataset, out)
    return FrameIndex.open(out, Path(real_dataset.root))
