"""The draw of semantic-rich and semantic-less points."""

import torch

from pipeline.objectives.point_sampling import DrawnPoints, draw_points

IDS = torch.tensor([0, 0, 1, -1, -2, -3, -4, 4, -2, -4] * 50, dtype=torch.int16)
FRAME = torch.arange(500) // 250


def draw(seed: int, rich: int = 20, less: int = 10, eligible: torch.Tensor | None = None) -> DrawnPoints:
    mask = torch.ones(500, dtype=torch.bool) if eligible is None else eligible
    priority = torch.rand(500, generator=torch.Generator().manual_seed(seed))
    return draw_points(IDS, FRAME, mask, priority, rich=rich, less=less)


def test_counts_kinds_and_frames() -> None:
    drawn = draw(0)
    assert len(drawn.index) == len(drawn.index.unique()) == 60
    for frame in (0, 1):
        of_frame = drawn.frame == frame
        assert (drawn.region[of_frame] >= 0).sum() == 20
        assert (drawn.region[of_frame] == -1).sum() == 10
    assert torch.equal(drawn.frame, FRAME[drawn.index])
    assert (IDS[drawn.index] >= -3).all()


def test_regions_of_different_frames_stay_apart() -> None:
    drawn = draw(0, rich=100)
    rich = drawn.region >= 0
    pairs = torch.stack([drawn.frame[rich], IDS[drawn.index[rich]].long(), drawn.region[rich]], 1).unique(dim=0)
    assert len(pairs) == 6 == len(pairs[:, 2].unique())


def test_fewer_where_there_are_fewer() -> None:
    drawn = draw(0, rich=10_000, less=10_000)
    assert len(drawn.index) == int((IDS >= -3).sum())


def test_those_of_lowest_priority_are_drawn() -> None:
    drawn = draw_points(IDS, FRAME, torch.ones(500, dtype=torch.bool), torch.arange(500.0) % 250, rich=3, less=2)
    assert sorted((drawn.index % 250).tolist()) == sorted([0, 1, 2, 3, 4] * 2)


def test_only_eligible_points() -> None:
    eligible = torch.arange(500) % 3 == 0
    assert eligible[draw(0, eligible=eligible).index].all()
    assert len(draw(0, eligible=torch.zeros(500, dtype=torch.bool)).index) == 0


def test_choice_depends_on_the_priority_alone() -> None:
    assert torch.equal(draw(1).index, draw(1).index)
    assert not torch.equal(draw(1).index, draw(2).index)
