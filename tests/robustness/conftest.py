"""The small world with its index and labels."""

from pathlib import Path

import pytest

from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.map_drawing import build_maps
from pipeline.params import Prepare
from tests.frames.tiny_dataset import dataset_at


@pytest.fixture(scope="session")
def attacked_world(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameIndex, Labels]:
    out, labels = tmp_path_factory.mktemp("attacked-index"), tmp_path_factory.mktemp("attacked-labels")
    train, val = "embedded_train", "embedded_val"
    dataset = dataset_at(world, version="v1.0-embedded", pretrain_split=train, train_split=train, val_split=val)
    build_index(dataset, out)
    index = FrameIndex.open(out, world)
    assert build_maps(world, 0.8, index, out)
    build_labels(dataset, Prepare(0.8, [1.0]), index, labels)
    return index, Labels.open(labels)


@pytest.fixture(scope="session")
def index(attacked_world: tuple[FrameIndex, Labels]) -> FrameIndex:
    """Frames of the small world, three a scene."""
    return attacked_world[0]
