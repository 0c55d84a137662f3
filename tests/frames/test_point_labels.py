"""Labels of single points: the three kinds of table, and what is said about files that do not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.point_labels import CHALLENGE_CLASSES, PointLabels, read_point_classes
from pipeline.frames.points import read_points
from pipeline.params import Dataset

VERSION = "v1.0-labelled"
CATEGORIES = [
    {"name": "vehicle.car", "index": 3}, {"name": "noise", "index": 0}, {"name": "flat.sidewalk", "index": 1}
]  # fmt: skip


def write_tables(root: Path, **tables: Any) -> Path:
    """A root with these tables only."""
    (root / VERSION).mkdir(exist_ok=True)
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    return root


def rows_of(kind: str, suffix: str) -> list[dict[str, str]]:
    return [{"token": "t", "sample_data_token": "sweep", "filename": f"{kind}/one.{suffix}"}]


def test_lidarseg(tmp_path: Path) -> None:
    labels = PointLabels.open(
        write_tables(tmp_path, category=CATEGORIES, lidarseg=rows_of("lidarseg", "bin")), VERSION, "lidarseg"
    )
    assert labels.names == ("noise", "flat.sidewalk", "category 2", "vehicle.car")
    assert labels.ground.tolist() == [False, True, False, False]
    assert labels.files == {"sweep": tmp_path / "lidarseg/one.bin"}
    (tmp_path / "one.bin").write_bytes(bytes([0, 3, 1, 1]))
    found = read_point_classes(tmp_path / "one.bin", "lidarseg", 4, len(labels.names))
    assert found.classes.tolist() == [0, 3, 1, 1]
    assert found.classes.dtype == np.int64
    assert found.instances is None


def test_panoptic(tmp_path: Path) -> None:
    labels = PointLabels.open(
        write_tables(tmp_path, category=CATEGORIES, panoptic=rows_of("panoptic", "npz")), VERSION, "panoptic"
    )
    np.savez_compressed(tmp_path / "one.npz", data=np.array([0, 3001, 3002, 1000], np.uint16))
    found = read_point_classes(tmp_path / "one.npz", "panoptic", 4, len(labels.names))
    assert found.classes.tolist() == [0, 3, 3, 1]
    assert found.instances is not None
    assert found.instances.tolist() == [0, 3001, 3002, 1000]
    np.savez_compressed(tmp_path / "none.npz", data=np.empty(0, np.uint16))
    assert len(read_point_classes(tmp_path / "none.npz", "panoptic", 0, 4).classes) == 0


def test_challenge_classes_need_no_category_index(tmp_path: Path) -> None:
    labels = PointLabels.open(write_tables(tmp_path, lidarseg16=rows_of("lidarseg16", "bin")), VERSION, "lidarseg16")
    assert labels.names == CHALLENGE_CLASSES
    assert np.flatnonzero(labels.ground).tolist() == [11, 12, 13, 14]


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": "x"}])
def test_categories_without_an_index(tmp_path: Path, index: dict[str, Any]) -> None:
    write_tables(tmp_path, category=[{"name": "vehicle.car", **index}], lidarseg=rows_of("lidarseg", "bin"))
    with pytest.raises(UserError, match="the categories carry no index") as caught:
        PointLabels.open(tmp_path, VERSION, "lidarseg")
    assert "nuScenes-lidarseg" in caught.value.remedy


def test_no_table_and_a_broken_row(tmp_path: Path) -> None:
    write_tables(tmp_path, category=CATEGORIES, lidarseg=[{"sample_data_token": "sweep"}])
    with pytest.raises(UserError, match="the dataset has no table panoptic") as caught:
        PointLabels.open(tmp_path, VERSION, "panoptic")
    assert "calico configure region_quality.point_labels=null" in caught.value.remedy
    with pytest.raises(UserError, match="a row of the table lidarseg lacks 'filename'"):
        PointLabels.open(tmp_path, VERSION, "lidarseg")


def spoil(path: Path, how: str) -> None:
    """A label file that is not what it should be."""
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("not an archive")
    elif how == "another name":
        np.savez_compressed(path, labels=np.zeros(4, np.uint16))
    elif how == "pickle":
        np.savez_compressed(path, data=np.array([{}, {}, {}, {}], object))
    else:
        np.savez_compressed(path, data=np.arange(4000, dtype=np.uint16))
        content = bytearray(path.read_bytes())
        if how == "flip":
            content[len(content) // 2] ^= 0xFF
        path.write_bytes(content[:-40] if how == "cut" else content)


@pytest.mark.parametrize("how", ["empty", "text", "another name", "pickle", "flip", "cut"])
def test_a_broken_archive_is_named(tmp_path: Path, how: str) -> None:
    spoil(tmp_path / "one.npz", how)
    with pytest.raises(UserError, match="the point labels cannot be read") as caught:
        read_point_classes(tmp_path / "one.npz", "panoptic", 4, 4)
    assert caught.value.where == str(tmp_path / "one.npz")
    assert "copy this file from the archive again" in caught.value.remedy


def test_every_flipped_byte_of_an_archive_is_an_error_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "one.npz"
    values = np.arange(200, dtype=np.uint16)
    np.savez_compressed(path, data=values)
    sound = path.read_bytes()
    for at in range(len(sound)):
        content = bytearray(sound)
        content[at] ^= 0x41
        path.write_bytes(content)
        try:
            found = read_point_classes(path, "panoptic", 200, 4).instances
            assert found is not None
            assert np.array_equal(found, values)
        except UserError as error:
            assert error.where == str(path)  # noqa: PT017


@pytest.mark.parametrize(
    ("content", "points", "problem", "remedy"),
    [
        (bytes(3), 4, "3 labels for 4 points", "belong to another sweep"),
        (b"", 4, "0 labels for 4 points", "belong to another sweep"),
        (bytes([0, 9]), 2, "class 9 is beyond the 4", "region_quality.point_labels"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, content: bytes, points: int, problem: str, remedy: str) -> None:
    (tmp_path / "one.bin").write_bytes(content)
    with pytest.raises(UserError, match=problem) as caught:
        read_point_classes(tmp_path / "one.bin", "lidarseg", points, 4)
    assert remedy in caught.value.remedy
    with pytest.raises(UserError, match="the point labels are missing"):
        read_point_classes(tmp_path / "two.bin", "lidarseg", points, 4)


def test_the_small_world_is_labelled_point_by_point(world: Path) -> None:
    labels = PointLabels.open(world, "v1.0-embedded", "panoptic")
    rows = json.loads((world / "v1.0-embedded/sample_data.json").read_text())
    sweeps = {
        row["token"]: world / row["filename"] for row in rows if row["is_key_frame"] and "LIDAR" in row["filename"]
    }
    assert set(labels.files) == set(sweeps)
    seen = set()
    for token, path in labels.files.items():
        points = read_points(sweeps[token])
        found = read_point_classes(path, "panoptic", len(points), len(labels.names))
        assert found.instances is not None
        assert np.array_equal(found.instances // 1000, found.classes)
        assert np.abs(points[labels.ground[found.classes], 2] + 1.84).mean() < 0.5  # metres below the sensor
        seen |= {labels.names[number] for number in np.unique(found.classes)}
    assert {"vehicle.car", "human.pedestrian.adult", "flat.driveable_surface", "static.manmade"} <= seen


@pytest.mark.real_data
def test_recorded_labels(real_dataset: Dataset, real_index: FrameIndex) -> None:
    labels = PointLabels.open(Path(real_dataset.root), real_dataset.version, "lidarseg16")
    assert len(labels.files) == 11
    frames = [real_index[position] for position in range(len(real_index))]
    labelled = [frame for frame in frames if frame.lidar_token in labels.files]
    assert {frame.scene for frame in labelled} == {"scene-0006"}
    assert len(labelled) == 11
    for frame in labelled:
        points = read_points(real_index.root / frame.lidar_path)
        found = read_point_classes(labels.files[frame.lidar_token], "lidarseg16", len(points), len(labels.names))
        road = points[found.classes == CHALLENGE_CLASSES.index("flat.driveable_surface")]
        near = np.hypot(road[:, 0], road[:, 1]) < 15
        assert np.median(road[near, 2]) == pytest.approx(-1.84, abs=0.25)  # metres: the height of the sensor
        assert found.instances is None
