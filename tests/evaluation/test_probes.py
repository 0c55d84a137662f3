"""Probes against known answers."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.evaluation.probe_frames import ProbeBatch, Sample, _spread, class_scores, gather
from pipeline.evaluation.probe_geometry import geometry_map
from pipeline.evaluation.probes import ProbeSet, linear_probe, neighbour_probe, retrieval
from pipeline.frames.batch import FrameBatch
from pipeline.geometry.grid import BevGrid

CLASSES = 4
PROBES = (linear_probe, neighbour_probe)


def clusters(rows: int, seed: int, apart: float = 10.0) -> ProbeSet:
    """Gaussian clusters, one a class, on one scale with a useless feature that never changes."""
    random = np.random.default_rng(seed)
    classes = random.integers(0, CLASSES, rows)
    centres = apart * np.eye(CLASSES, 6)
    features = centres[classes] + random.normal(0, 1, (rows, 6))
    features[:, 5] = 7
    return ProbeSet(features.astype(np.float32), classes)


@pytest.mark.parametrize("probe", PROBES)
def test_separable_features_score_one(probe: type) -> None:
    score = probe(clusters(300, 0), clusters(200, 1))
    assert (score.balanced, score.accuracy, score.chance) == (1.0, 1.0, 1 / CLASSES)


@pytest.mark.parametrize("probe", PROBES)
def test_shuffled_classes_score_chance(probe: type) -> None:
    random = np.random.default_rng(2)
    train, test = (
        ProbeSet(data.features, random.permutation(data.classes)) for data in (clusters(600, 0), clusters(4000, 1))
    )
    assert probe(train, test).balanced == pytest.approx(1 / CLASSES, abs=0.03)


def test_rare_classes_weigh_as_much_in_the_balanced_score() -> None:
    train = clusters(400, 0)
    test = clusters(400, 1)
    kept = (test.classes != 0) | (np.arange(400) < 40)
    wrong = ProbeSet(
        np.where(test.classes[:, None] == 0, 10 * np.eye(6)[1], test.features).astype(np.float32), test.classes
    )
    score = neighbour_probe(train, ProbeSet(wrong.features[kept], wrong.classes[kept]))
    assert score is not None
    assert score.balanced == pytest.approx(0.75)
    assert score.accuracy > 0.9


def test_classes_that_one_side_lacks_are_left_out() -> None:
    train, test = clusters(300, 0), clusters(200, 1)
    score = linear_probe(train.only(np.array([0, 1, 2])), test.only(np.array([1, 2, 3])))
    assert score is not None
    assert (score.balanced, score.chance) == (1.0, 0.5)
    assert linear_probe(train.only(np.array([0, 1])), test.only(np.array([1, 2]))) is None
    assert neighbour_probe(ProbeSet(np.zeros((0, 6), np.float32), np.zeros(0, np.int64)), test) is None


def test_a_probe_says_the_same_twice() -> None:
    near = clusters(300, 0, apart=1.0), clusters(200, 1, apart=1.0)
    for probe in PROBES:
        assert probe(*near) == probe(*near)
        assert 1 / CLASSES < probe(*near).balanced < 1  # type: ignore[union-attr]


def test_retrieval() -> None:
    keys = np.eye(6, dtype=np.float32)
    groups = np.array([0, 0, 1, 1, 2, 2])
    assert retrieval(keys, keys, np.arange(6)) == pytest.approx((1, 1 / 6))
    # Each one finds its neighbour of the same group, never itself.
    swapped = keys[[1, 0, 3, 2, 5, 4]]
    assert retrieval(swapped, keys, np.arange(6))[0] == 0
    assert retrieval(swapped, keys, groups) == pytest.approx((1, 1 / 3))
    assert retrieval(keys[:0], keys[:0], groups[:0]) == (0.0, 0.0)


def test_spread_takes_evenly_from_every_group() -> None:
    group = torch.tensor([5, 2, 5, 5, 2, 5, 5, 5, 9])
    chosen = _spread(group, 3)
    assert chosen.tolist() == [1, 4, 0, 3, 6, 8]  # of the six 5s the 0th, 2nd and 4th
    assert _spread(group[:0], 3).tolist() == []
    many = torch.zeros(1000, dtype=torch.long)
    assert _spread(many, 7).tolist() == [k * 1000 // 7 for k in range(7)]


@dataclass
class Column:
    """A network whose features are its cell's column number, and one."""

    grid: BevGrid

    def __call__(self, frames: FrameBatch) -> tuple[torch.Tensor, BevGrid]:
        column = torch.arange(self.grid.size).float().expand(len(frames), 1, self.grid.size, self.grid.size)
        return torch.cat([column, torch.ones_like(column)], 1), self.grid


def test_features_are_read_at_the_points_and_averaged_over_units() -> None:
    grid = BevGrid(4.0, 1.0)
    points = torch.zeros(4, 5)
    points[:, 0] = torch.tensor([-3.5, -1.5, 0.5, 3.5])  # centres of columns 0, 2, 4, 7
    frames = FrameBatch(("a", "b"), points, torch.tensor([0, 2, 4]), torch.eye(4).expand(2, 4, 4))
    sample = Sample(torch.arange(4), torch.tensor([0, 0, 1, 2]), torch.tensor([6, 7, 8]))
    batch = ProbeBatch(frames, {"region": sample})
    found = gather({"n": Column(grid)}, [batch, batch])["n"]["region"]
    assert found.features.tolist() == [[1, 1], [4, 1], [7, 1]] * 2
    assert found.classes.tolist() == [6, 7, 8] * 2


def test_scores_are_named_after_what_is_probed() -> None:
    sets = {"object": clusters(100, 0), "region": clusters(100, 1), "point": clusters(100, 2).only(np.array([1]))}
    scores = class_scores(sets, sets)
    assert scores["object_linear"] == scores["object_knn"] == scores["region_knn"] == 1
    assert "region_linear" not in scores and not any(name.startswith("point") for name in scores)
    assert scores["object_chance"] == 1 / CLASSES


def counted(points: NDArray[np.float32], grid: BevGrid) -> NDArray[np.float64]:
    """Statistics of the cells of one frame, point by point."""
    made = np.zeros((6, grid.size, grid.size))
    cells: dict[tuple[int, int], list[NDArray[np.float32]]] = {}
    for point in points:
        column, row = (int((along + grid.reach) // grid.cell) for along in point[:2])
        if 0 <= column < grid.size and 0 <= row < grid.size and -5 <= point[2] < 3:
            cells.setdefault((row, column), []).append(point)
    for (row, column), own in cells.items():
        z, intensity = [float(p[2]) for p in own], [float(p[3]) for p in own]
        made[:, row, column] = (
            np.log1p(len(own)), np.mean(z), max(z), min(z), np.mean(intensity), max(intensity)
        )  # fmt: skip
    return made


def test_without_frames_on_one_side_there_are_no_scores() -> None:
    """Frames of a recorded sample may lack their cameras."""
    some = {"object": ProbeSet(np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1]))}
    assert class_scores(some, {}) == class_scores({}, some) == class_scores({}, {}) == {}
    assert gather({"network": lambda frames: (torch.zeros(0), BevGrid(4.0, 1.0))}, []) == {"network": {}}


def test_geometry_map_equals_a_loop_over_points() -> None:
    random, grid = np.random.default_rng(0), BevGrid(4.0, 1.0)
    clouds = [random.uniform((-5, -5, -6, 0, 0), (5, 5, 4, 1, 1), (n, 5)).astype(np.float32) for n in (300, 0, 50)]
    offsets = torch.tensor([0, 300, 300, 350])
    found = geometry_map(torch.from_numpy(np.concatenate(clouds)), offsets, grid, -5.0, 3.0)
    for frame, cloud in enumerate(clouds):
        np.testing.assert_allclose(found[frame].numpy(), counted(cloud, grid), atol=1e-5)
