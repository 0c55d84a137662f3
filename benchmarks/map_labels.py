"""Map labels of a frame: a lookup in the rasters of `prepare` against NuScenesMap.get_map_mask of the devkit.

    python -m benchmarks.map_labels

On the map expansion of the embedded world, its rasters as at scale=paper, labels of 200 x 200 cells of half
a metre for six classes. A cell counts as at a border where the class changes, in the devkit's mask, within two cells.
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from nuscenes.map_expansion.map_api import NuScenesMap
from rich.console import Console

from pipeline.configure import compose
from pipeline.frames.frame import Frame
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.map_drawing import DIVIDER_LAYERS, build_maps
from pipeline.frames.maps import MAP_CLASSES, MapRasters
from pipeline.params import Dataset, Params, Runtime
from pipeline.process import calm_numpy, keep_freed_memory
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.simulation.world import build_world
from pipeline.strict_yaml import build_model

VERSION = "v1.0-embedded"
BORDER = 2  # cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=8, help="simulated, of one key frame each, over all locations")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--resolution", type=float, help="metres a raster cell; as in params.yaml without it")
    options = parser.parse_args()
    params = build_model(Params, yaml.safe_load(compose(Path("conf"), ["scale=paper"])), "params.yaml")
    cv2.setNumThreads(0)
    keep_freed_memory()  # as every training does; both gain by it
    calm_numpy()
    with tempfile.TemporaryDirectory() as folder:
        index = write_world(params, options.scenes, Path(folder))
        start = time.perf_counter()
        build_maps(index.root, options.resolution or params.prepare.map_resolution, index, index.path)
        drawing = time.perf_counter() - start
        frames = [index[position] for position in range(len(index))]
        tables = compare(params, index, frames, options.repeats, drawing)
    print_tables(tables, [], Console(width=120))


def write_world(params: Params, scenes: int, folder: Path) -> FrameIndex:
    """The maps are what counts: sensors are simulated as small as they get."""
    root, out = folder / "world", folder / "index"
    root.mkdir()
    out.mkdir()
    small = {"keyframes_per_scene": 1, "azimuth_steps": 60, "image_width": 32, "image_height": 18}
    world = build_model(
        type(params.simulate),
        vars(params.simulate) | small | {"train_scenes": scenes - 1, "val_scenes": 1},
        "params.yaml",
    )
    build_world(world, VERSION, root, Runtime(1, None, "cpu", 1, 0, 60.0))
    train = "embedded_train"
    build_index(Dataset("embedded", str(root), VERSION, [], train, train, "embedded_val", {}), out)
    return FrameIndex.open(out, root)


def compare(params: Params, index: FrameIndex, frames: list[Frame], repeats: int, drawing: float) -> list[Table]:
    grid = params.networks.heads.map_grid
    rasters = MapRasters.open(index.path)
    maps = {name: NuScenesMap(str(index.root), name) for name in sorted({frame.location for frame in frames})}
    ours, theirs = [], []
    times = np.zeros((repeats, 2))
    for repeat in range(repeats):
        start = time.process_time()
        theirs = [devkit_labels(maps[frame.location], frame, grid.reach, grid.size) for frame in frames]
        middle = time.process_time()
        ours = [rasters.map_labels(frame, np.eye(4), grid) for frame in frames]
        times[repeat] = middle - start, time.process_time() - middle
    slow, fast = times.min(0) / len(frames)
    speed = [f"{1e3 * slow:.0f}", f"{1e3 * fast:.2f}", f"{slow / fast:.0f}", f"{drawing:.1f}"]
    rows = []
    mine, their = np.stack(ours), np.stack(theirs)
    border = np.stack([near_border(mask) for mask in their.reshape(-1, grid.size, grid.size)]).reshape(their.shape)
    for k, name in enumerate(MAP_CLASSES):
        rows.append([name, *shares(mine[:, k], their[:, k], border[:, k])])
    rows.append(["all", *shares(mine, their, border)])
    return [
        Table(
            f"{len(frames)} frames, one core, best of {repeats}", "",
            ["", "devkit: ms", "lookup: ms", "ratio", "drawing all rasters once: s"], [["a frame", *speed]],
        ),
        Table("cells", "", ["class", "set: %", "differ: %", "of these at a border: %", "IoU"], rows),
    ]  # fmt: skip


def devkit_labels(devkit: NuScenesMap, frame: Frame, reach: float, size: int) -> NDArray[np.bool_]:
    """bool [6, S, S] in the order of `MAP_CLASSES`, as BEVFusion's LoadBEVSegmentation asks the devkit for it."""
    heading = frame.global_from_lidar[:2, 0]
    angle = float(np.rad2deg(np.arctan2(heading[1], heading[0])))
    x, y = frame.global_from_lidar[:2, 3]
    box = (x, y, 2 * reach, 2 * reach)
    masks = devkit.get_map_mask(box, angle, [*MAP_CLASSES[:-1], *DIVIDER_LAYERS], (size, size)).astype(bool)
    plain = len(MAP_CLASSES) - 1
    return np.concatenate([masks[:plain], masks[plain:].any(0, keepdims=True)])


def near_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kernel = np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel) != cv2.dilate(mask.astype(np.uint8), kernel))


def shares(mine: NDArray[np.bool_], their: NDArray[np.bool_], border: NDArray[np.bool_]) -> list[str]:
    differ = mine != their
    at_border = 100 * border[differ].mean() if differ.any() else 100.0
    overlap = (mine & their).sum() / max((mine | their).sum(), 1)
    return [f"{100 * their.mean():.1f}", f"{100 * differ.mean():.2f}", f"{at_border:.1f}", f"{overlap:.3f}"]


if __name__ == "__main__":
    main()
