"""`verify_files` against a good dataset and each way in which one can be bad."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.manifest import read_manifest
from pipeline.frames.verification import SHOWN, Verdict, verify_files


def verify(index: FrameIndex, root: Path, deep: bool = False) -> Verdict:
    return verify_files(index.path, root, deep=deep, threads=2)


def test_manifest_names_every_file_of_the_index_with_its_size(tiny_index: FrameIndex) -> None:
    frames = [tiny_index[position] for position in range(len(tiny_index))]
    named = {frame.lidar_path for frame in frames}
    named |= {sweep.path for frame in frames for sweep in frame.sweeps}
    named |= {camera.path for frame in frames for camera in frame.cameras}
    manifest = read_manifest(tiny_index.path)
    assert manifest.column("path").to_pylist() == sorted(named)
    sizes = [(tiny_index.root / path).stat().st_size for path in sorted(named)]
    assert manifest.column("bytes").to_pylist() == sizes


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_dataset(tiny_index: FrameIndex, deep: bool) -> None:
    verdict = verify(tiny_index, tiny_index.root, deep)
    assert verdict.files == 8 * 6 + 4 * 6  # images, and six sweeps a scene
    assert verdict.to_json()["sound"]
    assert verdict.findings.broken_points == {}
    assert f"{verdict.files} of {verdict.files} files sound" in verdict.lines()[0]


def test_missing_and_shortened_files_are_named(tiny_index: FrameIndex, tiny_copy: Path) -> None:
    lost, cut = tiny_index[0].cameras[1].path, tiny_index[3].sweeps[0].path
    (tiny_copy / lost).unlink()
    (tiny_copy / cut).write_bytes((tiny_copy / cut).read_bytes()[:-20])
    verdict = verify(tiny_index, tiny_copy)
    size = (tiny_index.root / cut).stat().st_size
    expected = {lost: "missing", cut: f"{size - 20} bytes instead of {size}"}
    assert {fault.path: fault.problem for fault in verdict.findings.faults} == expected
    text = "\n".join(verdict.lines())
    assert lost in text
    assert cut in text
    assert "copy these files again" in text
    assert not verdict.to_json()["sound"]


def test_content_of_the_right_size_is_looked_at_only_when_asked(tiny_index: FrameIndex, tiny_copy: Path) -> None:
    image = tiny_index[2].cameras[0].path
    size = (tiny_copy / image).stat().st_size
    (tiny_copy / image).write_bytes((tiny_copy / image).read_bytes()[: size // 2] + bytes(size - size // 2))
    assert verify(tiny_index, tiny_copy).to_json()["sound"]
    (fault,) = verify(tiny_index, tiny_copy, deep=True).findings.faults
    assert fault.path == image
    assert "cannot be decoded" in fault.problem


def test_points_that_are_no_numbers_are_counted(tiny_index: FrameIndex, tiny_copy: Path) -> None:
    sweep = tiny_copy / tiny_index[1].sweeps[0].path
    points = np.fromfile(sweep, np.float32).reshape(-1, 5)
    points[[3, 7], [0, 2]] = np.nan, np.inf
    points.tofile(sweep)
    verdict = verify(tiny_index, tiny_copy, deep=True)
    assert verdict.to_json()["sound"]
    assert verdict.findings.broken_points == {tiny_index[1].sweeps[0].path: 2}
    assert "2 points in 1 sweeps are not finite" in verdict.lines()[-1]


def test_a_person_is_told_some_and_a_machine_all(tiny_index: FrameIndex, tmp_path: Path) -> None:
    verdict = verify(tiny_index, tmp_path)
    assert len(verdict.lines()) == SHOWN + 3
    assert f"and {verdict.files - SHOWN} more" in verdict.lines()[-2]
    assert len(verdict.to_json()["faults"]) == verdict.files


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro prepare"):
        verify_files(tmp_path, tmp_path, deep=False, threads=1)
