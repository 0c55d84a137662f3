"""The small world with its index and labels."""

from pathlib import Path

import pytest

from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Prepare
from tests.frames.prepared_world import prepare_world


@pytest.fixture(scope="session")
def attacked_world(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[FrameIndex, Labels]:
    return prepare_world(world, tmp_path_factory.mktemp("attacked"), Prepare(0.8, [1.0]))


@pytest.fixture(scope="session")
def index(attacked_world: tuple[FrameIndex, Labels]) -> FrameIndex:
    """Frames of the small world, three a scene."""
    return attacked_world[0]
