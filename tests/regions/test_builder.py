"""The store from sensor files to ids: same bytes however it was built, nothing wrong goes unseen."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.frames.points import read_points
from pipeline.params import Runtime
from pipeline.regions import builder
from pipeline.regions.builder import Sweep, build_regions
from pipeline.regions.layout import Layout
from pipeline.regions.manifest import Manifest
from pipeline.regions.provenance import provenance_here
from pipeline.regions.segmentation import segment
from pipeline.regions.shards import Unit
from pipeline.regions.store import RegionStore
from tests.reference.regions import paper_regions

PAPER = paper_regions()  # four frames a shard
SIZES = [900, 700, 2, 1, 800, 650, 900, 500, 600]  # three shards, the last one with one frame


def runtime(workers: int = 1) -> Runtime:
    return Runtime(
        workers=workers, scheduler=None, device="cpu", threads=1, loader_threads=0, save_every=60.0
    )  # fmt: skip


@pytest.fixture
def sweeps(tmp_path: Path) -> list[Sweep]:
    rng = np.random.default_rng(0)
    frames = []
    for number, size in enumerate(SIZES):
        points = np.zeros((size, 5), np.float32)
        points[:, :2] = rng.uniform(-20, 20, (size, 2))
        points[:, 2] = -1.84
        cars = size // 2
        points[:cars, :3] = rng.uniform([5, 5, -1.4], [7, 9, 0], (cars, 3)) + rng.integers(0, 3, (cars, 1)) * [5, 0, 0]
        path = tmp_path / f"sweep{number}.bin"
        points.tofile(path)
        frames.append((path, size))
    return frames


def build(sweeps: list[Sweep], scratch: Path, workers: int = 1, params: object = PAPER) -> Path:
    assert isinstance(params, type(PAPER))
    return build_regions(params, sweeps, read_points, identity="index", scratch=scratch, runtime=runtime(workers))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def test_store_returns_what_segmentation_found(sweeps: list[Sweep], tmp_path: Path) -> None:
    store = RegionStore.open(build(sweeps, tmp_path / "scratch"), PAPER)
    assert len(store) == len(SIZES)
    assert store.manifest.totals()["kept"] > 0
    for position, (path, size) in enumerate(sweeps):
        expected = segment(read_points(path), PAPER)
        ids = store.read(position, size)
        assert ids.dtype == np.int16
        assert np.array_equal(ids, expected.ids)
        assert {name: store.manifest.column(name)[position] for name in expected.counts} == expected.counts
    assert store.damaged_shards() == []
    assert len(store.manifest.shards) == 3


def test_workers_change_no_byte(sweeps: list[Sweep], tmp_path: Path) -> None:
    one, two = build(sweeps, tmp_path / "one", 1), build(sweeps, tmp_path / "two", 2)
    assert contents(one) == contents(two)
    assert set(contents(one)) == {"manifest.json", "ids.zarr/zarr.json", *(f"ids.zarr/c/{k}/0" for k in range(3))}
    assert str(tmp_path) not in "".join(content.decode("latin1") for content in contents(one).values())


def test_rerun_takes_finished_shards_and_redoes_damaged_ones(
    sweeps: list[Sweep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(build(sweeps, tmp_path / "whole"))
    done: list[int] = []
    real = builder.build_shard

    def interrupted(unit: Unit, *others: Any) -> Any:
        if unit.first == 8:
            raise KeyboardInterrupt
        done.append(unit.first)
        return real(unit, *others)

    monkeypatch.setattr(builder, "build_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(sweeps, tmp_path / "scratch")
    assert done == [0, 4]
    (draft,) = (tmp_path / "scratch").iterdir()
    assert not list(draft.rglob("manifest.json"))
    flip(next((draft / "shards").glob("0000004-*")), 40)  # as a crash of the machine may leave it
    (draft / "shards" / ".0000000.123.partial").write_bytes(b"half")
    (draft / "records" / "0000008.json").write_bytes(b'{"first": 8, "fi')

    def remembered(unit: Unit, *others: Any) -> Any:
        done.append(unit.first)
        return real(unit, *others)

    monkeypatch.setattr(builder, "build_shard", remembered)
    assert contents(build(sweeps, tmp_path / "scratch")) == whole
    assert done == [0, 4, 4, 8]


def test_a_shard_that_another_worker_finished_is_taken_over(sweeps: list[Sweep], tmp_path: Path) -> None:
    provenance = provenance_here("index", read_points)
    for name in ("shards", "records"):
        (tmp_path / "draft" / name).mkdir(parents=True)
    unit = Unit(PAPER, Layout(len(SIZES), 900, 4), 0, tuple(sweeps[:4]), read_points)
    shard = builder.build_shard(unit, tmp_path / "draft", provenance)
    for path, _ in sweeps[:4]:
        path.unlink()  # so nothing can be computed any more
    assert builder.build_shard(unit, tmp_path / "draft", provenance) == shard


def test_other_params_or_index_never_share_a_draft(sweeps: list[Sweep], tmp_path: Path) -> None:
    made = provenance_here("a", read_points)
    keys = {
        builder.draft_key(PAPER, sweeps, made),
        builder.draft_key(replace(PAPER, eps=0.5), sweeps, made),
        builder.draft_key(PAPER, sweeps, replace(made, index="b")),
        builder.draft_key(PAPER, sweeps, replace(made, libraries=made.libraries | {"numpy": "0"})),
        builder.draft_key(PAPER, sweeps[1:], made),
    }
    assert len(keys) == 5


def test_other_params_are_refused_with_the_difference(sweeps: list[Sweep], tmp_path: Path) -> None:
    store = build(sweeps, tmp_path / "scratch")
    RegionStore.open(store)
    with pytest.raises(
        UserError, match=r"eps: 0\.75 in the store, 0\.5 asked; min_samples: 5 in the store, 9"
    ) as caught:
        RegionStore.open(store, replace(PAPER, eps=0.5, min_samples=9))
    assert "dvc repro regions" in caught.value.remedy


def test_another_schema_or_no_store_is_refused(sweeps: list[Sweep], tmp_path: Path) -> None:
    store = build(sweeps, tmp_path / "scratch")
    text = (store / "manifest.json").read_text()
    faults = [
        (text.replace('"schema": 2', '"schema": 1'), "schema version 1, this code reads 2"),
        (text[:50], "damaged"),
        (text.replace('"points": [900', '"points": [901'), "damaged: its seal"),
        (text.replace("index", "indes"), "damaged: its seal"),
    ]
    for broken, problem in faults:
        (store / "manifest.json").write_text(broken)
        with pytest.raises(UserError, match=problem):
            RegionStore.open(store)
    with pytest.raises(UserError, match="no region store"):
        RegionStore.open(tmp_path / "nowhere")


def test_every_flipped_byte_is_seen(sweeps: list[Sweep], tmp_path: Path) -> None:
    path = build(sweeps, tmp_path / "scratch")
    shard = path / "ids.zarr/c/0/0"
    sound = shard.read_bytes()
    expected = [segment(read_points(file), PAPER).ids for file, _ in sweeps[:4]]
    for at in [*range(0, len(sound), max(1, len(sound) // 40)), len(sound) - 1]:
        shard.write_bytes(sound)
        flip(shard, at)
        store = RegionStore.open(path)
        assert store.damaged_shards() == ["ids.zarr/c/0/0"]
        for position, ids in enumerate(expected):
            try:  # a frame that the byte does not belong to may be read, but never wrongly
                assert np.array_equal(store.read(position, len(ids)), ids)
            except UserError as error:
                assert error.where.endswith("ids.zarr/c/0/0")  # noqa: PT017
                assert "calico regions repair" in error.remedy  # noqa: PT017


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_names_the_shard(sweeps: list[Sweep], tmp_path: Path, harm: str) -> None:
    path = build(sweeps, tmp_path / "scratch")
    shard = path / "ids.zarr/c/1/0"
    if harm == "flip":
        flip(shard, 20)  # in the first chunk written
    elif harm == "cut":
        shard.write_bytes(shard.read_bytes()[:-30])
    else:
        shard.unlink()
    store = RegionStore.open(path)
    problems = []
    for position in range(4, 8):
        try:
            store.read(position, SIZES[position])
        except UserError as error:
            problems.append(error)
    assert problems
    assert all(error.where == str(shard) for error in problems)
    assert store.damaged_shards() == ["ids.zarr/c/1/0"]
    assert np.array_equal(store.read(0, SIZES[0]), segment(read_points(sweeps[0][0]), PAPER).ids)


def test_read_refuses_another_number_of_points(sweeps: list[Sweep], tmp_path: Path) -> None:
    store = RegionStore.open(build(sweeps, tmp_path / "scratch"))
    with pytest.raises(UserError, match="has 899 points, its regions were built from 900"):
        store.read(0, 899)
    with pytest.raises(IndexError):
        store.read(len(SIZES), 1)
    with pytest.raises(IndexError):
        store.read(-1, 600)


def test_opened_store_survives_pickling(sweeps: list[Sweep], tmp_path: Path) -> None:
    store = RegionStore.open(build(sweeps, tmp_path / "scratch"))
    before = store.read(1, 700)
    sent = pickle.dumps(store)
    copy = pickle.loads(sent)
    assert b"zarr.core" not in sent
    assert np.array_equal(copy.read(1, 700), before)


def damage_files(sweeps: list[Sweep]) -> None:
    sweeps[1][0].write_bytes(sweeps[1][0].read_bytes()[:-7])  # not a whole number of points
    sweeps[5][0].unlink()
    sweeps[6][0].write_bytes(sweeps[6][0].read_bytes()[:-20])  # one point less than the index says


def test_bad_frames_are_quarantined_counted_and_named(sweeps: list[Sweep], tmp_path: Path) -> None:
    damage_files(sweeps)
    path = build(sweeps, tmp_path / "scratch", params=replace(PAPER, max_bad_frames=0.4))
    store = RegionStore.open(path)
    assert sorted(store.bad_frames) == [1, 5, 6]
    assert store.bad_frames[6] == "899 points, the index says 900"
    assert "the sweep is missing" in store.bad_frames[5]
    assert str(tmp_path) not in (path / "manifest.json").read_text()
    assert json.loads((path / "manifest.json").read_text())["bad_frames"][1]["file"] == "sweep5.bin"
    with pytest.raises(UserError, match="frame 5 has no regions: the sweep is missing"):
        store.read(5, 650)
    assert np.array_equal(store.read(0, 900), segment(read_points(sweeps[0][0]), PAPER).ids)


def test_too_many_bad_frames_fail_and_mended_files_are_taken(sweeps: list[Sweep], tmp_path: Path) -> None:
    sound = {path: path.read_bytes() for path, _ in sweeps}
    damage_files(sweeps)
    with pytest.raises(UserError, match="at least 1 of 9 frames cannot be read") as caught:
        build(sweeps, tmp_path / "scratch")
    assert "sweep1.bin" in caught.value.where
    assert "max_bad_frames" in caught.value.remedy
    for path, content in sound.items():
        path.write_bytes(content)
    assert Manifest.load(build(sweeps, tmp_path / "scratch")).bad_frames() == {}


def test_a_shard_of_bad_frames_alone(sweeps: list[Sweep], tmp_path: Path) -> None:
    sweeps[8][0].unlink()
    store = RegionStore.open(build(sweeps, tmp_path / "scratch", params=replace(PAPER, max_bad_frames=0.2)))
    assert store.damaged_shards() == []
    assert list(store.bad_frames) == [8]


def test_no_frames(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no frames"):
        build([], tmp_path / "scratch")


def test_neither_torch_nor_sklearn_is_loaded() -> None:
    code = (
        "import sys, numpy, pipeline.regions.builder; from pipeline.regions.clustering import cluster;"
        "from tests.reference.regions import paper_regions;"
        "cluster(numpy.zeros((9, 3), numpy.float32), paper_regions());"
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'matplotlib'} & {name.split('.')[0] for name in sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
