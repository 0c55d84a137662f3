"""What do the LiDAR encoders cost at paper size, against mmdetection3d's formulation?

    python -m benchmarks.pillars --data ROOT              # ROOT: a nuScenes folder; the sweeps of one scene, stacked
    python -m benchmarks.pillars                          # simulated points instead

The baseline is the padded twin of tests/reference: its voxelisation is mmcv's loop compiled by numba, its network and
scatter are mmdetection3d's operations on the same torch. Both sides take turns, so that other load meets both; they use
glibc's allocator as trainings set it. Memory is the peak of a process of its own, less the level before.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from benchmarks.processes import in_process, status_mb
from pipeline.errors import user_errors
from pipeline.frames.points import read_points
from pipeline.frames.recording import Recording
from pipeline.geometry.grid import BevGrid
from pipeline.geometry.transforms import transform_points
from pipeline.networks.capped_pillars import CappedPillarEncoder
from pipeline.networks.layers import NORM_MOMENTUM, to_channels_last
from pipeline.networks.pillars import PillarEncoder
from pipeline.networks.second import Second, SecondFpn
from pipeline.process import keep_freed_memory
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from tests.reference.padded_pillars import PaddedPillarNet, hard_voxelize, scatter

REACH, CELL, Z_MIN, Z_MAX = 51.2, 0.2, -5.0, 3.0
LOW, SIDES = np.array([-REACH, -REACH, Z_MIN], np.float32), np.array([CELL, CELL, Z_MAX - Z_MIN], np.float32)
GRID = BevGrid(REACH, CELL)
CHANNELS, MAX_POINTS, MAX_PILLARS = [64, 64], 20, 60_000
POINTS = 271_156  # of the cloud that mmdetection3d's own times were taken on
BLOCKS, LAYERS, NECK = [64, 128, 256], [3, 5, 5], [128, 128, 128]


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    cloud = load_cloud(options.data, options.scene) if options.data else simulate_cloud()
    questions: dict[str, Callable[[], Table]] = {
        "encoders": lambda: time_encoders(cloud, options.repeats),
        "memory": lambda: measure_memory(cloud),
        "backbone": lambda: time_backbone(options.repeats),
        "voxels": lambda: time_voxels(cloud, options.repeats),
    }
    for name in options.only:
        print_tables([questions[name]()], [], Console(width=140))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="ROOT", help="a nuScenes folder with the table folder v1.0-mini")
    parser.add_argument("--scene", default="scene-0006")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    questions = ["encoders", "memory", "backbone", "voxels"]
    parser.add_argument("--only", nargs="+", choices=questions, default=questions)
    return parser.parse_args()


def load_cloud(root: Path, scene: str) -> Tensor:
    """float32 [POINTS, 5]: the scene's key frames as sweeps of its last one, ego motion compensated, newest first."""
    frames = [frame for frame in Recording(root, "v1.0-mini").frames() if frame.scene == scene]
    parts: list[NDArray[np.float32]] = []
    for number, frame in enumerate(reversed(frames)):
        points = read_points(root / frame.lidar_path)
        points = points[(np.abs(points[:, :2]) >= 1).any(1)]
        newest_from_this = np.linalg.inv(frames[-1].global_from_lidar) @ frame.global_from_lidar
        points[:, :3] = transform_points(newest_from_this, points[:, :3])
        points[:, 4] = 0.05 * number
        parts.append(points)
    return torch.from_numpy(np.concatenate(parts)[:POINTS])


def simulate_cloud() -> Tensor:
    """Density falling with distance as in a stack of real sweeps; about 30,000 to 40,000 pillars."""
    rng = np.random.default_rng(0)
    distance, angle = rng.exponential(14, POINTS) + 2, rng.uniform(0, 2 * np.pi, POINTS)
    points = rng.uniform(0, 0.5, (POINTS, 5)).astype(np.float32)
    points[:, 0], points[:, 1] = distance * np.cos(angle), distance * np.sin(angle)
    points[:, 2] = rng.normal(-1.5, 0.8, POINTS)
    return torch.from_numpy(points)


class Upstream(nn.Module):
    """The baseline: voxelise, pad, encode, scatter."""

    def __init__(self) -> None:
        super().__init__()
        self.voxelize: Any = numba.njit(hard_voxelize)
        self.net = PaddedPillarNet(CHANNELS, LOW, SIDES, NORM_MOMENTUM)

    def group(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        grid = np.array([GRID.size, GRID.size, 1])
        voxels, coordinates, counts = self.voxelize(points.numpy(), LOW, SIDES, grid, MAX_POINTS, MAX_PILLARS)
        return torch.from_numpy(voxels), torch.from_numpy(coordinates), torch.from_numpy(counts)

    def scatter(self, encoded: Tensor, coordinates: Tensor) -> Tensor:
        return scatter(encoded, coordinates, torch.zeros(len(encoded), dtype=torch.int64), 1, GRID.size)

    def forward(self, points: Tensor) -> Tensor:
        voxels, coordinates, counts = self.group(points)
        return self.scatter(self.net(voxels, coordinates, counts), coordinates)


def build(name: str) -> Callable[[Tensor], Tensor]:
    torch.manual_seed(0)
    if name == "padded":
        return Upstream()
    encoder: PillarEncoder | CappedPillarEncoder
    if name == "capped":
        encoder = CappedPillarEncoder(CHANNELS, GRID, Z_MIN, Z_MAX, MAX_POINTS, [MAX_PILLARS, MAX_PILLARS])
    else:
        encoder = PillarEncoder(CHANNELS, GRID, Z_MIN, Z_MAX)
    return Encoder(encoder)


class Encoder(nn.Module):
    def __init__(self, encoder: PillarEncoder | CappedPillarEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, points: Tensor) -> Tensor:
        result: Tensor = self.encoder(points, torch.tensor([0, len(points)]))
        return result


def time_encoders(cloud: Tensor, repeats: int) -> Table:
    names = ["padded", "capped", "dynamic"]
    encoders = {name: build(name) for name in names}
    padded, capped = encoders["padded"], encoders["capped"]
    assert isinstance(padded, Upstream) and isinstance(capped, Encoder)
    weights = capped.encoder.state_dict()
    weights["layers.0.linear.weight"] = weights["layers.0.linear.weight"] * torch.tensor(capped.encoder._scale)
    padded.net.load_state_dict(weights)
    for encoder in encoders.values():
        assert isinstance(encoder, nn.Module)
        encoder.eval()
    with torch.no_grad():
        groups = padded.group(cloud)
        encoded = padded.net(*groups)
        difference = float((padded(cloud) - capped(cloud)).abs().max())
        works: dict[str, Callable[[], Any]] = {name: partial(encoders[name], cloud) for name in names}
        works["padded: voxelise"] = partial(padded.group, cloud)
        works["padded: pillar feature net"] = partial(padded.net, *groups)
        works["padded: scatter"] = partial(padded.scatter, encoded, groups[1])
        forward = alternate(works, repeats)
    for encoder in encoders.values():
        assert isinstance(encoder, nn.Module)
        encoder.train()
    steps = alternate({name: partial(step, encoders[name], cloud) for name in names}, max(3, repeats // 2))
    rows = [row(name, forward[name], forward["padded"]) for name in works]
    rows += [row(f"{name}, training: forward + backward", steps[name], steps["padded"]) for name in names]
    return Table(
        "Encoding: voxelise, pillar feature net, scatter to 64 x 512 x 512",
        f"{len(cloud)} points, {len(groups[0])} pillars, {int(groups[2].sum())} points within {MAX_POINTS} a pillar; "
        f"{torch.get_num_threads()} threads; largest difference of capped to padded {difference:.1e}",
        ["", "ms, fastest", "median", "times faster"],
        rows,
    )


def step(encoder: Callable[[Tensor], Tensor], cloud: Tensor) -> None:
    torch.autograd.backward(encoder(cloud).sum())


def measure_memory(cloud: Tensor) -> Table:
    """Peak of the encoding less the map that it returns."""
    rows = []
    for name in ("padded", "capped", "dynamic"):
        cells = []
        for share in (1.0, 0.25):
            mixed = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(0))
            points = cloud[mixed[: int(share * len(cloud))]].numpy()
            cells += [f"{in_process(encode_once, name, points, training):.0f}" for training in (False, True)]
        rows.append([name, *cells])
    header = [f"{share}, {mode}" for share in ("all points", "a quarter") for mode in ("eval", "train")]
    return Table(
        "Encoding: peak memory, MB, the returned map of 67 MB included",
        "train: forward and backward; random subsets of the points",
        ["", *header],
        rows,
    )


def encode_once(name: str, points: NDArray[np.float32], training: bool) -> float:
    encoder = build(name)
    assert isinstance(encoder, nn.Module)
    encoder.train(training)
    run: Callable[[Tensor], Any] = partial(step, encoder) if training else encoder
    with torch.set_grad_enabled(training):
        run(torch.from_numpy(points[:50]))  # compiles, loads
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts at the present level
        before = status_mb("VmHWM")
        run(torch.from_numpy(points))
    return status_mb("VmHWM") - before


class PlainBackbone(nn.Module):
    """SECOND and SECONDFPN as upstream writes them, contiguous memory."""

    def __init__(self) -> None:
        super().__init__()

        def block(layer: nn.Module, width: int) -> list[nn.Module]:
            return [layer, nn.BatchNorm2d(width, eps=1e-3, momentum=0.01), nn.ReLU(inplace=True)]

        self.blocks, self.deblocks = nn.ModuleList(), nn.ModuleList()
        for number, (width, depth) in enumerate(zip(BLOCKS, LAYERS, strict=True)):
            before = BLOCKS[max(number - 1, 0)]
            parts = block(nn.Conv2d(before, width, 3, 2, 1, bias=False), width)
            for _ in range(depth):
                parts += block(nn.Conv2d(width, width, 3, padding=1, bias=False), width)
            self.blocks.append(nn.Sequential(*parts))
        layers = [nn.Conv2d(64, 128, 2, 2, bias=False), nn.ConvTranspose2d(128, 128, 1, 1, bias=False)]
        layers.append(nn.ConvTranspose2d(256, 128, 2, 2, bias=False))
        self.deblocks.extend(nn.Sequential(*block(layer, 128)) for layer in layers)

    def forward(self, bev: Tensor) -> Tensor:
        maps = []
        for number, part in enumerate(self.blocks):
            bev = part(bev)
            maps.append(self.deblocks[number](bev))
        return torch.cat(maps, 1)


def time_backbone(repeats: int) -> Table:
    ours = nn.Sequential(Second(64, BLOCKS, LAYERS, [2, 2, 2]), SecondFpn(BLOCKS, [2, 4, 8], NECK, 4)).eval()
    to_channels_last(ours)
    plain = PlainBackbone().eval()
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    bev = torch.rand(1, 64, 512, 512)
    last = bev.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        difference = float((ours(last) - plain(bev)).abs().max())
        times = alternate({"plain": partial(plain, bev), "this project": partial(ours, last)}, max(3, repeats // 2))
    return Table(
        "SECOND and SECONDFPN, 64 x 512 x 512 to 384 x 128 x 128, forward",
        f"each on the memory layout that its encoder returns; largest difference {difference:.1e}",
        ["", "ms, fastest", "median", "times faster"],
        [row(name, times[name], times["plain"]) for name in times],
    )


def time_voxels(cloud: Tensor, repeats: int) -> Table:
    from pipeline.networks.voxels import VoxelEncoder

    encoder = VoxelEncoder([16, 32, 64, 128], BevGrid(REACH, 0.1), Z_MIN, Z_MAX, 0.2).eval()
    offsets = torch.tensor([0, len(cloud)])
    with torch.no_grad():
        count = len(encoder._voxels(cloud, offsets)[0])
        works = {
            "voxelise": partial(encoder._voxels, cloud, offsets),
            "voxelise and sparse encoder": partial(encoder, cloud, offsets),
        }
        times = alternate(works, max(3, repeats // 3))
    return Table(
        "VoxelNet's encoder, 0.1 x 0.1 x 0.2 m to 256 x 128 x 128, forward, no baseline",
        f"{count} voxels",
        ["", "ms, fastest", "median"],
        [row(name, times[name], times[name])[:3] for name in times],
    )


def alternate(works: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every run; the works take turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if repeat:  # the first one warms up
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def row(name: str, times: Sequence[float], baseline: Sequence[float]) -> list[str]:
    ratio = min(baseline) / min(times)
    return [name, f"{min(times):.0f}", f"{np.median(times):.0f}", f"{ratio:.1f}"]


if __name__ == "__main__":
    with user_errors():
        main()
