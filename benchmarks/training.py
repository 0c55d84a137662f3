"""How fast do the trainings go, and how long would the paper's schedule take on this device?

    python -m benchmarks.training [--steps 8] [--threads 1] [--no-paper]

The real training functions on a simulated world of this benchmark's own, a process each: frames a second, the share of
data, memory, and model FLOP utilisation: matrix products and convolutions of a step, counted in a pass of their own, a
second, against those of a large float32 product in the same process. Times are CPU time, which neighbours on the
machine disturb less; --threads 1 makes that the time of a quiet core. --no-paper leaves out the estimate.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.processes import in_process, status_mb
from pipeline.configure import compose
from pipeline.errors import user_errors
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.networks.model import BevModel
from pipeline.networks.summary import countable, summarise
from pipeline.networks.synthetic import make_batch
from pipeline.params import Params, Runtime, Schedule, load_params
from pipeline.preflight.training_step import sweep_points
from pipeline.process import calm_numpy, keep_freed_memory
from pipeline.regions.store import RegionStore
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.simulation.world import build_world
from pipeline.strict_yaml import build_model
from pipeline.training.distill_camera import distill_camera
from pipeline.training.finetune import finetune
from pipeline.training.loop import Run
from pipeline.training.pretrain_lidar import LidarEmbedding, pretrain_lidar

TRAININGS = ("PRC", "RAD", "fine-tuning L", "fine-tuning LC")
KEYFRAMES = 4  # of a scene
WARM_UP = 2  # steps that are not timed
FRACTION = 0.1  # of the labels, in the estimate of fine-tuning
CAMERA_PARTS = ("camera backbone", "camera neck", "lift-splat", "camera BEV")
PRODUCT = 2048  # rows of the product that tells the peak


@dataclass(frozen=True)
class Speed:
    """Of one training: seconds a step (CPU, clock), the share of CPU time that loads data, MB, FLOP a frame, FLOP/s."""

    batch: int
    cpu: float
    clock: float
    data: float
    megabytes: float
    flops: float
    peak: float

    @property
    def rate(self) -> float:
        """FLOP/s of the whole step."""
        return self.flops * self.batch / self.cpu


class TimedLoader(FrameLoader):
    """Notes when each load began and ended, in CPU time and on the clock."""

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.calls: list[tuple[float, float, float]] = []  # CPU at the start and the end, clock at the start

    def load(self, *args: Any, **options: Any) -> FrameBatch:
        cpu, clock = time.process_time(), time.perf_counter()
        batch = super().load(*args, **options)
        self.calls.append((cpu, time.process_time(), clock))
        return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="timed steps of a training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-paper", action="store_true")
    options = parser.parse_args()
    conf = Path("conf").resolve()
    speeds: dict[str, Speed] = {}
    hours: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "embedded")
        in_process(prepare, conf, project)
        for name in TRAININGS:
            speeds[name] = in_process(measure, project, name, options.steps, options.threads)
            print(f"measured: {name}: {speeds[name]}", file=sys.stderr)
    if not options.no_paper:
        hours = in_process(estimate, conf, speeds)
    print_tables(tables(speeds, hours, options), [], Console(width=120))


def tables(speeds: dict[str, Speed], hours: dict[str, list[str]], options: argparse.Namespace) -> list[Table]:
    rows = [
        [
            name, str(s.batch), f"{s.batch / s.cpu:.1f}", f"{s.batch / s.clock:.1f}", f"{s.data:.0%}",
            f"{s.megabytes:.0f}", f"{s.flops / 1e9:.2f}", f"{s.peak / 1e9:.0f}", f"{s.rate / s.peak:.0%}",
        ]
        for name, s in speeds.items()
    ]  # fmt: skip
    header = ["", "batch", "frames/CPU s", "frames/s", "data", "peak MB", "GFLOP/frame", "peak GFLOP/s", "MFU"]
    note = f"CPU, {options.threads} thread(s), mean of {options.steps} steps"
    header_paper = ["", "GFLOP/frame", "frames", "hours"]
    paper = Table("scale=paper, extrapolated", "", header_paper, [[n, *cells] for n, cells in hours.items()])
    return [Table("scale=embedded", note, header, rows), *([paper] if hours else [])]


def prepare(conf: Path, project: Path) -> None:
    """A project folder with the world, index, labels and regions of a few frames."""
    from stages import prepare, regions

    project.mkdir()
    content = yaml.safe_load(compose(conf, ["dataset=embedded", "scale=embedded"]))
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    composed = load_params(project / "params.yaml")
    content["dataset"]["root"] = str(project / "world")
    content["prepare"] |= {"map_resolution": 1.0, "fractions": [1.0]}
    content["finetune"]["trials"] = ["detection-1.0", "map-1.0"]
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    runtime = quiet_runtime(1)
    (project / "runtime.yaml").write_text(yaml.safe_dump(vars(runtime)))
    world = replace(composed.simulate, train_scenes=2, val_scenes=1, keyframes_per_scene=KEYFRAMES)
    (project / "world").mkdir()
    with chdir(project):
        build_world(world, composed.dataset.version, project / "world", runtime)
        prepare.main()
        regions.main()


def quiet_runtime(threads: int) -> Runtime:
    return Runtime(1, None, "cpu", threads, 0, 3600.0)


def measure(project: Path, name: str, steps: int, threads: int) -> Speed:
    torch.set_num_threads(threads)
    keep_freed_memory()
    calm_numpy()
    params = load_params(project / "params.yaml")
    batch = schedule_of(params, name).batch
    timed = training(project, params, name, WARM_UP + steps + 1, batch, threads)
    megabytes = status_mb("VmHWM")
    a_step = len(timed.calls) // (WARM_UP + steps + 1)
    first, last = WARM_UP * a_step, (WARM_UP + steps) * a_step
    cpu, clock = (timed.calls[last][k] - timed.calls[first][k] for k in (0, 2))
    data = sum(end - start for start, end, _ in timed.calls[first:last])
    flops = count(project, name, threads, batch) / batch
    return Speed(batch, cpu / steps, clock / steps, data / cpu, megabytes, flops, matmul_rate())


def count(project: Path, name: str, threads: int, batch: int = 1) -> float:
    """FLOP of a step: forward and backward as torch counts them, a multiplication and its addition being two."""
    params = load_params(project / "params.yaml")
    with countable(), FlopCounterMode(display=False) as counter:
        training(project, params, name, 1, batch, threads)
    return float(counter.get_total_flops())


def training(project: Path, params: Params, name: str, steps: int, batch: int, threads: int) -> TimedLoader:
    """Does so many steps of a training; the loader tells when each began."""
    with chdir(project), tempfile.TemporaryDirectory() as scratch:
        index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
        regions = RegionStore.open(Path("data/regions"), params.regions)
        positions = list(index.split(params.dataset.train_split))
        schedule = replace(schedule_of(params, name), epochs=None, steps=steps, batch=batch, micro_batch=None)
        run, runtime = Run(name, positions, schedule, 0, Path(scratch)), quiet_runtime(threads)
        sizes = index, params.frames, params.networks.grid

        def timed(**options: Any) -> TimedLoader:
            return TimedLoader(*sizes, **options)

        run_it: Callable[..., Any]
        if name == "PRC":
            lidar = params.pretrain_lidar
            loader, run_it = timed(regions=regions, augmentation=lidar.augmentation), pretrain_lidar
            rest: tuple[Any, ...] = (params.networks, lidar, runtime)
        elif name == "RAD":
            camera = params.distill_camera
            loader, run_it = timed(regions=regions, images=True, augmentation=camera.augmentation), distill_camera
            teacher = LidarEmbedding(params.networks).state_dict()
            rest = (teacher, {}, params.networks, params.frames, camera, runtime)
        else:
            modality, labels = name.split()[-1], Labels.open(Path("data/labels"))
            augmentation = params.finetune.augmentation
            loader, run_it = timed(labels=labels, images=modality == "LC", augmentation=augmentation), finetune
            rest = ({}, params.networks, params.frames, modality, "detection", runtime)
        run_it(loader, run, *rest)
    return loader


def schedule_of(params: Params, name: str) -> Schedule:
    stages = {"PRC": params.pretrain_lidar.schedule, "RAD": params.distill_camera.schedule}
    return stages.get(name, params.finetune.schedule)


def matmul_rate() -> float:
    """FLOP per CPU second of a float32 product of square matrices, the best of five."""
    a, b = torch.rand(2, PRODUCT, PRODUCT)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        torch.mm(a, b)
        seconds.append(time.process_time() - start)
    return 2 * PRODUCT**3 / min(seconds)


def estimate(conf: Path, speeds: dict[str, Speed]) -> dict[str, list[str]]:
    """Hours of the paper's schedule, were its FLOP done at the rate of the embedded scale.

    The networks' forward pass is counted on a made-up frame; a backward pass is taken as twice that. PRC has two views,
    RAD's teacher no backward pass; contrasts, losses and whatever is neither product nor convolution are left out.
    """
    params = build_model(Params, yaml.safe_load(compose(conf, ["dataset=embedded", "scale=paper"])), "params.yaml")
    forward = {}
    for modality in ("L", "LC"):
        model = BevModel(params.networks, params.frames, modality, "detection")
        frame = make_batch(
            params.frames, sweep_points(params), images=modality == "LC", batch=1, device=torch.device("cpu")
        )
        parts = {part.name: 1e9 * (part.gflops or 0.0) for part in summarise(model, frame)}
        print(f"scale=paper, forward, {modality}: {parts}", file=sys.stderr)
        forward[modality] = sum(parts.values())
    lidar = sum(flops for part, flops in parts.items() if part.startswith("LiDAR"))
    camera = sum(flops for part, flops in parts.items() if part in CAMERA_PARTS)
    a_frame = {
        "PRC": 6 * lidar, "RAD": 3 * camera + lidar,
        "fine-tuning L": 3 * forward["L"], "fine-tuning LC": 3 * forward["LC"],
    }  # fmt: skip
    frames = params.simulate.train_scenes * params.simulate.keyframes_per_scene
    rows = {}
    for name, flops in a_frame.items():
        schedule = schedule_of(params, name)
        seen = round(frames * FRACTION) if name.startswith("fine") else frames
        trained = schedule.batch * schedule.total_steps(seen)
        rows[name] = [f"{flops / 1e9:.0f}", f"{trained:,}", f"{trained * flops / speeds[name].rate / 3600:,.0f}"]
    return rows


if __name__ == "__main__":
    with user_errors():
        main()
