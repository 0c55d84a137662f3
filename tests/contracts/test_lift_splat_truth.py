"""A pixel at its true depth lands in the BEV cell of the LiDAR point that it shows, whatever the augmentation.

The pixel goes by stored image, image augmentation, the lift with the matrices of the batch, splat; the point by sweep
file, BEV augmentation, floor. They meet nowhere before the cell.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.frames.augmentation import ImageAugmentation
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import read_points
from pipeline.geometry.grid import BevGrid
from pipeline.networks.lift_splat import SPLAT_Z, frustum_cells
from pipeline.networks.sampling import sample_bev
from pipeline.networks.splat import plan_splat, splat
from pipeline.params import Dataset
from tests.contracts.true_views import index_of
from tests.frames.tiny_dataset import GRID, augmentation_params, frames_params

FRAMES, RANGES = frames_params(sweeps=0, ego_radius=0.0), augmentation_params()
CELLS = BevGrid(GRID.reach, 0.4)
ROOT = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))


@pytest.fixture(scope="module", params=["embedded", pytest.param("recorded", marks=pytest.mark.real_data)])
def index(request: pytest.FixtureRequest, world: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    splits = ("embedded_train", "embedded_train", "embedded_val")
    dataset = Dataset("embedded", str(world), "v1.0-embedded", ["embedded"], *splits, {})
    if request.param == "recorded":
        if not ROOT.is_dir():
            pytest.skip(f"no recorded data at {ROOT}; set CALICO_REAL_DATA")
        dataset = Dataset("sample", str(ROOT), "v1.0-mini", [], "all", "all", "all", {"all": ["scene-0061"]})
    return index_of(dataset, tmp_path_factory.mktemp("lift") / "index")


@pytest.mark.parametrize("epoch", [None, 0, 1, 2])
def test_pixels_return_to_the_cells_of_their_points(index: FrameIndex, epoch: int | None) -> None:
    """`epoch` None is the fixed form of test time, the others are random views."""
    position = next(position for position in range(len(index)) if len(index[position].cameras) == 6)
    frame = index[position]
    loader = FrameLoader(index, FRAMES, GRID, images=True, augmentation=None if epoch is None else RANGES)
    batch = loader.load([position], epoch=epoch or 0, crop=False)
    assert batch.bev_from_image is not None
    stored, moved = read_points(index.root / frame.lidar_path), batch.points
    for c, camera in enumerate(frame.cameras):
        assert camera.channel == CAMERA_CHANNELS[c]
        augmentation = ImageAugmentation.identity(FRAMES, camera.size)
        if epoch is not None:
            augmentation = ImageAugmentation.draw(RANGES, FRAMES, camera.size, 0, epoch, frame.token, camera.channel)
        seen, pixels, depth = network_pixels(camera.image_from_lidar, augmentation, stored)
        points = moved[torch.from_numpy(seen)]
        cells, kept = cells_of(points)
        lifted = lifted_cells(batch.bev_from_image[0, c], pixels, depth)
        assert int(kept.sum()) > 50, camera.channel
        assert torch.equal(lifted[kept], cells[kept]), camera.channel
        # Splat: a cell holds the sum over its pixels, and a point reads its own pixel's feature back.
        flat = torch.where(kept, lifted, -1).int()[:, None]
        bev = splat(torch.ones(len(flat), 1), torch.ones(len(flat), 1), plan_splat(flat, CELLS.size**2))
        counts = torch.bincount(cells[kept], minlength=CELLS.size**2)
        assert torch.equal(bev[:, 0].long(), counts)
        centre = torch.from_numpy(CELLS.centres()).view(-1, 2)[cells[kept]]
        read = sample_bev(bev.view(1, 1, CELLS.size, CELLS.size), centre, torch.zeros(len(centre)).long(), CELLS)
        torch.testing.assert_close(read[:, 0], counts[cells[kept]].float(), rtol=0.01, atol=0.01)


def network_pixels(
    image_from_lidar: NDArray[np.float64], augmentation: ImageAugmentation, points: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows of `points` that the network input shows, their pixels in it [N, 2] and depths [N], metres."""
    scaled = points[:, :3].astype(np.float64) @ image_from_lidar[:3, :3].T + image_from_lidar[:3, 3]
    ahead = np.flatnonzero(scaled[:, 2] > 1.0)
    pixels = np.ones((len(ahead), 3))
    pixels[:, :2] = scaled[ahead, :2] / scaled[ahead, 2:]
    pixels = (pixels @ augmentation.matrix.T)[:, :2]
    inside = ((pixels > -0.5) & (pixels < np.array(augmentation.size) - 0.5)).all(1)
    return ahead[inside], pixels[inside], scaled[ahead[inside], 2]


def lifted_cells(bev_from_image: torch.Tensor, pixels: NDArray[np.float64], depth: NDArray[np.float64]) -> torch.Tensor:
    """int64 [N]: the cell of each pixel at its own depth, by `frustum_cells`; -1 off the grid."""
    rays = torch.from_numpy(np.column_stack([pixels, np.ones(len(pixels))])).float()
    # Every pixel is one image of one pixel here, so that each has a depth of its own: its ray is scaled by that depth.
    scaled = rays * torch.from_numpy(depth).float()[:, None]
    count = len(pixels)
    return (
        frustum_cells(bev_from_image[None], torch.zeros(1).int(), scaled.view(1, count, 3), torch.ones(1), CELLS)[
            0, :, :, 0
        ]
        .view(count)
        .long()
    )


def cells_of(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat cell of every point, and which points are on the grid and at least a millimetre from a cell's border."""
    place = (points[:, :2].double() + CELLS.reach) / CELLS.cell
    height = points[:, 2]
    inside = ((place >= 0) & (place < CELLS.size)).all(1) & (height > SPLAT_Z[0]) & (height < SPLAT_Z[1])
    clear = ((place - place.round()).abs() * CELLS.cell > 1e-3).all(1)
    column, row = place.floor().long().unbind(1)
    return row * CELLS.size + column, inside & clear
