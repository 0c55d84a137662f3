"""What the tests of this room read."""

from pathlib import Path

import pytest

from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.params import Dataset


@pytest.fixture(scope="session")
def index(world: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    """Frames of the small world, three a scene."""
    out, train = tmp_path_factory.mktemp("index"), "embedded_train"
    build_index(Dataset("embedded", str(world), "v1.0-embedded", ["embedded"], train, train, "embedded_val", {}), out)
    return FrameIndex.open(out, world)
