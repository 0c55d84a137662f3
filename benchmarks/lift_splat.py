"""What does lifting image features into the BEV grid cost, formulation by formulation?

    python -m benchmarks.lift_splat

Paper size: 6 cameras, 32 x 88 feature cells, 118 depth bins, 80 channels, 256 x 256 BEV cells, one frame. Every
formulation gets the same depth distributions, context features and camera matrices, finds the cells, and splats. Each
runs in a process of its own, so that its peak memory can be told: the growth of VmHWM over its first pass.
"""

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from benchmarks.processes import in_process, status_mb
from pipeline.geometry.grid import BevGrid
from pipeline.networks.lift_splat import depth_bins, feature_pixels, frustum_cells
from pipeline.networks.splat import SplatPlan, plan_splat, splat
from pipeline.params import LidarLayout
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.simulation.rig import lidar_translation, make_cameras

CHANNELS, SIZE, FEATURES = 80, (256, 704), (32, 88)
GRID = BevGrid(51.2, 0.4)
BASELINE = "cumsum trick"
NO_GRADIENT = "torch.sparse CSR"  # torch refuses a gradient where a pixel hits a cell at two depths


@dataclass(frozen=True)
class Scene:
    """Inputs of one frame; `context` [Q, C] and `probabilities` [Q, D] take gradients."""

    matrices: Tensor
    frame: Tensor
    pixels: Tensor
    depths: Tensor
    context: Tensor
    probabilities: Tensor

    def cells(self) -> Tensor:
        """int32 [Q, D]."""
        cells = frustum_cells(self.matrices, self.frame, self.pixels, self.depths, GRID)
        return cells.reshape(len(self.context), -1)


def main() -> None:
    options = parse()
    for backward in (False, True):
        names = [name for name in options.only or FORMULATIONS if not (backward and name == NO_GRADIENT)]
        results = {
            name: in_process(measure, name, backward, options.repeats, options.threads, options.clock) for name in names
        }
        seconds, megabytes = results.get(BASELINE, (math.nan, math.nan))
        rows = [
            [name, f"{own:.0f}", f"{grown:.0f}", f"{seconds / own:.1f}", f"{megabytes / grown:.1f}"]
            for name, (own, grown) in results.items()
        ]
        note = (
            f"{options.clock} time, fastest of {options.repeats} on {options.threads} thread(s); "
            "growth of the peak memory in the first pass"
        )
        heads = ["formulation", "ms", "MB", f"{BASELINE} / this, ms", "MB"]
        title = "lift-splat at paper size, " + ("forward + backward" if backward else "forward")
        print_tables([Table(title, note, heads, rows)], [], Console(width=120))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(FORMULATIONS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: where others use the machine")
    return parser.parse_args()


def measure(name: str, backward: bool, repeats: int, threads: int, clock: str) -> tuple[float, float]:
    """Milliseconds of the fastest run, and MB by which the first one raised the peak memory of this new process."""
    warnings.simplefilter("ignore", UserWarning)  # sparse CSR tensors call themselves a beta feature
    torch.set_num_threads(threads)
    scene, function = make_scene(), FORMULATIONS[name]
    gradient = torch.randn(GRID.size**2, CHANNELS)
    wake()

    def work() -> None:
        if backward:
            torch.autograd.grad(function(scene), [scene.context, scene.probabilities], gradient)
        else:
            with torch.no_grad():
                function(scene)

    grown = growth(work)
    return best(work, repeats, time.perf_counter if clock == "wall" else time.process_time), grown


def make_scene() -> Scene:
    """The recorded nuScenes rig at the paper's image size, turned by 10 degrees as an augmentation would."""
    bev_from_image = []
    for camera in make_cameras(1600, 900):
        network_from_image = np.diag([0.48, 0.48, 1.0, 1.0])
        network_from_image[:2, 2] = [-(1600 * 0.48 - SIZE[1]) / 2, -(900 * 0.48 - SIZE[0])]
        image_from_camera = np.eye(4)
        image_from_camera[:3, :3] = camera.intrinsic
        # LIDAR_TOP: x right, y forward; the car: x forward, y left.
        lidar_from_ego = np.array([[0, -1.0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        lidar_from_ego[:3, 3] = -lidar_from_ego[:3, :3] @ lidar_translation(LidarLayout())
        turn = np.eye(4)
        cos, sin = np.cos(np.radians(10)), np.sin(np.radians(10))
        turn[:2, :2] = [[cos, -sin], [sin, cos]]
        bev_from_camera = turn @ lidar_from_ego @ camera.ego_from_camera
        bev_from_image.append(bev_from_camera @ np.linalg.inv(network_from_image @ image_from_camera))
    generator = torch.Generator().manual_seed(0)
    pixels, depths = feature_pixels(FEATURES, SIZE), depth_bins(1.0, 60.0, 0.5)
    count = len(bev_from_image) * FEATURES[0] * FEATURES[1]
    return Scene(
        torch.from_numpy(np.stack(bev_from_image).astype(np.float32)),
        torch.zeros(len(bev_from_image), dtype=torch.int64),
        pixels,
        depths,
        torch.randn(count, CHANNELS, generator=generator).requires_grad_(),
        torch.randn(count, len(depths), generator=generator).softmax(1).requires_grad_(),
    )


def volume(scene: Scene) -> tuple[Tensor, Tensor]:
    """The lifted volume, [Q D, C], and its cells, int64 [Q D]: what the older formulations start from."""
    lifted = scene.probabilities[:, :, None] * scene.context[:, None, :]
    return lifted.reshape(-1, CHANNELS), scene.cells().reshape(-1).long()


class Cumsum(torch.autograd.Function):
    """Sums of runs of equal cells as differences of a running sum (Philion and Fidler, section 3)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, cells: Tensor) -> Tensor:
        last = torch.ones(len(cells), dtype=torch.bool, device=cells.device)
        last[:-1] = cells[1:] != cells[:-1]
        ctx.save_for_backward(last)
        sums = rows.cumsum(0)[last]
        return torch.cat([sums[:1], sums[1:] - sums[:-1]])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (last,) = ctx.saved_tensors
        run = last.cumsum(0)
        run[last] -= 1
        return gradient[run], None


def cumsum_trick(scene: Scene) -> Tensor:
    lifted, cells = volume(scene)
    kept = cells >= 0
    lifted, cells = lifted[kept], cells[kept]
    order = cells.argsort()
    lifted, cells = lifted[order], cells[order]
    sums: Tensor = Cumsum.apply(lifted, cells)
    bev = torch.zeros(GRID.size**2, CHANNELS, device=sums.device)
    bev[cells.unique_consecutive()] = sums
    return bev


def index_add(scene: Scene) -> Tensor:
    lifted, cells = volume(scene)
    bev = torch.zeros(GRID.size**2 + 1, CHANNELS).index_add(0, cells.where(cells >= 0, GRID.size**2), lifted)
    return bev[:-1]


def sparse_matrix(scene: Scene) -> Tensor:
    """torch.sparse: cells x pixels in CSR form, values = depth probabilities."""
    plan = plan_splat(scene.cells(), GRID.size**2)
    values = scene.probabilities.reshape(-1)[plan.entries]
    ends = torch.cat([plan.starts, torch.tensor([len(values)], dtype=torch.int32)])
    matrix = torch.sparse_csr_tensor(ends, plan.pixels, values, (GRID.size**2, len(scene.context)))
    return matrix @ scene.context


def embedding_bag(scene: Scene) -> Tensor:
    """The same product and torch's own gradient of it."""
    plan = plan_splat(scene.cells(), GRID.size**2)
    return torch.nn.functional.embedding_bag(
        plan.pixels, scene.context, plan.starts, mode="sum",
        per_sample_weights=scene.probabilities.reshape(-1)[plan.entries],
    )  # fmt: skip


def ours(scene: Scene) -> Tensor:
    return splat(scene.context, scene.probabilities, plan_splat(scene.cells(), GRID.size**2))


def ours_planned(scene: Scene) -> Tensor:
    """As a fixed rig finds it at test time: the plan was made before."""
    if id(scene) not in _PLANS:
        _PLANS[id(scene)] = plan_splat(scene.cells(), GRID.size**2)
    return splat(scene.context, scene.probabilities, _PLANS[id(scene)])


_PLANS: dict[int, SplatPlan] = {}
FORMULATIONS: dict[str, Callable[[Scene], Tensor]] = {
    BASELINE: cumsum_trick,
    "volume + index_add": index_add,
    NO_GRADIENT: sparse_matrix,
    "embedding_bag": embedding_bag,
    "ours": ours,
    "ours, plan cached": ours_planned,
}


def wake() -> None:
    """Starts the thread pool and the kernels, so that their memory is not counted."""
    small = torch.rand(64, 8, requires_grad=True)
    weights = torch.rand(64, 4, requires_grad=True)
    plan = plan_splat(torch.randint(-1, 9, (64, 4), dtype=torch.int32), 9)
    torch.autograd.grad(splat(small, weights, plan).sum(), [small, weights])
    torch.rand(200_000).sort()


def growth(work: Callable[[], None]) -> float:
    """MB by which the peak memory of the process rises above its present level."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present level
    before = status_mb("VmRSS")
    work()
    return status_mb("VmHWM") - before


def best(work: Callable[[], None], repeats: int, clock: Callable[[], float]) -> float:
    """Milliseconds of the fastest run."""
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return 1e3 * min(times)


if __name__ == "__main__":
    main()
