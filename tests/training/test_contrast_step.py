"""What the contrasts of a training read and survive: the points of both views, and frames that lack nearly all."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor, nn

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.params import CameraMethod, LidarMethod, Runtime, Schedule, load_params
from pipeline.regions.store import RegionStore
from pipeline.training.distill_camera import CameraEmbedding, distill_camera
from pipeline.training.loop import Run
from pipeline.training.pretrain_jointly import pretrain_jointly
from pipeline.training.pretrain_lidar import (
    LidarEmbedding,
    draw_any_points,
    draw_contrast_points,
    in_reach,
    off_ground,
    pretrain_lidar,
)
from tests.small_networks import small_frames, small_inputs, small_networks

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
GRID = small_networks().grid
# Region ids of the points of a batch's frames.
BATCHES: dict[str, list[list[int]]] = {
    "a full frame, an empty one, one of one point": [[0] * 60 + [1] * 40 + [-1] * 60 + [-2] * 60, [], [0]],
    "no region": [[-1] * 100 + [-2] * 50, [-3]],
    "one region": [[-1] * 50, [0] * 30 + [-1] * 30],
    "one point in regions": [[0], [-2] * 40],
    "two frames of one point": [[0], [-1]],
    "no point": [[], []],
}


class CoordinateMap(nn.Module):
    """Stands where a branch stands: its BEV map holds the cell centres."""

    def __init__(self) -> None:
        super().__init__()
        self.out_grid = GRID.feature_grid

    def forward(self, points: Tensor, offsets: Tensor) -> Tensor:
        centres = torch.from_numpy(self.out_grid.centres()).permute(2, 0, 1)
        return centres.expand(len(offsets) - 1, -1, -1, -1)

    def encode(self, images: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward(images, images.new_zeros(len(images) + 1)), images[:0]


def make_batch(region_ids: Sequence[Sequence[int]]) -> FrameBatch:
    """Frames of these points, all cameras present in the first."""
    inputs, count = small_inputs(), len(region_ids)
    assert inputs.images is not None and inputs.bev_from_image is not None
    present = torch.zeros(count, 6, dtype=torch.bool)
    present[0] = True
    return FrameBatch(
        tokens=tuple(f"frame {b}" for b in range(count)),
        points=inputs.points[: sum(map(len, region_ids))],
        offsets=torch.tensor([0, *map(len, region_ids)]).cumsum(0),
        bev_from_lidar=torch.eye(4).repeat(count, 1, 1),
        region_ids=torch.tensor([r for frame in region_ids for r in frame], dtype=torch.int16),
        images=inputs.images[:1].repeat(count, 1, 1, 1, 1),
        bev_from_image=inputs.bev_from_image[:1].repeat(count, 1, 1, 1),
        camera_present=present,
    )


@dataclasses.dataclass
class OneBatch:
    """A loader of one batch whatever is asked for; the second view is turned by a quarter."""

    batch: FrameBatch

    def load(self, positions: Sequence[int], epoch: int, seed: int, view: str = "a", **_: Any) -> FrameBatch:
        points = self.batch.points.clone()
        if view == "two":
            points[:, :2] = points[:, [1, 0]] * torch.tensor([-1.0, 1.0])
        return dataclasses.replace(self.batch, points=points)


@pytest.mark.parametrize("name", BATCHES)
def test_a_training_survives(name: str, world_runtime: Runtime, tmp_path: Path) -> None:
    """Two optimiser steps of every method: nothing is NaN, and where there is nothing to compare the loss is 0."""
    loader = cast(FrameLoader, OneBatch(make_batch(BATCHES[name])))
    schedule = Schedule(epochs=None, steps=2, batch=2, lr=0.01, weight_decay=0.0, clip=35.0, warmup=0.4)
    own = dataclasses.replace(PARAMS.pretrain_lidar, rich=32, less=32)
    theirs = dataclasses.replace(PARAMS.distill_camera, rich=32, less=32)
    networks, frames = small_networks(), small_frames()
    losses = {}
    teacher: dict[str, Tensor] = {}
    for method in get_args(LidarMethod):
        run = Run(method, range(2), schedule, 0, tmp_path / method)
        teacher, history = pretrain_lidar(loader, run, networks, own, world_runtime, method)
        losses[method] = [row["loss"] for row in history.rows]
        assert all(torch.isfinite(tensor).all() for tensor in teacher.values())
    for method in get_args(CameraMethod):
        run = Run(method, range(2), schedule, 0, tmp_path / method)
        sizes = (networks, frames, theirs, world_runtime)
        if method == "simipu":
            weights, history, _ = pretrain_jointly(loader, run, {}, *sizes)
        else:
            weights, history, _ = distill_camera(loader, run, teacher, {}, *sizes, method)
        losses[method] = [row["loss"] for row in history.rows]
        assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    assert all(math.isfinite(loss) for pair in losses.values() for loss in pair)
    regions = any(r >= 0 for frame in BATCHES[name] for r in frame)
    for method in ("plrc", "rad", "rad_unweighted", "bev_distill"):
        assert (losses[method] == [0, 0]) == (not regions), method
    for method in ("prc", "rapc", "point_info_nce", "simipu"):
        assert (losses[method] == [0, 0]) == (name == "no point"), method


def test_both_views_and_both_branches_read_a_point_at_its_own_place(region_project: Path) -> None:
    """Trap 9.1 through the embeddings of the trainings, on the small world under its augmentation."""
    params = load_params()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    loader = FrameLoader(
        index, params.frames, GRID, regions=RegionStore.open(Path("data/regions"), params.regions), images=True,
        augmentation=params.pretrain_lidar.augmentation,
    )  # fmt: skip
    networks = small_networks()
    lidar, camera = LidarEmbedding(networks), CameraEmbedding(networks, small_frames())
    for embedding in (lidar, camera):
        embedding.lidar = embedding.camera = cast(Any, CoordinateMap())
        embedding.lidar_projector = embedding.camera_projector = cast(Any, nn.Identity())
    views = [loader.load([0, 1], 3, 5, view, crop=False) for view in ("one", "two")]
    eligible = in_reach(views[0], GRID.reach) & in_reach(views[1], GRID.reach)
    drawn = draw_contrast_points(views[0], eligible, rich=200, less=200, seed=5, epoch=3)
    assert len(drawn.index) > 400
    for view in views:
        places = view.points[drawn.index, :2]
        for read in (lidar(view, drawn), camera(view, drawn)[0]):
            assert (read - places).abs().max() <= GRID.feature_grid.cell / 2 + 1e-4
    # The same rows are the same points: taken back to the LiDAR frame, both views agree; the views themselves do not.
    homogeneous = [torch.cat([view.points[drawn.index, :3], torch.ones(len(drawn.index), 1)], 1) for view in views]
    back = [
        torch.linalg.solve(view.bev_from_lidar[drawn.frame], rows)
        for view, rows in zip(views, homogeneous, strict=True)
    ]
    torch.testing.assert_close(back[0], back[1], rtol=0, atol=1e-3)
    assert (homogeneous[0] - homogeneous[1]).abs().median() > 0.5


def test_the_points_of_a_frame_do_not_depend_on_the_batch() -> None:
    """So that one process with four frames and four with one each contrast the same points."""
    both = make_batch([[0] * 200 + [-1] * 200, [0] * 150 + [-1] * 250])
    start = int(both.offsets[1])
    alone = dataclasses.replace(
        both, tokens=both.tokens[1:], points=both.points[start:], offsets=both.offsets[1:] - start,
        region_ids=cast(Tensor, both.region_ids)[start:],
    )  # fmt: skip

    def draw(batch: FrameBatch, epoch: int = 0) -> list[int]:
        drawn = draw_contrast_points(
            batch, torch.ones(len(batch.points), dtype=torch.bool), rich=20, less=20, seed=1, epoch=epoch
        )
        last = len(batch) - 1
        return (drawn.index[drawn.frame == last] - batch.offsets[last]).tolist()

    assert len(draw(both)) == 40
    assert draw(both) == draw(alone)
    assert draw(alone, epoch=1) != draw(alone)


def test_points_drawn_without_a_look_at_regions() -> None:
    batch = make_batch([[0] * 50 + [-2] * 900 + [-4] * 50])
    everything = torch.ones(1000, dtype=torch.bool)
    drawn = draw_any_points(batch, everything, rich=100, less=100, seed=0, epoch=0)
    assert len(drawn.index) == 200 and (drawn.region == -1).all()
    assert (drawn.index < 950).all()
    # Half of what a contrast with regions draws would lie in regions; a uniform draw finds about 5 %.
    assert 0 < (drawn.index < 50).sum() < 30
    assert off_ground(batch).tolist() == [True] * 50 + [False] * 900 + [True] * 50
