"""Regions of recorded nuScenes sweeps against labelled points and known counts."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from pipeline.frames.points import read_points
from pipeline.params import Runtime
from pipeline.regions.builder import build_regions
from pipeline.regions.ids import GROUND
from pipeline.regions.segmentation import segment
from pipeline.regions.store import RegionStore
from tests.reference.regions import fit_ground, paper_regions

PAPER = paper_regions()
ROOT = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
LABELLED_GROUND = (11, 12, 13, 14)  # drivable, other flat, sidewalk, terrain of the 16 lidarseg classes; 0 is ignored

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not (ROOT / "v1.0-mini").is_dir(), reason=f"no recorded nuScenes data at {ROOT}"),
]


def table(name: str) -> list[dict[str, Any]]:
    rows = json.loads((ROOT / "v1.0-mini" / f"{name}.json").read_text())
    assert isinstance(rows, list)
    return rows


def keyframes() -> dict[str, Path]:
    """LIDAR_TOP files of key frames by sample_data token, in the order of time."""
    rows = sorted(table("sample_data"), key=lambda row: int(row["timestamp"]))
    return {
        row["token"]: ROOT / row["filename"] for row in rows if row["is_key_frame"] and "/LIDAR_TOP/" in row["filename"]
    }


def test_store_of_every_keyframe(tmp_path: Path) -> None:
    files = keyframes()
    assert len(files) == 14
    sweeps = [(path, len(read_points(path))) for path in files.values()]
    runtime = Runtime(workers=1, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0)
    path = build_regions(PAPER, sweeps, read_points, identity="recorded", scratch=tmp_path, runtime=runtime)
    store = RegionStore.open(path, PAPER)
    for position, (token, (file, points)) in enumerate(zip(files, sweeps, strict=True)):
        ids = store.read(position, points)
        share = (ids == GROUND).mean()
        assert 0.3 < share < 0.6, f"{share:.2f} of {token} is ground"
        kept = store.manifest.column("kept")[position]
        assert 10 <= kept <= 40
        assert set(ids[ids >= 0].tolist()) == set(range(kept))
        assert store.manifest.column("ego")[position] >= 1, f"the own car in {file.name}"
    assert sum(path.stat().st_size for path in path.rglob("*")) < 14 * 40_000


@pytest.mark.parametrize("method", ["plane_fit", "patchwork"])
def test_ground_against_labelled_points(method: Literal["plane_fit", "patchwork"]) -> None:
    files = keyframes()
    hits = union = 0
    rows = table("lidarseg16")
    assert len(rows) == 11
    for row in rows:
        labels = np.fromfile(ROOT / row["filename"], np.uint8)
        points = read_points(files[row["sample_data_token"]])
        ground = segment(points, replace(PAPER, ground=method)).ids == GROUND
        known, truth = labels > 0, np.isin(labels, LABELLED_GROUND)
        hits += int((ground & truth & known).sum())
        union += int(((ground | truth) & known).sum())
    assert hits / union >= 0.80  # measured: 0.852 (plane_fit), 0.857 (patchwork)


def test_both_backends_on_every_keyframe() -> None:
    for path in list(keyframes().values())[::5]:
        points = read_points(path)
        assert np.array_equal(segment(points, PAPER).ids, segment(points, replace(PAPER, clustering="sklearn")).ids)


def test_counts_of_the_reference_sweep() -> None:
    """An independent implementation found 17 890 points above ground in 176 clusters, 27 of them kept.

    It ran the last slab to x = 56 m instead of 54, took no point beyond for ground and applied no aspect filter; its
    own car's box was 3 m x 3 m, in which the bonnet survives. The exact numbers here are ours.
    """
    (file,) = [path for path in keyframes().values() if "1532402927647951" in path.name]
    points = read_points(file)
    counts = segment(points, PAPER).counts
    assert (counts["points"], counts["ground"], counts["clusters"], counts["kept"]) == (34_688, 16_851, 174, 22)
    assert abs(counts["points"] - counts["ground"] - 17_890) < 100
    assert abs(counts["clusters"] - 176) <= 2
    loose = replace(PAPER, min_aspect=0.0, ego_length=3.0, ego_width=3.0)
    assert segment(points, loose).counts["kept"] == 27
    assert np.array_equal(segment(points, PAPER).ids == GROUND, fit_ground(points, PAPER))


def test_speed_of_a_real_sweep() -> None:
    points = read_points(next(iter(keyframes().values())))
    segment(points, PAPER)
    spent = []
    for _ in range(5):
        start = time.process_time()
        segment(points, PAPER)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.15  # 0.016 s on an idle core; the rest is for busy machines
