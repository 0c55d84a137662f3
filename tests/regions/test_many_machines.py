"""The run that docs/regions.md describes: a stage with workers that somebody else started, at a scheduler."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.dask_cluster import dask_cluster

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_stage_with_two_workers_at_a_scheduler(region_project: Path, tmp_path: Path) -> None:
    """The artifact is the same to the byte, its card included."""
    whole = contents(region_project / "data/regions")
    shutil.rmtree(region_project / "data/regions")
    runtime = yaml.safe_load(Path("runtime.yaml").read_text())
    words = [sys.executable, "-m", "stages.regions"]
    settings = os.environ | {"PYTHONPATH": str(ROOT)}
    with dask_cluster(2, tmp_path / "cluster") as address:
        Path("runtime.yaml").write_text(yaml.safe_dump(runtime | {"scheduler": address}))
        done = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "9 frames, 0 unreadable" in done.stdout
    assert contents(region_project / "data/regions") == whole
