"""Points sorted into cells."""

import math

import pytest
import torch

from pipeline.geometry.grid import BevGrid
from pipeline.networks.cells import cell_centres, sort_by_cell


@pytest.mark.parametrize("layers", [1, 4])
def test_order_and_cells_equal_a_loop(layers: int) -> None:
    grid, offsets = BevGrid(2.0, 0.5), [0, 150, 150, 200]
    points = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([4.4, 4.4, 8.8]) - 2.2
    wanted = []
    for frame in range(3):
        for i in range(offsets[frame], offsets[frame + 1]):
            x, y, z = points[i].tolist()
            column, row, layer = math.floor((x + 2) / 0.5), math.floor((y + 2) / 0.5), math.floor((z + 2) * layers / 8)
            if 0 <= column < 8 and 0 <= row < 8 and 0 <= layer < layers:
                wanted.append((((frame * layers + layer) * 8 + row) * 8 + column, i))
    cells, order = sort_by_cell(points, torch.tensor(offsets), grid, -2.0, 6.0, layers)
    assert list(zip(cells.tolist(), order.tolist(), strict=True)) == sorted(wanted)
    rows, columns = cells // 8 % 8, cells % 8
    assert torch.equal(cell_centres(cells, grid), torch.from_numpy(grid.centres())[rows, columns])


def test_more_cells_than_32_bits_count() -> None:
    grid, frames = BevGrid(51.2, 0.1), 60
    cells, order = sort_by_cell(torch.zeros(2, 3), torch.tensor([0, 1, *[1] * (frames - 2), 2]), grid, -5.0, 3.0, 40)
    assert order.tolist() == [0, 1]
    assert (cells[1] - cells[0]).item() == (frames - 1) * 40 * 1024**2 > 2**31
