"""Tokens and their beginnings."""

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.params import load_params
from pipeline.viewing.chosen_frame import choose_frame


class Alike(FrameIndex):
    """Two frames whose tokens begin alike."""

    @property
    def tokens(self) -> list[str]:
        return ["abcdef00", "abcdef01", *super().tokens[2:]]


@pytest.fixture
def index(region_project: Path) -> FrameIndex:
    return Alike(Path("data/index"), Path(load_params().dataset.root))


def test_a_beginning_is_enough_where_it_is_the_only_one(index: FrameIndex) -> None:
    for position, token in enumerate(index.tokens):
        assert choose_frame(index, token) == position
    for position in range(2, len(index)):
        assert choose_frame(index, index.tokens[position][:7]) == position


@pytest.mark.parametrize(
    ("token", "problem", "advice"),
    [
        ("abcdef", "2 frames have a sample token that begins with", "write more of it, e.g. abcdef00"),
        ("zzzzzz", "no frame has the sample token", "take another one"),
        ("", "no frame has the sample token", "take another one"),
    ],
)
def test_others_are_refused(token: str, problem: str, advice: str, index: FrameIndex) -> None:
    with pytest.raises(UserError) as caught:
        choose_frame(index, token)
    assert problem in caught.value.problem
    assert advice in caught.value.remedy


def test_too_short_a_beginning_is_refused(index: FrameIndex) -> None:
    with pytest.raises(UserError, match="no frame has the sample token"):
        choose_frame(index, index.tokens[-1][:5])
