"""Convex hulls and minimum-area rectangles of many point groups at once.

A sweep has some two hundred clusters, most of them tiny; one call of a hull library for each costs more than DBSCAN.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ROUNDING = 1e-12  # relative


def convex_hulls(xy: Floats, group: Ints, groups: int) -> tuple[Ints, Ints]:
    """Quickhull (Barber, Dobkin and Huhdanpaa, ACM TOMS 1996) of every group, all groups in step.

    Args:
        xy: [N, 2], finite.
        group: [N], ascending, each of 0 .. groups - 1 at least once.
        groups: number of groups.

    Returns:
        Indices [H] of the hull vertices, group by group and counter-clockwise within a group, and the bounds
        [groups + 1] of the groups in it. Points on an edge are no vertices; a group on one spot has one vertex, a group
        on one line two.
    """
    x, y = np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1])
    left = _argmax_per_owner(-x, -y, group, groups)
    right = _argmax_per_owner(x, y, group, groups)
    # The edges 2g (left to right) and 2g + 1 (right to left) of group g to begin with.
    start, end = np.stack([left, right], 1).ravel(), np.stack([right, left], 1).ravel()
    owner = np.repeat(np.arange(groups), 2)
    point, edge = np.arange(len(xy)), 2 * group
    finished: list[tuple[Ints, Ints]] = []
    while len(start):
        # A point was outside the edge over which these two were put up, so it is outside of one of them at most.
        over_first = _outside(x, y, point, start[edge], end[edge])
        over_second = _outside(x, y, point, start[edge + 1], end[edge + 1])
        is_first, is_second = over_first > 0, over_second > 0
        point = np.concatenate([point[is_first], point[is_second]])
        edge = np.concatenate([edge[is_first], edge[is_second] + 1])
        height = np.concatenate([over_first[is_first], over_second[is_second]])
        progress = (x[point] - x[start[edge]]) * (x[end[edge]] - x[start[edge]])
        progress += (y[point] - y[start[edge]]) * (y[end[edge]] - y[start[edge]])
        apex = _argmax_per_owner(height, progress, edge, len(start))
        final = apex < 0
        finished.append((start[final], owner[final]))
        split = np.flatnonzero(~final)
        edge = 2 * (np.cumsum(~final) - 1)[edge]
        top = point[apex[split]]
        start, end = np.stack([start[split], top], 1).ravel(), np.stack([top, end[split]], 1).ravel()
        owner = np.repeat(owner[split], 2)
    vertex = np.concatenate([found for found, _ in finished])
    return _sort_around(xy, vertex, np.concatenate([owners for _, owners in finished]), groups)


def polygon_areas(xy: Floats, vertex: Ints, bounds: Ints) -> Floats:
    """Shoelace areas [groups] of the polygons that `convex_hulls` returns; 0 for one or two vertices."""
    corner = xy[vertex]
    following = corner[_next_in_group(bounds)]
    cross = corner[:, 0] * following[:, 1] - corner[:, 1] * following[:, 0]
    return np.asarray(np.add.reduceat(cross, bounds[:-1]) / 2, np.float64)


def rectangle_sides(xy: Floats, vertex: Ints, bounds: Ints) -> tuple[Floats, Floats]:
    """Short and long side [groups] of each group's minimum-area rectangle.

    One side of that rectangle lies on a hull edge (Freeman and Shapira, CACM 1975), so every edge is tried; among
    rectangles of equal area the first one counts. One vertex gives (0, 0), two give (0, their distance).
    """
    corner = xy[vertex]
    along = corner[_next_in_group(bounds)] - corner
    norm = np.hypot(along[:, 0], along[:, 1])
    along = np.where(norm[:, None] > 0, along / np.where(norm > 0, norm, 1)[:, None], [1.0, 0.0])
    # Every edge against every vertex of its own group: sizes n_g * n_g, laid out edge after edge.
    size = np.diff(bounds)
    per_edge = np.repeat(size, size)
    edge_start = np.concatenate([[0], np.cumsum(per_edge)])
    edge = np.repeat(np.arange(len(vertex)), per_edge)
    other = np.arange(edge_start[-1]) - edge_start[edge] + np.repeat(bounds[:-1], size)[edge]
    u = along[edge, 0] * corner[other, 0] + along[edge, 1] * corner[other, 1]
    v = along[edge, 0] * corner[other, 1] - along[edge, 1] * corner[other, 0]
    length, width = (
        np.maximum.reduceat(side, edge_start[:-1]) - np.minimum.reduceat(side, edge_start[:-1]) for side in (u, v)
    )
    owner = np.repeat(np.arange(len(size)), size)
    best = np.lexsort((length * width, owner))[bounds[:-1]]
    sides = np.stack([length[best], width[best]])
    return sides.min(axis=0), sides.max(axis=0)


def _outside(x: Floats, y: Floats, point: Ints, start: Ints, end: Ints) -> Floats:
    """How far each point lies outside its edge (right of it), times the edge's length, m2; 0 for a point inside.

    A point on the line gets a rounding error of either sign, and must not become a vertex.
    """
    across, along = x[end] - x[start], y[end] - y[start]
    rightward, forward = x[point] - x[start], y[point] - y[start]
    length = np.maximum(np.abs(across), np.abs(along))
    cross: Floats = along * rightward - across * forward
    slack = ROUNDING * length * (length + np.abs(rightward) + np.abs(forward))
    return np.where(cross > slack, cross, 0.0)


def _argmax_per_owner(value: Floats, tie: Floats, owner: Ints, owners: int) -> Ints:
    """Index of each owner's largest value, among equals that with the largest tie; -1 for an owner without entries."""
    best = np.full(owners, -np.inf)
    np.maximum.at(best, owner, value)
    candidate = np.flatnonzero(value == best[owner])
    candidate = candidate[np.lexsort((tie[candidate], owner[candidate]))]
    result = np.full(owners, -1)
    result[owner[candidate]] = candidate  # the last assignment to an index wins
    return result


def _sort_around(xy: Floats, vertex: Ints, owner: Ints, groups: int) -> tuple[Ints, Ints]:
    """Vertices group by group, counter-clockwise, and the bounds of the groups."""
    count = np.bincount(owner, minlength=groups)
    centre = np.stack([np.bincount(owner, xy[vertex, axis], groups) / count for axis in (0, 1)], 1)
    arm = xy[vertex] - centre[owner]
    order = np.lexsort((np.arctan2(arm[:, 1], arm[:, 0]), owner))
    # A group on one spot came with the same vertex (or a twin of it) twice.
    sorted_vertex, sorted_owner = vertex[order], owner[order]
    twin = np.zeros(len(order), bool)
    twin[1:] = (sorted_owner[1:] == sorted_owner[:-1]) & (xy[sorted_vertex[1:]] == xy[sorted_vertex[:-1]]).all(axis=1)
    sorted_vertex, sorted_owner = sorted_vertex[~twin], sorted_owner[~twin]
    return sorted_vertex, np.searchsorted(sorted_owner, np.arange(groups + 1))


def _next_in_group(bounds: Ints) -> Ints:
    """Index of each vertex's successor around its own polygon."""
    following = np.arange(1, bounds[-1] + 1)
    following[bounds[1:] - 1] = bounds[:-1]
    return following
