"""The contact sheets: a panel for every type and severity, drawn from what the corruption does."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline.cli.corruptions import corruptions
from pipeline.errors import UserError
from pipeline.frames.frame import Frame
from pipeline.frames.index import FrameIndex
from pipeline.reporting.figures.corruptions import PANEL, TITLE, draw_corruptions
from pipeline.robustness.corruption import Corruption
from pipeline.viewing.chosen_frame import typical_frame


class Blind(FrameIndex):
    """Only the first frame has images, as in a data set of samples."""

    def __getitem__(self, position: int) -> Frame:
        frame = super().__getitem__(position)
        return frame if position == 2 else replace(frame, cameras=())


def test_every_type_has_its_row(region_project: Path) -> None:
    """Through the command, in a project: three sheets of four columns; what is black is the cameras that crashed."""
    corruptions(token=None, out=Path("sheets"), seed=3)
    sheets = {path.stem: cv2.imread(str(path)) for path in Path("sheets").iterdir()}
    assert set(sheets) == {"lidar", "camera", "rig"}
    shapes = {name: sheet.shape[:2] for name, sheet in sheets.items() if sheet is not None}
    assert {width for _, width in shapes.values()} == {4 * PANEL}
    # Eight types and, as `prepare` left labels, two of moving objects; six types of one image and two of six images.
    assert shapes["lidar"][0] == 10 * (PANEL + TITLE) + 2 * TITLE
    wide = PANEL * 9 / 16
    assert shapes["camera"][0] == pytest.approx(6 * (wide + TITLE) + 2 * (wide / 1.5 + TITLE) + 2 * TITLE, abs=1)
    assert shapes["rig"][0] == pytest.approx(wide + wide / 1.5 + 4 * TITLE, abs=1)
    index = FrameIndex.open(Path("data/index"), Path())
    frame = index[1]
    crashed = Corruption("camera_crash", 2, "camera", seed=3)
    black = [not crashed.image(frame, camera, np.ones((9, 16, 3), np.uint8)).any() for camera in frame.cameras]
    sheet = sheets["camera"]
    assert sheet is not None
    top, height = 2 * TITLE, round(PANEL * 9 / 16 / 1.5)
    row = sheet[top : top + height]
    shares = [(row[:, column * PANEL : (column + 1) * PANEL].max(2) == 0).mean() for column in range(4)]
    assert shares[0] < 0.05
    assert shares[2] == pytest.approx(sum(black) / 6, abs=0.05)


def test_unknown_token(region_project: Path) -> None:
    with pytest.raises(UserError) as caught:
        corruptions(token="nowhere", out=Path("sheets"))
    assert FrameIndex.open(Path("data/index"), Path())[0].token in caught.value.remedy
    assert not Path("sheets").exists()


def test_frames_without_images_have_a_sheet_of_the_lidar(region_template: Path, tmp_path: Path) -> None:
    root = Path(yaml.safe_load((region_template / "params.yaml").read_text())["dataset"]["root"])
    index = FrameIndex.open(region_template / "data" / "index", root)
    assert typical_frame(index, range(len(index))) == 1  # the second of its scene
    blind = Blind.open(index.path, root)
    assert typical_frame(blind, range(len(blind))) == 2
    assert draw_corruptions(blind, 0, 0, tmp_path) == [tmp_path / "lidar.png"]
