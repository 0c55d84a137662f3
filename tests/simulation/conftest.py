"""A flat, empty place and a devkit handle on the small world."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.simulation.casting import Caster, Thing
from pipeline.simulation.materials import Material
from pipeline.simulation.terrain import Terrain


@pytest.fixture(scope="session")
def devkit(world: Path) -> Any:
    """The small world opened by the unmodified devkit."""
    from nuscenes.nuscenes import NuScenes

    return NuScenes("v1.0-embedded", str(world), verbose=False)


@pytest.fixture
def flat() -> Callable[[list[Thing]], Caster]:
    """Makes a caster on 200 m x 200 m of level asphalt with pavement where local y > 20."""
    raster = np.full((2000, 2000), Material.ROAD, np.uint8)
    raster[1200:] = Material.WALKWAY
    terrain = Terrain(raster, np.zeros((1, 4)))
    return lambda things: Caster(terrain, np.array([100.0, 100.0]), things)
