"""What does the point-region contrast cost, and how does it grow?

    python -m benchmarks.objectives

PRC and RAD forward and backward, frames of 512 semantic-rich and 512 semantic-less points in 64 dimensions, against the
straightforward form: a [P, P] softmax with masks for each term and direction. Both must give the same value and
gradient. Then the same at 16,384 points (as many as 8 frames at paper scale): the time, and the peak memory beside
that of one [P, P] matrix. Each runs in a process of its own; peak memory is the growth of VmHWM over its first pass.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from benchmarks.processes import in_process, status_mb
from pipeline.objectives.prc import prc
from pipeline.objectives.rad import rad
from pipeline.params import Rapc
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table

EMBEDDING, TEMPERATURE, ALPHA, POINTS_OF_REGION = 64, 0.1, 0.5, 20


def main() -> None:
    options = parse()
    rows = []
    for points in options.points:
        for name in FORMS:
            if points > options.straightforward_up_to and name.endswith("straightforward"):
                continue
            rows.append(
                [name, points, *in_process(measure, name, points, options.repeats, options.threads, options.clock)]
            )
    cells = [
        [name, str(points), f"{own:.0f}", f"{grown:.0f}", f"{points**2 * 4 / 2**20:.0f}", f"{loss:.6f}", f"{norm:.6f}"]
        for name, points, own, grown, loss, norm in rows
    ]
    heads = ["form", "points", "ms", "MB", "one matrix, MB", "loss", "gradient norm"]
    note = (
        f"forward + backward, {options.clock} time, fastest of {options.repeats} on {options.threads} thread(s); "
        "growth of the peak memory in the first pass"
    )
    print_tables([Table("contrasts", note, heads, cells)], [], Console(width=120))
    for method in ("PRC", "RAD"):
        found = {name.split(", ")[1]: row for name, *row in rows if name.startswith(method) and row[0] <= 4096}
        if len(found) == 2:
            ours, theirs = found["ours"], found["straightforward"]
            print(f"{method} at {ours[0]} points: {theirs[1] / ours[1]:.1f} x the speed")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--straightforward-up-to", type=int, default=4096, help="points; it takes many matrices")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: where others use the machine")
    return parser.parse_args()


def measure(name: str, points: int, repeats: int, threads: int, clock: str) -> tuple[float, float, float, float]:
    """Milliseconds of the fastest pass, MB by which the first raised the peak, the loss and its gradient's norm."""
    torch.set_num_threads(threads)
    scene = make_points(points)
    FORMS[name](*make_points(64)).backward()  # starts the kernels, so that their memory is not counted

    def work() -> Tensor:
        scene[0].grad = None
        loss = FORMS[name](*scene)
        loss.backward()
        return loss.detach()

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from the present level
    before = status_mb("VmRSS")
    loss = work()
    grown = status_mb("VmHWM") - before
    now, times = time.perf_counter if clock == "wall" else time.process_time, []
    for _ in range(repeats):
        start = now()
        work()
        times.append(now() - start)
    assert scene[0].grad is not None
    return 1e3 * min(times), grown, loss.item(), scene[0].grad.norm().item()


def make_points(points: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """View 1 (with gradient), view 2, regions and frames: half of the points in regions of 20, frames of 1024."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(2, points, EMBEDDING, generator=generator)
    p, q = functional.normalize(vectors, dim=2)
    number = torch.arange(points)
    frame, region = number // 1024, number // POINTS_OF_REGION + number // 1024 * 1000
    return p.clone().requires_grad_(), q, torch.where(number % 1024 < 512, region, -1), frame


def straightforward_prc(p: Tensor, q: Tensor, region: Tensor, frame: Tensor) -> Tensor:
    """The equations with masks over [P, P] matrices, term by term and direction by direction."""
    return ALPHA * straightforward_plrc(p, q, region) + (1 - ALPHA) * straightforward_rapc(p, q, region)


def straightforward_plrc(p: Tensor, q: Tensor, region: Tensor) -> Tensor:
    rich = region >= 0
    positive = (region[:, None] == region[None, :]) & rich[:, None]
    ways = []
    for one, two in ((p, q), (q, p)):
        logs = (one @ two.T / TEMPERATURE).log_softmax(1)
        ways.append(-((logs * positive).sum(1)[rich] / positive.sum(1)[rich]).mean())
    return torch.stack(ways).mean()


def straightforward_rapc(p: Tensor, q: Tensor, region: Tensor) -> Tensor:
    same = (region[:, None] == region[None, :]) & (region >= 0)[:, None]
    masked = same & ~torch.eye(len(region), dtype=torch.bool)
    ways = []
    for one, two in ((p, q), (q, p)):
        scaled = (one @ two.T / TEMPERATURE).masked_fill(masked, -torch.inf)
        ways.append(functional.cross_entropy(scaled, torch.arange(len(region))))
    return torch.stack(ways).mean()


def straightforward_rad(c: Tensor, teacher: Tensor, region: Tensor, frame: Tensor) -> Tensor:
    """Region by region, each with its softmax over all points."""
    logs = (c @ teacher.T / TEMPERATURE).log_softmax(1).diagonal()
    frames = []
    for own in frame.unique():
        regions = region[(frame == own) & (region >= 0)].unique()
        if len(regions):
            frames.append(torch.stack([-logs[region == name].mean() for name in regions]).mean())
    return torch.stack(frames).mean()


def our_prc(p: Tensor, q: Tensor, region: Tensor, frame: Tensor) -> Tensor:
    return prc(p, q, region, temperature=TEMPERATURE, alpha=ALPHA, switches=Rapc())["loss"]


def our_rad(c: Tensor, teacher: Tensor, region: Tensor, frame: Tensor) -> Tensor:
    return rad(c, teacher, region, frame, temperature=TEMPERATURE)


FORMS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "PRC, straightforward": straightforward_prc,
    "PRC, ours": our_prc,
    "RAD, straightforward": straightforward_rad,
    "RAD, ours": our_rad,
}

if __name__ == "__main__":
    main()
