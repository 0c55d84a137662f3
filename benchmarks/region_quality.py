"""How good are regions under some presets, on recorded data and on the embedded world?

    python -m benchmarks.region_quality paper calico+ --nuscenes ROOT --argoverse LOG --embedded data/index
    python -m benchmarks.region_quality current --set regions.eps=0.5 --set regions.dims=3 --nuscenes ROOT

A preset is a file of conf/regions; `current` is the choice in conf/config.yaml. Recorded nuScenes frames are told apart
into a half to tune on (even positions in the order of time) and a half to report (odd ones).
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.feather as feather
import yaml
from numpy.typing import NDArray
from rich.console import Console

from pipeline.configure import compose
from pipeline.errors import user_errors
from pipeline.evaluation.region_cells import compare_cells
from pipeline.evaluation.region_quality import Quality, measure_frame
from pipeline.evaluation.region_scores import GROUPS, headline, metrics, recall_by_group
from pipeline.evaluation.region_truth import Case, ObjectPoints, Truth, collect_cases
from pipeline.frames.argoverse_log import lidar_from_ego
from pipeline.frames.box_labels import BoxLabels, box_members
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.points import read_points
from pipeline.geometry.transforms import matrix_from_pose
from pipeline.params import Dataset, Params, Regions, Runtime
from pipeline.regions.segmentation import segment
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.strict_yaml import build_model

SCENES = ["scene-0006", "scene-0061", "scene-0103"]  # of the recorded sample
# Argoverse 2 categories under the names that groups are told by; all others keep theirs.
AS_NUSCENES = {"REGULAR_VEHICLE": "vehicle.car", "PEDESTRIAN": "human.pedestrian.adult"}


def main() -> None:
    options = parse()
    presets = {name: load_preset(name, options.set) for name in options.presets}
    runtime = Runtime(options.workers, None, "cpu", 1, 0, 60.0)
    tables: list[Table] = []
    if options.nuscenes:
        cases = recorded_cases(options.nuscenes)
        halves = {"half to tune on": cases[0::2], "half to report": cases[1::2]}
        found = {name: compare(presets, half, runtime) for name, half in halves.items()}
        found["all frames"] = {name: found["half to tune on"][name] + found["half to report"][name] for name in presets}
        tables += [table(f"nuScenes sample, {name}", qualities) for name, qualities in found.items()]
        tables.append(details("nuScenes sample, all frames: details", found["all frames"]))
    if options.argoverse:
        points, truth = read_argoverse(options.argoverse)
        results = {name: segment(points, params) for name, params in presets.items()}
        qualities = {name: measure_frame(points, of.ids, of.counts, truth) for name, of in results.items()}
        tables += [table("Argoverse 2, one sweep", qualities), details("Argoverse 2: details", qualities)]
    if options.embedded:
        cases = embedded_cases(options.embedded, options.frames)
        qualities = compare(presets, cases, runtime)
        tables += [table("embedded world", qualities), details("embedded world: details", qualities)]
    print_tables(tables, [], Console(width=160))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["current"])
    parser.add_argument("--set", action="append", default=[], metavar="regions.KEY=VALUE")
    parser.add_argument("--nuscenes", type=Path, metavar="ROOT")
    parser.add_argument("--argoverse", type=Path, metavar="LOG")
    parser.add_argument("--embedded", type=Path, metavar="INDEX")
    parser.add_argument("--frames", type=int, help="of the embedded world, evenly spread; all without it")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def load_preset(name: str, values: Sequence[str]) -> Regions:
    choice = [] if name == "current" else [f"regions={name}"]
    composed = compose(Path("conf"), [*choice, *values])
    return build_model(Params, yaml.safe_load(composed), "params.yaml").regions


def compare(presets: dict[str, Regions], cases: Sequence[Case], runtime: Runtime) -> dict[str, Quality]:
    return dict(zip(presets, compare_cells(list(presets.values()), cases, runtime), strict=True))


def recorded_cases(root: Path) -> list[Case]:
    """The recorded key frames in the order of time."""
    dataset = Dataset("sample", str(root), "v1.0-mini", [], "all", "all", "all", {"all": SCENES})
    with tempfile.TemporaryDirectory() as folder:
        build_index(dataset, Path(folder))
        index = FrameIndex.open(Path(folder), root)
        order = sorted(range(len(index)), key=lambda position: index[position].timestamp)
        return collect_cases(index, dataset, "lidarseg16", order)


def embedded_cases(path: Path, frames: int | None) -> list[Case]:
    params = build_model(Params, yaml.safe_load(compose(Path("conf"), ["dataset=embedded"])), "params.yaml")
    index = FrameIndex.open(path, Path(params.dataset.root))
    every = max(len(index) // frames, 1) if frames else 1
    return collect_cases(index, params.dataset, "panoptic", range(0, len(index), every))


def read_argoverse(log: Path) -> tuple[NDArray[np.float32], Truth]:
    """The labelled sweep of a log in the convention of nuScenes' LIDAR_TOP, as the pipeline reads it.

    Points of objects carry the object's class, the others are ground or background (class 1).
    """
    path = sorted((log / "sensors" / "lidar").glob("*.feather"))[0]
    points, matrix = read_points(path), lidar_from_ego(log)
    labels = feather.read_table(log / "flow_labels.feather").to_pandas()
    ground = labels["is_ground_0"].to_numpy()
    table = feather.read_table(log / "annotations.feather").to_pandas()
    rows: list[dict[str, Any]] = table[table["timestamp_ns"] == int(path.stem)].to_dict("records")
    boxes = BoxLabels(
        tuple(AS_NUSCENES.get(row["category"], row["category"].lower()) for row in rows),
        np.array([matrix @ ego_from_box(row) for row in rows]),
        np.array([[row["length_m"], row["width_m"], row["height_m"]] for row in rows]),
    )
    distances = np.hypot(boxes.lidar_from_box[:, 0, 3], boxes.lidar_from_box[:, 1, 3]).tolist()
    objects = tuple(map(ObjectPoints, boxes.categories, distances, box_members(points, boxes)))
    of_object = labels["classes"].to_numpy().astype(np.int64)
    classes = np.where(of_object > 0, of_object + 2, np.where(ground, 2, 1))
    return points, Truth(objects, classes, np.arange(classes.max() + 1) == 2)


def ego_from_box(row: dict[str, Any]) -> NDArray[np.float64]:
    return matrix_from_pose([row[f"q{axis}"] for axis in "wxyz"], [row[f"t{axis}_m"] for axis in "xyz"])


def table(title: str, qualities: dict[str, Quality]) -> Table:
    rows = []
    for name, quality in qualities.items():
        groups, numbers = recall_by_group(quality), headline(quality)
        recalls = [recall(groups[group]) for group in ("all", *GROUPS)]
        rows.append([name, *recalls, *(text(numbers[key]) for key in ("purity", "regions_a_frame", "share_rich"))])
    frames = next(iter(qualities.values())).frames
    header = ["preset", "all", *GROUPS, "purity", "regions a frame", "share rich"]
    return Table(title, f"Recall of objects with >= 5 points, {frames} frames.", header, rows)


def details(title: str, qualities: dict[str, Quality]) -> Table:
    """Everything else of metrics.json, a line a number, a column a preset."""
    columns = [metrics(quality) for quality in qualities.values()]
    shown = ("labelled_ground", "missed", "points", "purity", "regions", "segmentation")
    names = [(group, name) for group in shown for name in columns[0][group]]
    rows = [[f"{group}.{name}", *(text(of[group][name]) for of in columns)] for group, name in names]
    return Table(title, "", ["", *qualities], rows)


def recall(row: dict[str, Any]) -> str:
    return f"{row['recalled']}/{row['objects']} {text(row['recall'])}"


def text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    with user_errors():
        main()
