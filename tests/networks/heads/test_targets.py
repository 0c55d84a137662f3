"""Detection targets."""

import math

import numpy as np
import pytest
import torch

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.encoding import decode_boxes, encode_boxes
from pipeline.networks.heads.targets import detection_targets, gaussian_heatmap, gaussian_radius
from tests.reference import networks as twins

GRID = BevGrid(8.0, 0.8)
ONE = torch.zeros(10, dtype=torch.int64)  # all classes in one group


@pytest.mark.parametrize(("length", "width"), [(5.75, 2.4), (1.0, 1.0), (15.0, 3.6), (40.0, 40.0), (0.5, 0.5)])
def test_radius_equals_the_three_cases(length: float, width: float) -> None:
    ours = gaussian_radius(torch.tensor([length]), torch.tensor([width]))
    assert int(ours) == twins.gaussian_radius(length, width)


def test_heatmap_equals_cell_by_cell() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randint(0, 12, (9, 2), generator=generator)
    radii = torch.randint(2, 6, (9,), generator=generator)
    planes = torch.randint(0, 3, (9,), generator=generator)
    ours = gaussian_heatmap(3, 12, centres, radii, planes)
    np.testing.assert_allclose(
        ours, twins.gaussian_heatmap(3, 12, centres.numpy(), radii.numpy(), planes.numpy()), rtol=1e-5, atol=1e-7
    )
    assert (ours[planes, centres[:, 1], centres[:, 0]] == 1).all()


def test_values_of_one_box_by_hand() -> None:
    box = torch.tensor([[1.0, -3.0, 0.5, 4.0, 2.0, 1.5, math.pi / 2, 3.0, math.nan]])
    targets = detection_targets(
        [torch.zeros(0, 9), box], [torch.zeros(0, dtype=torch.int64), torch.tensor([2])], GRID, ONE
    )
    row, column = 6, 11  # floor((-3 + 8) / 0.8), floor((1 + 8) / 0.8)
    assert targets.cells.tolist() == [(20 + row) * 20 + column]
    assert targets.heatmap.shape == (2, 10, 20, 20)
    assert targets.heatmap[1, 2, row, column] == 1
    assert targets.heatmap[0].sum() == 0
    centre = torch.from_numpy(GRID.centres()[row, column])
    torch.testing.assert_close(centre + targets.offset[0] * GRID.cell, box[0, :2])
    assert targets.height.item() == 0.5
    torch.testing.assert_close(targets.size[0].exp(), box[0, 3:6])
    torch.testing.assert_close(targets.rotation[0], torch.tensor([1.0, 0.0]), atol=1e-6, rtol=0)
    assert targets.velocity[0, 0] == 3
    assert targets.velocity[0, 1].isnan()


def test_boxes_off_the_grid_and_without_extent_are_left_out() -> None:
    boxes = torch.ones(4, 9)
    boxes[0, 0] = 8.0
    boxes[1, 1] = -8.1
    boxes[2, 4] = 0.0
    targets = detection_targets([boxes], [torch.zeros(4, dtype=torch.int64)], GRID, ONE)
    assert len(targets.cells) == 1


def test_no_box_at_all() -> None:
    targets = detection_targets([torch.zeros(0, 9)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2, GRID, ONE)
    assert targets.heatmap.shape == (2, 10, 20, 20)
    assert targets.heatmap.sum() == 0
    assert len(targets.cells) == 0


def test_cells_of_groups() -> None:
    group_of = torch.tensor([0, 1, 2, 2, 1, 5, 4, 4, 5, 3])
    box = torch.tensor([[1.0, -3.0, 0.5, 4.0, 2.0, 1.5, 0, 0, 0]])
    for label, group in enumerate(group_of.tolist()):
        classes = [torch.zeros(0, dtype=torch.int64), torch.tensor([label])]
        targets = detection_targets([torch.zeros(0, 9), box], classes, GRID, group_of)
        assert targets.groups.tolist() == [group]
        assert targets.cells.tolist() == [((6 + group) * 20 + 6) * 20 + 11]  # frame 1 of six groups a frame


def test_codes_there_and_back() -> None:
    boxes = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) * 6 - 3
    boxes[:, 3:6] = boxes[:, 3:6].abs() + 0.1
    codes = encode_boxes(boxes, GRID)
    torch.testing.assert_close(decode_boxes(codes, GRID), boxes, rtol=1e-4, atol=1e-5)
    codes[:, 6:8] *= 3  # only the direction of (sin, cos) counts
    torch.testing.assert_close(decode_boxes(codes, GRID), boxes, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(codes[:, :2], (boxes[:, :2] + 8) / 0.8)
    codes[:, 3:6] = 1000.0
    assert torch.isfinite(decode_boxes(codes, GRID)).all()
