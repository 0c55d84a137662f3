"""Sweeps that are asked for and do not exist stop a training before it begins."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.training.point_check import check_points
from tests.frames.tiny_dataset import dataset_at, frames_params, write_tiny


def open_index(root: Path, out: Path) -> FrameIndex:
    out.mkdir()
    build_index(dataset_at(root), out)
    return FrameIndex.open(out, root)


def test_lost_sweeps_are_told(tmp_path: Path) -> None:
    root = tmp_path / "tiny"
    root.mkdir()
    write_tiny(root)
    whole = open_index(root, tmp_path / "whole")
    points = check_points(whole, range(len(whole)), frames_params(sweeps=2))
    assert points == pytest.approx(3 * whole[0].points, rel=0.1)
    assert check_points(whole, [0], frames_params(sweeps=0)) == pytest.approx(whole[0].points, rel=0.1)

    shutil.rmtree(root / "sweeps" / "LIDAR_TOP")
    poor = open_index(root, tmp_path / "poor")
    assert check_points(poor, range(len(poor)), frames_params(sweeps=0)) > 0
    with pytest.raises(UserError, match=r"33% of what 2 earlier sweeps .* give; 0 of these sweeps exist") as caught:
        check_points(poor, [0], frames_params(sweeps=2))
    assert "frames.sweeps = 2" in caught.value.where
    assert "set frames.sweeps to 0" in caught.value.remedy
