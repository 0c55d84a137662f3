"""What do corruptions cost, and what do they do to recorded sensor data?

    python -m benchmarks.corruptions --nuscenes ROOT      # ROOT: a nuScenes folder with the table folder v1.0-mini

Each type at each severity on the first key frame of a scene: CPU time, the fastest of several calls, and the effect.
And whose returns `incomplete_echo` takes, which tells vehicles by their darkness, over all key frames.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pipeline.frames.augmentation import generator
from pipeline.frames.box_labels import box_members, read_box_labels
from pipeline.frames.frame import Frame
from pipeline.frames.images import decode_jpeg
from pipeline.frames.recording import Recording
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.robustness.corruption import CAMERA_CORRUPTIONS
from pipeline.robustness.lidar_corruptions import LIDAR_CORRUPTIONS

SEVERITIES = (1, 2, 3)


def main() -> None:
    options = parse()
    frame = next(frame for frame in Recording(options.nuscenes, "v1.0-mini").frames() if frame.scene == options.scene)
    for name in options.only:
        print_tables([QUESTIONS[name](options.nuscenes, frame, options.repeats)], [], Console(width=140))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nuscenes", type=Path, metavar="ROOT", required=True)
    parser.add_argument("--scene", default="scene-0061")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    return parser.parse_args()


def time_lidar(root: Path, frame: Frame, repeats: int) -> Table:
    """The eight types on the key frame's sweep."""
    points = read_sweep(root, frame)
    rows = []
    for name, corrupt in LIDAR_CORRUPTIONS.items():
        spent, left, moved = [], [], []
        for severity in SEVERITIES:
            rng = generator(0, 0, frame.token, f"{name}/{severity}")
            spent.append(fastest(lambda c=corrupt, s=severity, r=rng: c(points, s, r), repeats))  # type: ignore[misc]
            struck = corrupt(points, severity, generator(0, 0, frame.token, f"{name}/{severity}"))
            left.append(len(struck) / len(points))
            moved.append(share_moved(points, struck) if len(struck) == len(points) else None)
        rows.append([name, *(f"{ms:.1f}" for ms in spent), *(f"{100 * share:.1f}" for share in left)])
        rows[-1] += ["-" if share is None else f"{100 * share:.1f}" for share in moved]
    heads = [f"{what} {severity}" for what in ("ms", "left %", "moved %") for severity in SEVERITIES]
    note = f"{len(points):,} points of {frame.scene}; severities 1 to 3; moved: by more than 1 cm"
    return Table("LiDAR corruptions", note, ["type", *heads], rows)


def time_camera(root: Path, frame: Frame, repeats: int) -> Table:
    """The eight types on the image of the front camera, and at half its size as scale=paper decodes it."""
    cv2.setNumThreads(0)
    camera = next(camera for camera in frame.cameras if camera.channel == "CAM_FRONT")
    whole, half = (decode_jpeg(root / camera.path, camera.size, divisor) for divisor in (1, 2))
    rows = []
    for name, corrupt in CAMERA_CORRUPTIONS.items():
        spent: list[list[float]] = [[], []]
        results = []
        for severity in SEVERITIES:
            rng = generator(0, 0, frame.token, f"{name}/{severity}")
            results.append(corrupt(whole, severity, rng))
            for pixels, found in zip((whole, half), spent, strict=True):
                found.append(fastest(lambda c=corrupt, p=pixels, s=severity, r=rng: c(p, s, r), repeats))  # type: ignore[misc]
        means, deviations = [image.mean() for image in results], [image.std() for image in results]
        rows.append([name, *(", ".join(f"{ms:.1f}" for ms in found) for found in spent)])
        rows[-1] += [", ".join(f"{value:.0f}" for value in values) for values in (means, deviations)]
    note = f"{whole.shape[1]} x {whole.shape[0]} pixels of {frame.scene}; severities 1 to 3; levels of 255,"
    note += f" undisturbed mean {whole.mean():.0f}, deviation {whole.std():.0f}"
    return Table("Camera corruptions", note, ["type", "ms", "ms at half the size", "mean", "deviation"], rows)


def count_echoes(root: Path, frame: Frame, repeats: int) -> Table:
    """Shares of the returns within annotated boxes that `incomplete_echo` takes; only `root` matters."""
    frames = list(Recording(root, "v1.0-mini").frames())
    lost: dict[str, list[list[NDArray[np.bool_]]]] = {}
    for frame, boxes in zip(frames, read_box_labels(root, "v1.0-mini", frames), strict=True):
        points = read_sweep(root, frame)
        members = box_members(points, boxes)
        named = points.copy()
        named[:, 4] = np.arange(len(points))  # names every point
        for severity in SEVERITIES:
            rng = generator(0, 0, frame.token, f"incomplete_echo/{severity}")
            taken = np.ones(len(points), np.bool_)
            taken[LIDAR_CORRUPTIONS["incomplete_echo"](named, severity, rng)[:, 4].astype(np.int64)] = False
            for category, rows in zip(boxes.categories, members, strict=True):
                kind = "vehicles" if category.startswith("vehicle.") else "other objects"
                lost.setdefault(kind, [[] for _ in SEVERITIES])[severity - 1].append(taken[rows])
            lost.setdefault("all returns", [[] for _ in SEVERITIES])[severity - 1].append(taken)
    cells = [[kind, *(f"{100 * np.concatenate(parts).mean():.1f}" for parts in by)] for kind, by in lost.items()]
    heads = ["returns of", *(f"lost % {severity}" for severity in SEVERITIES)]
    return Table("Incomplete echoes", f"{len(frames)} key frames; severities 1 to 3", heads, cells)


def read_sweep(root: Path, frame: Frame) -> NDArray[np.float32]:
    """As a `Disturbance` is given it, rings included."""
    points = np.fromfile(root / frame.lidar_path, np.float32).reshape(-1, 5)
    points[:, 3] /= 255
    return points


def share_moved(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    return float((np.linalg.norm(after[:, :3] - before[:, :3], axis=1) > 0.01).mean())


def fastest(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds of CPU of this thread."""
    found = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        found.append(time.thread_time() - start)
    return 1e3 * min(found)


QUESTIONS: dict[str, Callable[[Path, Frame, int], Table]] = {
    "lidar": time_lidar,
    "camera": time_camera,
    "echoes": count_echoes,
}


if __name__ == "__main__":
    main()
