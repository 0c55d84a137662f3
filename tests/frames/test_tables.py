import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.frames.tables import Row, find_rows, numbers, read_columns, read_table
from tests.frames.tiny_dataset import VERSION

SCHEMA = pa.schema([("token", pa.string()), ("values", pa.list_(pa.float64(), 3))])


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


@pytest.mark.parametrize("piece", [16, 100, 1000])
def test_a_table_read_in_pieces_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    (tmp_path / VERSION).mkdir()
    rows = [
        {"token": f"t{number}", "text": 'a "quoted" }, {"b": 1} ' * (number % 3), "values": [0.1 * number, 1e-7, 3]}
        for number in range(50)
    ]
    monkeypatch.setattr("pipeline.frames.tables.PIECE", piece)
    for layout in ({"indent": 0}, {"separators": (",", ":")}, {"indent": 4}):
        (tmp_path / VERSION / "some.json").write_text(json.dumps(rows, **layout))
        assert read_table(tmp_path, VERSION, "some") == rows
        columns = read_columns(tmp_path, VERSION, "some", SCHEMA, keep=lambda row: row["token"] != "t7")
        assert columns["token"].to_pylist() == [row["token"] for row in rows if row["token"] != "t7"]
        assert numbers(columns["values"])[9].tolist() == rows[10]["values"]


def test_rows_that_hold_nan(tmp_path: Path) -> None:
    """As Python's json writes it, which no other reader takes."""
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / "some.json").write_text('[{"token": "a", "values": [NaN, 1.0, 2.0]}]')
    values = numbers(read_columns(tmp_path, VERSION, "some", SCHEMA)["values"])
    assert np.isnan(values[0, 0])
    assert values[0, 1:].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"values": [1, 2, 3]}, "lacks 'token'"),
        ({"token": "a"}, "lacks 'values'"),
        ({"token": "a", "values": [1, 2]}, "wrong type"),
        ({"token": "a", "values": "none"}, "wrong type"),
        ({"token": 5, "values": [1, 2, 3]}, "wrong type"),
    ],
)
def test_a_row_of_another_form_names_the_file(tmp_path: Path, row: Row, problem: str) -> None:
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / "some.json").write_text(json.dumps([row]))
    with pytest.raises(UserError, match=rf"(?s){problem}.*some\.json.*damaged"):
        read_columns(tmp_path, VERSION, "some", SCHEMA)


def test_a_small_table_whose_row_lacks_a_column(tiny_copy: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)lacks 'colour'.*scene\.json"):
        read_table(tiny_copy, VERSION, "scene", "token", "colour")


def test_tokens_are_found_where_they_stand() -> None:
    among = pa.chunked_array([["a", "b"], ["c"]], pa.string())
    assert find_rows(pa.chunked_array([["c", "x", "", "a"]]), among).tolist() == [2, -1, -1, 0]
