"""The small networks as fixtures of this room."""

import pytest

from pipeline.params import Frames, Networks
from tests.small_networks import Inputs, small_frames, small_inputs, small_networks


@pytest.fixture
def networks() -> Networks:
    return small_networks()


@pytest.fixture
def frames() -> Frames:
    return small_frames()


@pytest.fixture
def inputs() -> Inputs:
    return small_inputs()
