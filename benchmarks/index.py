"""What does it cost to open nuScenes at full size: the devkit in every process against our index, built once?

    python -m benchmarks.index                # tables of the size of v1.0-trainval, 5 GB below scratch/, some minutes
    python -m benchmarks.index --scenes 85    # a tenth of it

Writes tables with valid links and, for every file that the index names, a sparse file of a plausible size: what is
looked at on disk is looked at here. Each row of the table is a process of its own.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import IO, Any

from rich.console import Console
from rich.table import Table

from pipeline.params import Dataset, Prepare

VERSION = "v1.0-trainval"
SAMPLES, ANNOTATIONS = 34_149, 1_166_187  # of the 850 scenes of v1.0-trainval
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
RADARS = ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT")
# Measurements a sample, half a second: 77 of them, 2.63 million in all.
RATES = {"LIDAR_TOP": 10} | dict.fromkeys(CAMERAS, 6) | dict.fromkeys(RADARS, 6) | {"RADAR_FRONT": 7}
SIZES = {"lidar": 34_688 * 20, "camera": 150_000, "radar": 0}  # bytes of a file; 0: no file is made
SMALL = ("log", "map", "category", "attribute", "visibility", "sensor", "calibrated_sensor", "instance", "scene")
LARGE = ("sample", "sample_data", "ego_pose", "sample_annotation")
CATEGORIES = ("vehicle.car", "human.pedestrian.adult", "movable_object.barrier", "animal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=850)
    parser.add_argument(
        "--root", type=Path, default=Path("scratch/benchmark_index"), help="replaced, removed at the end"
    )
    parser.add_argument("--keep", action="store_true", help="leave it there, and take what a run before left there")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="measure only this; more than once")
    parser.add_argument("--measure", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    root: Path = options.root
    if options.measure:
        measure(root, options.measure)
        return
    if not (options.keep and (root / VERSION / "done").exists()):
        shutil.rmtree(root, ignore_errors=True)
        Writer(root, options.scenes).write()
    results = {name: run(root, name) for name in options.only or MEASUREMENTS}
    if not options.keep:
        shutil.rmtree(root)
    show(results)


class Writer:
    """Writes the data set, scene after scene."""

    def __init__(self, root: Path, scenes: int) -> None:
        self.root, self.scenes = root, scenes
        self.random = Random(0)
        (root / VERSION).mkdir(parents=True)
        (root / "maps").mkdir()
        self.files: dict[str, IO[str]] = {n: (root / VERSION / f"{n}.json").open("w") for n in (*SMALL, *LARGE)}
        self.rows = dict.fromkeys(self.files, 0)

    def write(self) -> None:
        """All tables and files."""
        from nuscenes.utils.splits import create_splits_scenes

        splits = create_splits_scenes()
        names = sorted(splits["train"] + splits["val"])
        categories = [self.add("category", name=name, description="") for name in CATEGORIES]
        attribute = self.add("attribute", name="vehicle.moving", description="")
        visibility = self.add("visibility", level="v80-100", description="")
        sensors = {channel: self.add("sensor", channel=channel, modality=modality(channel)) for channel in RATES}
        logs = [
            self.add("log", logfile="n015-2018-07-24-11-22-45+0800", vehicle="n015", date_captured="2018-07-24",
                     location="boston-seaport")
            for _ in range(68)
        ]  # fmt: skip
        self.add("map", log_tokens=logs, category="semantic_prior", filename="maps/prior.png")
        (self.root / "maps" / "prior.png").touch()
        for folder in ("samples", "sweeps"):
            for channel in RATES:
                (self.root / folder / channel).mkdir(parents=True)
        for number in range(self.scenes):
            self.scene(number, names[number], logs[number % 68], sensors, categories, attribute, visibility)
            if number % 50 == 0:
                print(f"\rwriting scene {number} of {self.scenes}", end="", flush=True)
        for file in self.files.values():
            file.write("\n]")
            file.close()
        (self.root / VERSION / "done").touch()
        print("\r" + ", ".join(f"{self.rows[name]:,} {name}" for name in LARGE))

    def scene(
        self, number: int, name: str, log: str, sensors: dict[str, str], categories: list[str], attribute: str,
        visibility: str,
    ) -> None:  # fmt: skip
        """One scene of about twenty seconds."""
        count = SAMPLES * (number + 1) // 850 - SAMPLES * number // 850
        start = 1_500_000_000_000_000 + number * 100_000_000
        scene, tokens = self.token(), [self.token() for _ in range(count)]
        self.add("scene", token=scene, log_token=log, nbr_samples=count, first_sample_token=tokens[0],
                 last_sample_token=tokens[-1], name=name, description="")  # fmt: skip
        for k, token in enumerate(tokens):
            self.add("sample", token=token, timestamp=start + k * 500_000, prev=tokens[k - 1] if k else "",
                     next=tokens[k + 1] if k + 1 < count else "", scene_token=scene)  # fmt: skip
        for channel, rate in RATES.items():
            self.chain(channel, rate, start, tokens, sensors[channel])
        per_sample = ANNOTATIONS / SAMPLES
        for slot in range(round(per_sample * (number + 1)) - round(per_sample * number)):
            for part in (tokens[: count // 2], tokens[count // 2 :]):
                self.track(part, categories[slot % len(categories)], attribute, visibility)

    def chain(self, channel: str, rate: int, start: int, samples: list[str], sensor: str) -> None:
        """The measurements of one sensor in a scene; the last one of each half second is the key frame's."""
        camera, size = channel in CAMERAS, SIZES[modality(channel)]
        calibration = self.add(
            "calibrated_sensor", sensor_token=sensor, translation=self.floats(3), rotation=self.quaternion(),
            camera_intrinsic=[[1266.4, 0.0, 816.2], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]] if camera else [],
        )  # fmt: skip
        suffix = "jpg" if camera else "pcd.bin"
        last = rate * len(samples)
        tokens = [self.token() for _ in range(last)]
        for k, token in enumerate(tokens):
            key = k % rate == rate - 1
            stamp = start + (k + 1 - rate) * 500_000 // rate
            path = (
                f"{'samples' if key else 'sweeps'}/{channel}/n015-2018-07-24-11-22-45+0800__{channel}__{stamp}.{suffix}"
            )
            self.add("ego_pose", token=token, timestamp=stamp, rotation=self.quaternion(), translation=self.floats(3))
            self.add(
                "sample_data", token=token, sample_token=samples[k // rate], ego_pose_token=token,
                calibrated_sensor_token=calibration, timestamp=stamp, fileformat=suffix[:3], is_key_frame=key,
                height=900 if camera else 0, width=1600 if camera else 0, filename=path,
                prev=tokens[k - 1] if k else "", next=tokens[k + 1] if k + 1 < last else "",
            )  # fmt: skip
            if size and (key or channel == "LIDAR_TOP"):
                with (self.root / path).open("wb") as file:
                    file.truncate(size)

    def track(self, samples: list[str], category: str, attribute: str, visibility: str) -> None:
        """One object in every sample of a part of a scene."""
        tokens = [self.token() for _ in samples]
        instance = self.add("instance", category_token=category, nbr_annotations=len(tokens),
                            first_annotation_token=tokens[0], last_annotation_token=tokens[-1])  # fmt: skip
        for k, (token, sample) in enumerate(zip(tokens, samples, strict=True)):
            self.add(
                "sample_annotation", token=token, sample_token=sample, instance_token=instance,
                visibility_token=visibility, attribute_tokens=[attribute], translation=self.floats(3),
                size=[1.952, 4.641, 1.727], rotation=self.quaternion(), prev=tokens[k - 1] if k else "",
                next=tokens[k + 1] if k + 1 < len(tokens) else "", num_lidar_pts=12, num_radar_pts=1,
            )  # fmt: skip

    def add(self, table: str, **row: Any) -> str:
        """Appends a row in the layout of nuScenes: one value a line."""
        token: str = row.setdefault("token", self.token())
        self.files[table].write((",\n" if self.rows[table] else "[\n") + json.dumps(row, indent=0))
        self.rows[table] += 1
        return token

    def token(self) -> str:
        return f"{self.random.getrandbits(128):032x}"

    def floats(self, count: int) -> list[float]:
        return [self.random.uniform(0, 2000) for _ in range(count)]

    def quaternion(self) -> list[float]:
        return [self.random.uniform(-1, 1) for _ in range(4)]


def modality(channel: str) -> str:
    return "lidar" if channel == "LIDAR_TOP" else "camera" if channel in CAMERAS else "radar"


def dataset(root: Path) -> Dataset:
    return Dataset("nuscenes", str(root), VERSION, [], "train", "train", "train", {})


def open_devkit(root: Path) -> Callable[[], object]:
    from nuscenes.nuscenes import NuScenes

    return lambda: NuScenes(VERSION, str(root), verbose=False)


def build_frames(root: Path) -> Callable[[], object]:
    from pipeline.frames.index_building import build_index

    return lambda: build_index(dataset(root), empty(root / "index"))


def build_boxes(root: Path) -> Callable[[], object]:
    from pipeline.frames.index import FrameIndex
    from pipeline.frames.labels import build_labels

    index = FrameIndex.open(root / "index", root)
    return lambda: build_labels(dataset(root), Prepare(0.1, [1.0]), index, empty(root / "labels"))


def open_frames(root: Path) -> Callable[[], object]:
    from pipeline.frames.index import FrameIndex

    return lambda: FrameIndex.open(root / "index", root)


def open_and_read(root: Path) -> Callable[[], object]:
    from pipeline.frames.index import FrameIndex

    def work() -> FrameIndex:
        index = FrameIndex.open(root / "index", root)
        for position in Random(0).sample(index.split("train"), 1000):
            assert len(index[position].cameras) == len(CAMERAS)
        return index

    return work


def empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


# Each imports what it needs and returns the work to be timed.
MEASUREMENTS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "devkit, in every process": open_devkit,
    "index: build, once": build_frames,
    "labels: build, once": build_boxes,
    "index: open, in every process": open_frames,
    "index: open, 1000 random frames": open_and_read,
}


def measure(root: Path, name: str) -> None:
    """Does one measurement in this process and prints its numbers."""
    work = MEASUREMENTS[name](root)
    imports = memory("VmRSS")
    started, busy = time.perf_counter(), time.process_time()
    kept = work()
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    row = {"seconds": seconds, "busy": busy, "imports": imports, "peak": memory("VmHWM"), "own": memory("RssAnon")}
    print(json.dumps(row | {"shared": memory("RssFile")}))
    del kept


def memory(field: str) -> int:
    """Memory of this process in bytes. VmHWM is ru_maxrss without the memory of the process that started this one."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def run(root: Path, name: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.index", "--root", str(root), "--measure", name]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    row: dict[str, float] = json.loads(lines[-1])
    print(f"{name}: {row['seconds']:.2f} s", flush=True)
    return row


def show(results: dict[str, dict[str, float]]) -> None:
    baseline = results.get(next(iter(MEASUREMENTS)))
    table = Table(
        "", "seconds", "of CPU", "against devkit", "peak MB", "imports MB", "own MB at the end", "file pages MB"
    )
    for name, row in results.items():
        ratio = f"{baseline['busy'] / row['busy']:,.0f} x less CPU" if baseline and row is not baseline else ""
        megabytes = (f"{row[key] / 1e6:,.0f}" for key in ("peak", "imports", "own", "shared"))
        table.add_row(name, f"{row['seconds']:.2f}", f"{row['busy']:.2f}", ratio, *megabytes)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
