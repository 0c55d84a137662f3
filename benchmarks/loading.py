"""How fast do frames load at the size of the paper: this project against PIL and the devkit, on the same frames.

    python -m benchmarks.loading                   # a simulated drive of full size
    python -m benchmarks.loading --nuscenes ROOT   # recorded sweeps and images (links) on the poses of that drive

A frame: the key frame and nine sweeps, six JPEGs of 1600 x 900 to [6, 3, 256, 704], both augmented. Files are in the
page cache. Times of one process are CPU time on one thread, so that neighbours on the machine count less.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from multiprocessing import active_children
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from rich.console import Console
from torch.utils.data import DataLoader

from benchmarks.straightforward import StraightforwardLoader
from pipeline.configure import compose
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.images import DEVIATION, MEAN
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.params import Dataset, Params, Runtime
from pipeline.process import calm_numpy, keep_freed_memory
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.simulation.world import build_world
from pipeline.strict_yaml import build_model

VERSION = "v1.0-embedded"
VIEWS = 8  # frames by epoch, each another augmentation
AHEAD = 2  # batches that load while one is used
LEVELS = 255 * DEVIATION.reshape(3, 1, 1)  # 8-bit levels a unit of normalised pixels
BLACK = torch.from_numpy((0.5 / 255 - MEAN) / DEVIATION).reshape(3, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nuscenes", type=Path, metavar="ROOT", help="samples and sweeps of recorded nuScenes")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as every training does; both loaders gain by it
    calm_numpy()
    params = build_model(Params, yaml.safe_load(compose(Path("conf"), ["scale=paper"])), "params.yaml")
    with tempfile.TemporaryDirectory() as folder:
        root, out = Path(folder, "world"), Path(folder, "index")
        index = write_frames(params, root, out, options.nuscenes)
        theirs = StraightforwardLoader(
            root, VERSION, index.tokens, params.frames, params.networks.grid, params.finetune.augmentation
        )
        tables = [
            speed(params, index, theirs, options.repeats),
            agreement(params, index, theirs),
            workers(params, index, theirs),
        ]
    print_tables(tables, [], Console(width=120))


def write_frames(params: Params, root: Path, out: Path, recorded: Path | None) -> FrameIndex:
    """Four key frames with nine sweeps each; `recorded` files take the place of the simulated ones."""
    root.mkdir()
    out.mkdir()
    world = replace(params.simulate, train_scenes=1, val_scenes=1, keyframes_per_scene=2)
    build_world(world, VERSION, root, Runtime(1, None, "cpu", 1, 0, 60.0))
    for channel in ("LIDAR_TOP", *CAMERA_CHANNELS) if recorded else ():
        files = cycle(sorted(p for top in ("samples", "sweeps") for p in (recorded / top / channel).glob("*")))
        for file in sorted(p for top in ("samples", "sweeps") for p in (root / top / channel).glob("*")):
            file.unlink()
            file.symlink_to(next(files).resolve())
    train = "embedded_train"
    build_index(Dataset("embedded", str(root), VERSION, [], train, train, "embedded_val", {}), out)
    return FrameIndex.open(out, root)


def our_loader(params: Params, index: FrameIndex, images: bool = True, processes: int = 0) -> FrameLoader:
    return FrameLoader(
        index, params.frames, params.networks.grid, images=images, augmentation=params.finetune.augmentation,
        processes=processes,
    )  # fmt: skip


def speed(params: Params, index: FrameIndex, theirs: StraightforwardLoader, repeats: int) -> Table:
    """One thread: the loaders take turns, eight views each; of every view the best time of `repeats` counts."""
    whole, points = our_loader(params, index), our_loader(params, index, images=False)
    tasks: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "points": (lambda k: theirs.points(place(index, k)[1], k), lambda k: points.load([place(index, k)[0]], k)),
        "points and images": (lambda k: theirs[k], lambda k: whole.load([place(index, k)[0]], k)),
    }
    rows = []
    for name, pair in tasks.items():
        times = np.array([[[cpu_time(load, k) for k in range(VIEWS)] for load in pair] for _ in range(repeats)])
        slow, fast = times.min(0).mean(1)
        cells = f"{1e3 * slow:.0f}", f"{1e3 * fast:.0f}", f"{1 / slow:.1f}", f"{1 / fast:.1f}", f"{slow / fast:.1f}"
        rows.append([name, *cells])
    header = ["", "PIL, devkit: ms", "ours: ms", "PIL, devkit: frames/s", "ours: frames/s", "ratio"]
    return Table(f"one core: mean over {VIEWS} views, best of {repeats} times each", "", header, rows)


def cpu_time(load: Callable[[int], object], k: int) -> float:
    start = time.process_time()
    load(k)
    return time.process_time() - start


def agreement(params: Params, index: FrameIndex, theirs: StraightforwardLoader) -> Table:
    """The same augmentation: differences of points, and of pixels in 8-bit levels where both show the image.

    ImageAug3D crops before it rotates, so its corners are black where ours still show the image.
    """
    ours = our_loader(params, index)
    still = replace(params.finetune.augmentation, image_rotation=0.0)
    straight = FrameLoader(index, params.frames, params.networks.grid, images=True, augmentation=still)
    variants = {
        "pixels, as ImageAug3D": (ours, theirs),
        "pixels, PIL rotates bilinearly": (ours, replace(theirs, smooth=True)),
        "pixels, no rotation": (straight, replace(theirs, ranges=still)),
    }
    rows = []
    for name, (mine, other) in variants.items():
        differences, shown = [], []
        for k in range(VIEWS):
            position, token = place(index, k)
            images = mine.load([position], k).images
            assert images is not None
            reference = other.images(token, k)
            both = ((images[0] > BLACK).any(1) & (reference > BLACK).any(1)).numpy().astype(np.uint8)
            inside = np.stack([cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=1) for mask in both]).astype(bool)
            difference = np.abs((images[0] - reference).numpy() * LEVELS).transpose(0, 2, 3, 1)
            differences.append(difference[inside].reshape(-1))
            shown.append(inside.mean())
        every = np.concatenate(differences)
        levels = f"{every.mean():.2f}", f"{np.percentile(every, 99):.1f}", f"{every.max():.0f}"
        rows.append([name, *levels, f"{100 * np.mean(shown):.0f} %"])
    points = []
    for k in range(VIEWS):
        position, token = place(index, k)
        pair = ours.load([position], k, crop=False).points, theirs.points(token, k, crop=False)
        assert pair[0].shape == pair[1].shape, "the loaders give different numbers of points"
        points.append((pair[0] - pair[1])[:, :3].abs())
    every_point = torch.cat(points).numpy()
    millimetres = (
        f"{1e3 * every_point.mean():.4f}",
        f"{1e3 * np.percentile(every_point, 99):.3f}",
        f"{1e3 * every_point.max():.3f}",
    )
    rows.append(["points, mm", *millimetres, "100 %"])
    header = ["", "mean", "99th percentile", "maximum", "compared"]
    return Table(f"absolute difference, {VIEWS} views", "", header, rows)


def workers(params: Params, index: FrameIndex, theirs: StraightforwardLoader) -> Table:
    """Spawned processes: frames a second of wall time once they run, and the largest peak of memory of one."""
    rows = []
    for processes in (1, 2):
        slow, their_memory = measure(their_batches(theirs, processes))
        fast, our_memory = measure(our_batches(our_loader(params, index, processes=processes), index))
        cells = f"{slow:.1f}", f"{fast:.1f}", f"{fast / slow:.1f}", f"{their_memory:.0f}", f"{our_memory:.0f}"
        rows.append([str(processes), *cells])
    header = ["", "PIL, devkit: frames/s", "ours: frames/s", "ratio", "PIL, devkit: MB each", "ours: MB each"]
    return Table("spawned processes: wall time, peak resident memory", "", header, rows)


def measure(batches: Iterator[object]) -> tuple[float, float]:
    """Frames a second, the best of three rounds after one to start, and the peak resident memory of a process in MB."""
    rounds = []
    for _ in range(4):
        start = time.perf_counter()
        for _ in range(VIEWS):
            next(batches)
        rounds.append(time.perf_counter() - start)
    rate = VIEWS / min(rounds[1:])
    pids = [child.pid for child in active_children() if "resource_tracker" not in child.name]
    return rate, max(peak_memory(pid) for pid in pids if pid is not None)


def peak_memory(pid: int) -> float:
    """MB, the high-water mark of the resident set."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1000


def our_batches(loader: FrameLoader, index: FrameIndex) -> Iterator[object]:
    """Single frames, as `loader_threads` would load them ahead."""
    with ThreadPoolExecutor(AHEAD) as pool:
        waiting = [pool.submit(loader.load, [place(index, k)[0]], k) for k in range(AHEAD)]
        k = AHEAD
        while True:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(loader.load, [place(index, k)[0]], k))
            k += 1


def their_batches(loader: StraightforwardLoader, processes: int) -> Iterator[object]:
    return iter(
        DataLoader(
            loader, batch_size=None, num_workers=processes, multiprocessing_context="spawn", prefetch_factor=AHEAD
        )
    )


def place(index: FrameIndex, k: int) -> tuple[int, str]:
    """Position and token of frame k, counted round and round."""
    position = k % len(index)
    return position, index.tokens[position]


if __name__ == "__main__":
    main()
