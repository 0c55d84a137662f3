"""Convex hulls on x y, their areas and minimum-area rectangles, compiled.

A sweep has hundreds of clusters, most of them tiny; one call of a hull library for each costs more than DBSCAN.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ROUNDING = 1e-12  # relative


@compiled
def find_hull(xy: Floats) -> Ints:
    """Quickhull (Barber, Dobkin and Huhdanpaa, ACM TOMS 1996).

    Args:
        xy: [N, 2], finite, N > 0.

    Returns:
        int64 [H], the vertices counter-clockwise from the leftmost one. Points on an edge are no vertices; points on
        one spot have one vertex, on one line two.
    """
    count = len(xy)
    left = right = 0
    for i in range(count):
        if _before(xy, i, left):
            left = i
        if _before(xy, right, i):
            right = i
    vertices, found = np.empty(count + 1, np.int64), 0
    if xy[left, 0] == xy[right, 0] and xy[left, 1] == xy[right, 1]:
        vertices[0] = left
        return vertices[:1]
    # Edges wait on a stack, each with the points outside of it; a point is outside of one edge at most.
    outside = np.arange(count)
    first = _take_outside(xy, outside, 0, count, left, right)
    second = _take_outside(xy, outside, first, count, right, left)
    edges = np.empty((count + 2, 4), np.int64)
    edges[0], edges[1] = (right, left, first, second), (left, right, 0, first)
    waiting = 2
    while waiting:
        waiting -= 1
        start, end, a, b = edges[waiting]
        if a == b:
            vertices[found] = start
            found += 1
            continue
        top = _farthest(xy, outside, a, b, start, end)
        middle = _take_outside(xy, outside, a, b, start, top)
        last = _take_outside(xy, outside, middle, b, top, end)
        edges[waiting], edges[waiting + 1] = (top, end, middle, last), (start, top, a, middle)
        waiting += 2
    return vertices[:found]


@compiled
def polygon_area(corners: Floats) -> float:
    """Shoelace area of the counter-clockwise polygon `corners` [H, 2]; 0 for one or two corners."""
    total = 0.0
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        # About the first corner: coordinates far from the origin would cost digits.
        total += (corners[i, 0] - corners[0, 0]) * (corners[j, 1] - corners[0, 1])
        total -= (corners[j, 0] - corners[0, 0]) * (corners[i, 1] - corners[0, 1])
    return total / 2


@compiled
def rectangle_sides(corners: Floats) -> tuple[float, float]:
    """Short and long side of the minimum-area rectangle around the convex polygon `corners` [H, 2].

    One side of that rectangle lies on an edge (Freeman and Shapira, CACM 1975), so every edge is tried; among
    rectangles of equal area the first one counts. One corner gives (0, 0), two give (0, their distance).
    """
    best, short, long = np.inf, 0.0, 0.0
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        x, y = corners[j, 0] - corners[i, 0], corners[j, 1] - corners[i, 1]
        norm = np.hypot(x, y)
        if norm == 0:
            continue
        along_low = along_high = across_low = across_high = 0.0
        for k in range(len(corners)):
            dx, dy = corners[k, 0] - corners[i, 0], corners[k, 1] - corners[i, 1]
            along, across = (x * dx + y * dy) / norm, (x * dy - y * dx) / norm
            along_low, along_high = min(along_low, along), max(along_high, along)
            across_low, across_high = min(across_low, across), max(across_high, across)
        length, width = along_high - along_low, across_high - across_low
        if length * width < best:
            best, short, long = length * width, min(length, width), max(length, width)
    return short, long


@compiled
def _before(xy: Floats, i: int, j: int) -> bool:
    """Order by x, then y."""
    before: bool = xy[i, 0] < xy[j, 0] or (xy[i, 0] == xy[j, 0] and xy[i, 1] < xy[j, 1])
    return before


@compiled
def _height(xy: Floats, point: int, start: int, end: int) -> float:
    """How far a point lies outside an edge (right of it), times the edge's length, m2; 0 for a point inside.

    A point on the line gets a rounding error of either sign, and must not become a vertex.
    """
    across, along = xy[end, 0] - xy[start, 0], xy[end, 1] - xy[start, 1]
    rightward, forward = xy[point, 0] - xy[start, 0], xy[point, 1] - xy[start, 1]
    length = max(abs(across), abs(along))
    height = along * rightward - across * forward
    return height if height > ROUNDING * length * (length + abs(rightward) + abs(forward)) else 0.0


@compiled
def _take_outside(xy: Floats, outside: Ints, a: int, b: int, start: int, end: int) -> int:
    """Moves those of outside[a:b] that lie outside an edge to the front, and says where they end."""
    taken = a
    for i in range(a, b):
        if _height(xy, outside[i], start, end) > 0:
            outside[taken], outside[i] = outside[i], outside[taken]
            taken += 1
    return taken


@compiled
def _farthest(xy: Floats, outside: Ints, a: int, b: int, start: int, end: int) -> int:
    """Which of outside[a:b] is farthest from an edge, of equally far ones the farthest along it."""
    best, best_height, best_progress = int(outside[a]), -1.0, 0.0
    for i in range(a, b):
        point = int(outside[i])
        height = _height(xy, point, start, end)
        progress = (xy[point, 0] - xy[start, 0]) * (xy[end, 0] - xy[start, 0])
        progress += (xy[point, 1] - xy[start, 1]) * (xy[end, 1] - xy[start, 1])
        if height > best_height or (height == best_height and progress > best_progress):
            best, best_height, best_progress = point, height, progress
    return best
