import numpy as np
import pytest

from pipeline.geometry.grid import BevGrid


def test_centres_by_hand() -> None:
    grid = BevGrid(2.0, 1.0)
    assert grid.size == 4
    centres = grid.centres()
    assert centres.dtype == np.float32
    assert centres.shape == (4, 4, 2)
    # Row 0 is the smallest y, column 0 the smallest x; the last axis is (x, y).
    np.testing.assert_array_equal(centres[0], [[-1.5, -1.5], [-0.5, -1.5], [0.5, -1.5], [1.5, -1.5]])
    np.testing.assert_array_equal(centres[:, 0], [[-1.5, -1.5], [-1.5, -0.5], [-1.5, 0.5], [-1.5, 1.5]])


@pytest.mark.parametrize(("reach", "cell"), [(32.0, 0.4), (51.2, 0.2), (30.0, 0.6), (50.0, 0.5)])
def test_centres_follow_the_continuous_index(reach: float, cell: float) -> None:
    grid = BevGrid(reach, cell)
    index = (grid.centres() + reach) / cell - 0.5
    columns, rows = np.meshgrid(np.arange(grid.size), np.arange(grid.size))
    np.testing.assert_allclose(index, np.stack([columns, rows], axis=-1), atol=1e-3)
    assert grid.size == round(2 * reach / cell)


def test_a_coarser_cell_covers_its_fine_ones() -> None:
    fine = BevGrid(6.4, 0.4)
    coarse = fine.coarser(4)
    assert coarse == BevGrid(6.4, 1.6)
    blocks = fine.centres().reshape(coarse.size, 4, coarse.size, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse.centres(), blocks, atol=1e-6)


def test_cells_must_fill_the_area() -> None:
    with pytest.raises(ValueError, match="cannot be cut"):
        BevGrid(32.0, 0.7)
    with pytest.raises(ValueError, match="cannot be cut"):
        BevGrid(32.0, 0.4).coarser(3)
