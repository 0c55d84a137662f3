"""A small embedded world, built once a test session for every room that reads data."""

from pathlib import Path

import pytest

from pipeline.params import Runtime, Simulate
from pipeline.simulation.world import build_world


@pytest.fixture(scope="session")
def world_params() -> Simulate:
    """Params of the small world."""
    return Simulate(
        seed=3, train_scenes=2, val_scenes=1, keyframes_per_scene=3, azimuth_steps=360, range_noise=0.02, dropout=0.03,
        max_range=70.0, image_width=160, image_height=90, jpeg_quality=85,
    )  # fmt: skip


@pytest.fixture(scope="session")
def world_runtime() -> Runtime:
    """One process, no dask."""
    return Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, world_params: Simulate, world_runtime: Runtime) -> Path:
    """Root of the small world; its tables are in `v1.0-embedded`. Tests must not write into it."""
    root = tmp_path_factory.mktemp("world")
    build_world(world_params, "v1.0-embedded", root, world_runtime)
    return root
