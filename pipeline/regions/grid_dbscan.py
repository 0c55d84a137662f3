"""Exact DBSCAN in two or three dimensions on a grid, compiled.

Gan and Tao, "DBSCAN Revisited: Mis-Claim, Un-Fixability, and Approximation", SIGMOD 2015: cells so small that all
points of a cell are neighbours. A cell of `min_samples` points holds core points only; its core points share a cluster.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

REACH = 2  # cells: eps is sqrt(dims) <= sqrt(3) cells long
COLUMNS = (2 * REACH + 1) ** 2  # neighbouring columns of cells along z, the own one included
MARGIN = 1e-9  # cells are smaller by this share, so that rounding puts no two points in one cell beyond eps
MAX_CELLS = 2**62  # of the box around all points, so that a cell's key is an int64
DIGIT = 11  # bits that the radix sort takes at a time
TIE = 1e-9  # relative difference of distance that counts as equal


class Grid(NamedTuple):
    """Points in the order of their cells, cells in the order x, y, z.

    Attributes:
        points: float64 [N, 3]; z is 0 in two dimensions.
        order: int64 [N], where each of them stood before.
        starts: int64 [C + 1], first point of each cell.
        near: int64 [C, COLUMNS, 2], the cells within `REACH` of each cell, one range a column.
        eps2: eps squared.
    """

    points: Floats
    order: Ints
    starts: Ints
    near: Ints
    eps2: float


def make_grid(coordinates: Floats, eps: float) -> Grid:
    """Sorts points into cells.

    Args:
        coordinates: float64 [N, 2] or [N, 3], finite, N > 0.
        eps: radius of the neighbourhood, in the same unit.

    Raises:
        ValueError: the points are too far apart for so small an eps.
    """
    dims = coordinates.shape[1]
    side = eps / np.sqrt(dims) * (1 - MARGIN)
    low, high = _bound(coordinates)
    corner = np.floor(low / side) - REACH  # a free margin around the box: no neighbour wraps into the next row
    size = np.floor(high / side) - corner + 1 + REACH
    if size.prod() >= MAX_CELLS:
        raise ValueError("the points lie too far apart to be clustered")
    return Grid(*_sort_into_cells(coordinates, corner, size.astype(np.int64), side), eps * eps)


@compiled
def _bound(coordinates: Floats) -> tuple[Floats, Floats]:
    """Lowest and highest x, y, z; of two dimensions z is 0."""
    low, high = np.zeros(3), np.zeros(3)
    for axis in range(coordinates.shape[1]):
        low[axis] = high[axis] = coordinates[0, axis]
        for i in range(len(coordinates)):
            low[axis] = min(low[axis], coordinates[i, axis])
            high[axis] = max(high[axis], coordinates[i, axis])
    return low, high


@compiled
def _sort_into_cells(coordinates: Floats, corner: Floats, size: Ints, side: float) -> tuple[Floats, Ints, Ints, Ints]:
    count, dims = coordinates.shape
    keys = np.empty(count, np.int64)
    for i in range(count):
        key = 0
        for axis in range(3):
            place = np.int64(np.floor(coordinates[i, axis] / side) - corner[axis]) if axis < dims else REACH
            key = key * size[axis] + place
        keys[i] = key
    order = _radix_argsort(keys, size[0] * size[1] * size[2])
    points = np.zeros((count, 3))
    cells = np.empty(count, np.int64)
    starts = np.empty(count + 1, np.int64)
    found = 0
    for i in range(count):
        for axis in range(dims):
            points[i, axis] = coordinates[order[i], axis]
        key = keys[order[i]]
        if found == 0 or key != cells[found - 1]:
            cells[found] = key
            starts[found] = i
            found += 1
    starts[found] = count
    return points, order, starts[: found + 1].copy(), _find_near(cells[:found], size)


@compiled
def _radix_argsort(keys: Ints, limit: int) -> Ints:
    """Stable order of keys in [0, limit)."""
    order, spare = np.arange(len(keys)), np.empty(len(keys), np.int64)
    shift = 0
    while limit >> shift:
        ends = np.zeros((1 << DIGIT) + 1, np.int64)
        for i in range(len(keys)):
            ends[((keys[i] >> shift) & ((1 << DIGIT) - 1)) + 1] += 1
        ends = np.cumsum(ends)
        for i in range(len(keys)):
            digit = (keys[order[i]] >> shift) & ((1 << DIGIT) - 1)
            spare[ends[digit]] = order[i]
            ends[digit] += 1
        order, spare = spare, order
        shift += DIGIT
    return order


@compiled
def _find_near(cells: Ints, size: Ints) -> Ints:
    """Keys ascend, so the bounds of every neighbouring column only move forward from one cell to the next."""
    near = np.empty((len(cells), COLUMNS, 2), np.int64)
    delta, first, last = np.empty(COLUMNS, np.int64), np.zeros(COLUMNS, np.int64), np.zeros(COLUMNS, np.int64)
    for column in range(COLUMNS):
        dx, dy = column // (2 * REACH + 1) - REACH, column % (2 * REACH + 1) - REACH
        delta[column] = (dx * size[1] + dy) * size[2]
    for c in range(len(cells)):
        for column in range(COLUMNS):
            key = cells[c] + delta[column]
            a, b = first[column], last[column]
            while a < len(cells) and cells[a] < key - REACH:
                a += 1
            while b < len(cells) and cells[b] <= key + REACH:
                b += 1
            first[column], last[column] = a, b
            near[c, column, 0], near[c, column, 1] = a, b
    return near


@compiled
def _distance2(points: Floats, i: int, j: int) -> float:
    x, y, z = points[i, 0] - points[j, 0], points[i, 1] - points[j, 1], points[i, 2] - points[j, 2]
    return float(x * x + y * y + z * z)


@compiled
def find_core_points(grid: Grid, min_samples: int) -> Bools:
    """Which points, in grid order, have `min_samples` points within eps, themselves included; bool [N]."""
    core = np.zeros(len(grid.points), np.bool_)
    for c in range(len(grid.starts) - 1):
        first, last = grid.starts[c], grid.starts[c + 1]
        if last - first >= min_samples:
            core[first:last] = True
            continue
        for i in range(first, last):
            found = last - first
            for column in range(COLUMNS):
                for j in range(grid.starts[grid.near[c, column, 0]], grid.starts[grid.near[c, column, 1]]):
                    if not first <= j < last and _distance2(grid.points, i, j) <= grid.eps2:
                        found += 1
                if found >= min_samples:
                    core[i] = True
                    break
    return core


@compiled
def connect(grid: Grid, core: Bools) -> Ints:
    """Cluster of every core point, in grid order; -1 for other points.

    Clusters are numbered by the first of their core points in the order that the points came in.
    """
    cells = len(grid.starts) - 1
    parent = np.arange(cells)
    boxes = _bound_core_points(grid, core)
    for a in range(cells):
        if boxes[a, 0] > boxes[a, 3]:
            continue
        for column in range(COLUMNS // 2, COLUMNS):  # the other half are pairs seen from their other cell
            for b in range(max(a + 1, grid.near[a, column, 0]), grid.near[a, column, 1]):
                root_a, root_b = _root(parent, a), _root(parent, b)
                if root_a != root_b and _touch(grid, core, boxes, a, b):
                    parent[max(root_a, root_b)] = min(root_a, root_b)
    cell_of = np.empty(len(core), np.int64)  # by the points' first order
    for c in range(cells):
        for i in range(grid.starts[c], grid.starts[c + 1]):
            cell_of[grid.order[i]] = c if core[i] else -1
    names = np.full(cells, -1)
    used = 0
    for i in range(len(cell_of)):
        if cell_of[i] >= 0:
            root = _root(parent, cell_of[i])
            if names[root] < 0:
                names[root] = used
                used += 1
    labels = np.full(len(core), -1)
    for i in range(len(core)):
        if core[i]:
            labels[i] = names[_root(parent, cell_of[grid.order[i]])]
    return labels


@compiled
def _bound_core_points(grid: Grid, core: Bools) -> Floats:
    """Box of each cell's core points: low x y z, high x y z; [C, 6], low above high where there is none."""
    boxes = np.empty((len(grid.starts) - 1, 6))
    boxes[:, :3], boxes[:, 3:] = np.inf, -np.inf
    for c in range(len(boxes)):
        for i in range(grid.starts[c], grid.starts[c + 1]):
            if core[i]:
                for axis in range(3):
                    boxes[c, axis] = min(boxes[c, axis], grid.points[i, axis])
                    boxes[c, axis + 3] = max(boxes[c, axis + 3], grid.points[i, axis])
    return boxes


@compiled
def _root(parent: Ints, cell: int) -> int:
    while parent[cell] != cell:
        parent[cell] = parent[parent[cell]]
        cell = parent[cell]
    return cell


@compiled
def _touch(grid: Grid, core: Bools, boxes: Floats, a: int, b: int) -> bool:
    """Whether a core point of cell `a` lies within eps of one of cell `b`."""
    for i in range(grid.starts[a], grid.starts[a + 1]):
        if not core[i]:
            continue
        gap2 = 0.0
        for axis in range(3):
            value = grid.points[i, axis]
            gap = max(boxes[b, axis] - value, value - boxes[b, axis + 3], 0.0)
            gap2 += gap * gap
        if gap2 > grid.eps2:
            continue
        for j in range(grid.starts[b], grid.starts[b + 1]):
            if core[j] and _distance2(grid.points, i, j) <= grid.eps2:
                return True
    return False


@compiled
def adopt_border_points(grid: Grid, core: Bools, labels: Ints) -> Ints:
    """Gives every other point within eps of a core point the cluster of its nearest one, at a tie the lower one.

    Args:
        grid: the points.
        core: [N] core points, in grid order.
        labels: [N] clusters of the core points, in grid order.

    Returns:
        int64 [N], in the order that the points came in; -1 is noise.
    """
    result = np.empty(len(labels), np.int64)
    for c in range(len(grid.starts) - 1):
        for i in range(grid.starts[c], grid.starts[c + 1]):
            result[grid.order[i]] = labels[i] if core[i] else _nearest_label(grid, core, labels, c, i)
    return result


@compiled
def _nearest_label(grid: Grid, core: Bools, labels: Ints, cell: int, point: int) -> int:
    nearest2 = np.inf
    for column in range(COLUMNS):
        for j in range(grid.starts[grid.near[cell, column, 0]], grid.starts[grid.near[cell, column, 1]]):
            if core[j]:
                nearest2 = min(nearest2, _distance2(grid.points, point, j))
    if nearest2 > grid.eps2:
        return -1
    limit2 = nearest2 * (1 + TIE) ** 2
    label = len(labels)
    for column in range(COLUMNS):
        for j in range(grid.starts[grid.near[cell, column, 0]], grid.starts[grid.near[cell, column, 1]]):
            if core[j] and labels[j] < label and _distance2(grid.points, point, j) <= limit2:
                label = int(labels[j])
    return label
