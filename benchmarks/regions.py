"""What does the region cache cost, from sensor file to written shard, and against what others would run?

    python -m benchmarks.regions paper calico+ --sweeps ROOT/samples/LIDAR_TOP
    python -m benchmarks.regions paper --simulated 8

A preset is a file of conf/regions. Baseline (a) is `sklearn.cluster.DBSCAN` with its default settings, on the same
coordinates after the same ground removal, each time that the preset clusters; (b) is Open3D's DBSCAN where that package
is installed. Every build runs in a process of its own, so that its memory can be told.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.cluster import DBSCAN

from benchmarks.processes import in_process, status_mb
from benchmarks.region_quality import load_preset
from pipeline.errors import user_errors
from pipeline.frames.points import read_points
from pipeline.params import Regions, Runtime, Simulate
from pipeline.regions.builder import Sweep, build_regions
from pipeline.regions.clustering import cluster, split_clusters, transform
from pipeline.regions.filters import find_oversized, judge_clusters, measure_clusters
from pipeline.regions.ground import find_ground
from pipeline.regions.layout import Layout, encode_shard
from pipeline.regions.segmentation import segment
from pipeline.regions.store import RegionStore
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.simulation.world import build_world

FRAMES_PER_SHARD = 256
KEY_FRAMES = 34_149  # of nuScenes trainval
BLOB = 200_000  # points in one square metre


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        sweeps = list_sweeps(options.sweeps) if options.sweeps else simulate_sweeps(Path(folder), options.simulated)
        tables = []
        for name in options.presets:
            params = load_preset(name, [f"regions.frames_per_shard={FRAMES_PER_SHARD}"])
            tables += [
                time_steps(name, params, sweeps, options.repeats),
                compare_clustering(name, params, sweeps, options.repeats),
                time_builds(name, params, sweeps, options.shards, Path(folder) / name),
                time_blob(name, params),
            ]
    print_tables(tables, [], Console(width=160))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--sweeps", type=Path, metavar="FOLDER", help="of nuScenes .pcd.bin files")
    parser.add_argument("--simulated", type=int, default=4, help="scenes to simulate at full size without --sweeps")
    parser.add_argument("--shards", type=int, default=4, help=f"of {FRAMES_PER_SHARD} frames, the sweeps in turn")
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()


def list_sweeps(folder: Path) -> list[Sweep]:
    return [(path.absolute(), len(read_points(path))) for path in sorted(folder.glob("*.pcd.bin"))]


def simulate_sweeps(root: Path, scenes: int) -> list[Sweep]:
    sizes = Simulate(
        seed=1, azimuth_steps=1084, range_noise=0.02, dropout=0.03, max_range=100.0, image_width=64, image_height=36,
        jpeg_quality=80, train_scenes=max(scenes - 1, 1), val_scenes=1, keyframes_per_scene=2,
    )  # fmt: skip
    build_world(sizes, "v1.0-simulated", root, Runtime(1, None, "cpu", 1, 0, 60.0))
    return list_sweeps(root / "samples" / "LIDAR_TOP")


def time_steps(name: str, params: Regions, sweeps: Sequence[Sweep], repeats: int) -> Table:
    """Milliseconds of every step on one core: over the sweeps the median and the largest of the best of `repeats`."""
    rows: dict[str, list[float]] = {}
    for path, _ in sweeps:
        for step, work in steps(path, params).items():
            rows.setdefault(step, []).append(best(work, repeats))
    return Table(
        f"{name}: steps of a sweep, one core",
        f"milliseconds over {len(sweeps)} sweeps of {np.median([n for _, n in sweeps]):.0f} points (median)",
        ["step", "median", "largest"],
        [[step, f"{np.median(times):.2f}", f"{max(times):.2f}"] for step, times in rows.items()],
    )


def steps(path: Path, params: Regions) -> dict[str, Callable[[], Any]]:
    points = read_points(path)
    above = points[~find_ground(points, params)]
    labels = cluster(above, params)
    shapes = measure_clusters(above, labels, params)
    oversized = find_oversized(shapes, params)
    ids = segment(points, params).ids
    together = [ids] * 32
    layout = Layout(32, len(ids), 32)
    found: dict[str, Callable[[], Any]] = {
        "read the file": lambda: read_points(path),
        "ground removal": lambda: find_ground(points, params),
        "DBSCAN": lambda: cluster(above, params),
        "shapes and filters": lambda: judge_clusters(measure_clusters(above, labels, params), params),
        "all of the segmentation": lambda: segment(points, params),
        "encode 32 of it as a shard": lambda: encode_shard(layout, 0, together),
    }
    if params.split_eps is not None:
        found["DBSCAN of what is oversized"] = lambda: split_clusters(above, labels, oversized, params)
    return found


def compare_clustering(name: str, params: Regions, sweeps: Sequence[Sweep], repeats: int) -> Table:
    """Ground removal and clustering alone: what the baselines offer."""
    ours, theirs, others = [], [], []
    for path, _ in sweeps:
        points = read_points(path)
        above = points[~find_ground(points, params)]
        parts = clustered_sets(above, params)
        ground = best(lambda points=points: find_ground(points, params), repeats)  # type: ignore[misc]
        split = params.split_eps is not None

        def own(above: NDArray[np.float32] = above, split: bool = split) -> None:
            labels = cluster(above, params)
            if split:
                oversized = find_oversized(measure_clusters(above, labels, params), params)
                split_clusters(above, labels, oversized, params)

        ours.append(ground + best(own, repeats))
        theirs.append(ground + sum(best(lambda p=part: scikit(*p), 2) for part in parts))  # type: ignore[misc]
        if find_spec("open3d"):
            others.append(ground + sum(best(lambda p=part: open3d(*p), 2) for part in parts))  # type: ignore[misc]
    rows = [["this project", f"{np.median(ours):.1f}", "1"]]
    for label, times in (("(a) scikit-learn", theirs), ("(b) Open3D", others)):
        if times:
            ratio = np.median(np.array(times) / np.array(ours))
            rows.append([label, f"{np.median(times):.1f}", f"{ratio:.0f}"])
        else:
            rows.append([label, "not installed", "-"])
    return Table(
        f"{name}: ground removal and clustering, one core", "milliseconds a sweep (median), ratio",
        ["", "ms", "times ours"], rows,
    )  # fmt: skip


def clustered_sets(
    above: NDArray[np.float32], params: Regions
) -> list[tuple[NDArray[np.float64], float, int]]:  # fmt: skip
    """Coordinates, eps and min_samples of every DBSCAN that the preset runs on a sweep."""
    sets = [(transform(above, params), params.eps, params.min_samples)]
    labels = cluster(above, params)
    oversized = find_oversized(measure_clusters(above, labels, params), params)
    if params.split_eps is not None and oversized.any():
        again = np.append(oversized, False)[labels]
        sets.append((transform(above[again], params), params.split_eps, params.split_min_samples))
    return sets


def scikit(coordinates: NDArray[np.float64], eps: float, min_samples: int) -> None:
    DBSCAN(eps=eps, min_samples=min_samples).fit(coordinates)


def open3d(coordinates: NDArray[np.float64], eps: float, min_samples: int) -> None:
    import open3d as o3d  # type: ignore[import-not-found]

    flat = np.pad(coordinates, ((0, 0), (0, 3 - coordinates.shape[1])))
    o3d.geometry.PointCloud(o3d.utility.Vector3dVector(flat)).cluster_dbscan(eps, min_samples)


def time_builds(name: str, params: Regions, sweeps: Sequence[Sweep], shards: int, scratch: Path) -> Table:
    """Whole builds, file to written shard: one process, and the dask engine on all cores; then reading back."""
    cores = os.cpu_count() or 1
    frames = list(islice(cycle(sweeps), shards * FRAMES_PER_SHARD))
    rows = []
    for workers in (1, cores):
        seconds, peak, store = in_process(build, params, frames, scratch / str(workers), workers)
        size = sum(path.stat().st_size for path in (store / "ids.zarr").rglob("*") if path.is_file())
        rows += [
            [f"{workers} process(es): ms a sweep a core", f"{1e3 * seconds * workers / len(frames):.1f}"],
            [f"{workers} process(es): sweeps a second, start of the workers included", f"{len(frames) / seconds:.0f}"],
            [f"{workers} process(es): peak memory of the process that computes, MB", f"{peak:.0f}"],
        ]
    rows.append(
        [f"core-minutes for {KEY_FRAMES} key frames, one process", f"{float(rows[0][1]) * KEY_FRAMES / 6e4:.1f}"]
    )
    opened = RegionStore.open(store, params)
    read = [best(lambda i=i: opened.read(i, frames[i][1]), 3) for i in range(0, len(frames), 7)]  # type: ignore[misc]
    rows.append(["bytes a frame", f"{size / len(frames):.0f}"])
    rows.append(["reading a frame, ms (median)", f"{np.median(read):.2f}"])
    return Table(f"{name}: whole builds of {len(frames)} frames", f"{cores} cores", ["", ""], rows)


def build(params: Regions, frames: list[Sweep], scratch: Path, workers: int) -> tuple[float, float, Path]:
    """Seconds, peak memory in MB of the process that computed, the store."""
    runtime = Runtime(workers, None, "cpu", 1, 0, 60.0)
    segment(np.zeros((9, 3), np.float32), params)  # loads what numba compiled
    start = time.perf_counter()
    store = build_regions(params, frames, read_points, identity="benchmark", scratch=scratch, runtime=runtime)
    seconds = time.perf_counter() - start
    largest_child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return seconds, largest_child if workers > 1 else status_mb("VmHWM"), store


def time_blob(name: str, params: Regions) -> Table:
    seconds, peak = in_process(segment_blob, params)
    rows = [["seconds", f"{seconds:.2f}"], ["peak memory of the process, MB", f"{peak:.0f}"]]
    return Table(f"{name}: adversarial blob, {BLOB} points in 1 m2", "", ["", ""], rows)


def segment_blob(params: Regions) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    points = np.zeros((BLOB, 5), np.float32)
    points[:, :3] = rng.uniform([5, 5, -1], [6, 6, 0], (BLOB, 3))
    segment(points[:99], params)
    start = time.perf_counter()
    segment(points, params)
    return time.perf_counter() - start, status_mb("VmHWM")


def best(work: Callable[[], Any], repeats: int) -> float:
    """Milliseconds of the fastest run."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


if __name__ == "__main__":
    with user_errors():
        main()
