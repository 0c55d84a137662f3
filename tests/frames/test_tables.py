import shutil
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.frames.tables import read_table
from tests.frames.tiny_dataset import VERSION


def test_rows_of_a_table(tiny_root: Path) -> None:
    assert len(read_table(tiny_root, VERSION, "sample")) == 8


def test_missing_root_names_the_params_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)dataset\.root.*nowhere.*calico configure dataset\.root"):
        read_table(tmp_path / "nowhere", VERSION, "sample")


def test_missing_version_lists_those_that_are_there(tiny_root: Path) -> None:
    with pytest.raises(UserError, match=rf"(?s)dataset\.version.*one of {VERSION}"):
        read_table(tiny_root, "v1.0-mini", "sample")


def test_missing_table_names_file_and_source(tiny_copy: Path) -> None:
    (tiny_copy / VERSION / "ego_pose.json").unlink()
    with pytest.raises(UserError, match=r"(?s)ego_pose\.json.*nuscenes\.org"):
        read_table(tiny_copy, VERSION, "ego_pose")


@pytest.mark.parametrize("content", ['[{"token": ', '{"token": 1}', "[1, 2]"])
def test_broken_table_names_file(tiny_copy: Path, content: str) -> None:
    (tiny_copy / VERSION / "scene.json").write_text(content)
    with pytest.raises(UserError, match=r"scene\.json"):
        read_table(tiny_copy, VERSION, "scene")
    shutil.rmtree(tiny_copy)
