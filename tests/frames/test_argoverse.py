"""The Argoverse 2 sensor dataset through the same door: written small, and one recorded log where there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import feather
from scipy.spatial import cKDTree

from pipeline.errors import UserError
from pipeline.frames import argoverse
from pipeline.frames.argoverse_log import EGO_HEIGHT, LIDAR_HEIGHT
from pipeline.frames.argoverse_survey import survey
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.points import load_points, read_points
from pipeline.frames.verification import verify_files
from pipeline.geometry.transforms import inverse, transform_points
from pipeline.params import Prepare
from pipeline.regions.ids import GROUND
from pipeline.regions.segmentation import segment
from tests.frames.tiny_argoverse import (
    LOGS,
    PERIOD,
    START,
    UP_LIDAR,
    argoverse_at,
    city_from_ego,
    street,
    write_argoverse,
    write_sweep,
)
from tests.reference.regions import paper_regions

NUSCENES = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
RECORDED = NUSCENES.parent / "argoverse2"
recorded = [
    pytest.mark.real_data,
    pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no Argoverse 2 logs at {RECORDED}, beside CALICO_REAL_DATA"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    root = tmp_path_factory.mktemp("argoverse")
    write_argoverse(root)
    survey(root, "survey")
    return root


@pytest.fixture
def broken(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root, tmp_path / "broken"))


def build(root: Path, out: Path) -> FrameIndex:
    out.mkdir()
    build_index(argoverse_at(root), out)
    return FrameIndex.open(out, root)


@pytest.fixture(scope="module")
def index(root: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameIndex:
    return build(root, tmp_path_factory.mktemp("index") / "index")


def test_every_fifth_sweep_is_a_key_frame(index: FrameIndex) -> None:
    frames = [index[position] for position in range(len(index))]
    assert [frame.scene for frame in frames] == ["log-a", "log-a", "log-b", "log-b", "log-c", "log-c"]
    assert index.split("train") == [0, 1, 2, 3]
    assert index.split("val") == [4, 5]
    assert [frame.timestamp * 1000 for frame in frames[:2]] == [START, START + 5 * PERIOD]
    assert frames[1].lidar_path == f"train/log-a/sensors/lidar/{START + 5 * PERIOD}.feather"
    assert len({frame.token[:8] for frame in frames}) == 6  # names of figures
    assert {(frame.location, frame.cameras) for frame in frames} == {("PIT", ())}
    assert not index.has_maps


def test_a_sweep_in_the_convention_of_nuscenes(root: Path, tmp_path: Path) -> None:
    """10 m ahead of the axle and 2 m to the left, on the road: x is to the right, y ahead, the road 1.84 m below."""
    log = Path(shutil.copytree(root / "val" / "log-c", tmp_path / "log"))
    path = log / "sensors" / "lidar" / "7.feather"
    write_sweep(path, np.array([[10.0, 2.0, -0.33], [-5.0, -3.0, 1.0]]))
    points = read_points(path)
    assert points.dtype == np.float32
    expected = [
        [-2 + UP_LIDAR[1], 10 - UP_LIDAR[0], -LIDAR_HEIGHT, 0.2, 0],
        [3 + UP_LIDAR[1], -5 - UP_LIDAR[0], 1 + EGO_HEIGHT - LIDAR_HEIGHT, 0.2, 0],
    ]
    np.testing.assert_allclose(points, expected, atol=2e-4)


def test_poses_put_the_street_where_it_is(index: FrameIndex) -> None:
    for position in (0, 1):
        frame = index[position]
        points, _, kept = load_points(index.root, frame, sweeps=0, ego_radius=0.0)
        np.testing.assert_allclose(transform_points(frame.global_from_lidar, points)[:, :3], street()[kept], atol=0.03)
        np.testing.assert_allclose(frame.global_from_ego, city_from_ego(0.5 * position), atol=1e-9)
        np.testing.assert_allclose(frame.global_from_lidar, frame.global_from_ego @ frame.ego_from_lidar, atol=1e-9)


def test_earlier_sweeps_lie_on_the_key_frame(index: FrameIndex) -> None:
    first, second = index[0], index[1]
    assert first.sweeps == ()
    np.testing.assert_allclose([sweep.lag for sweep in second.sweeps], [0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-9)
    points, key_points, _ = load_points(index.root, second, sweeps=9, ego_radius=0.0)
    assert len(points) == 6 * key_points
    for number in range(1, 6):  # the same points in the same order in every sweep
        moved = points[number * key_points : (number + 1) * key_points]
        np.testing.assert_allclose(moved[:, :3], points[:key_points, :3], atol=0.05)  # float16 rounds to 3 cm
        np.testing.assert_allclose(moved[:, 4], 0.1 * number, atol=1e-6)


def test_boxes_become_regions(index: FrameIndex) -> None:
    frame = index[0]
    points = read_points(index.root / frame.lidar_path)
    found = segment(points, paper_regions())
    on_road = street()[:, 2] < 69.0 - 0.33 + 0.05
    assert (found.ids[on_road] == GROUND).mean() > 0.97
    assert found.counts["kept"] == 6


def test_a_missing_sweep_between_is_left_out_and_counted(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken / "train" / "log-a" / "sensors" / "lidar" / f"{START + 3 * PERIOD}.feather").unlink()
    index = build(broken, tmp_path / "index")
    np.testing.assert_allclose([sweep.lag for sweep in index[1].sweeps], [0.1, 0.3, 0.4, 0.5], atol=1e-9)
    assert "1 sweep files" in capsys.readouterr().out


def test_a_check_reads_every_sweep(broken: Path, tmp_path: Path) -> None:
    """Sizes first, content where asked; points that are not finite are counted and dropped."""
    folder = broken / "train" / "log-a" / "sensors" / "lidar"
    points = np.full((9, 3), [4.0, 5.0, 0.5])
    points[2, 1] = np.nan
    write_sweep(folder / f"{START}.feather", points)
    index = build(broken, tmp_path / "index")
    verdict = verify_files(index.path, broken, deep=True, threads=1)
    assert verdict.files == 18  # key frames and the five sweeps before the second one, of three logs
    assert verdict.to_json()["sound"]
    assert verdict.findings.broken_points == {f"train/log-a/sensors/lidar/{START}.feather": 1}
    assert len(load_points(broken, index[0], sweeps=0, ego_radius=0.0)[0]) == 8
    key = folder / f"{START + PERIOD}.feather"
    key.write_bytes(b"0" * key.stat().st_size)  # the size stays
    assert verify_files(index.path, broken, deep=False, threads=1).to_json()["sound"]
    (fault,) = verify_files(index.path, broken, deep=True, threads=1).findings.faults
    assert fault.path.endswith(f"{START + PERIOD}.feather") and "cannot be read" in fault.problem


def test_no_labels_are_read_and_none_are_made_up(index: FrameIndex, root: Path, tmp_path: Path) -> None:
    build_labels(argoverse_at(root), Prepare(0.2, []), index, tmp_path)
    labels = Labels.open(tmp_path)
    assert all(len(labels.boxes(token)[0]) == 0 for token in index.tokens)
    with pytest.raises(UserError, match="no token list"):
        labels.fraction(1.0)
    with pytest.raises(UserError, match=r"(?s)not read.*prepare\.fractions=\[\]"):
        build_labels(argoverse_at(root), Prepare(0.2, [1.0]), index, tmp_path)


def test_the_devkit_is_not_asked_about_splits(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)'mini_train'.*train, val"):
        build_index(argoverse_at(root, pretrain_split="mini_train"), tmp_path)
    code = "import sys, pipeline.frames.index, pipeline.frames.points; print('nuscenes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_survey_says_the_same_twice_and_sees_logs_without_splits(root: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in (root / "survey").iterdir()}
    survey(root, "survey")
    assert {path.name: path.read_bytes() for path in (root / "survey").iterdir()} == before
    assert all(str(root).encode() not in content for content in before.values())
    flat = tmp_path / "flat"
    shutil.copytree(root / "train", flat)
    logs = survey(flat, "survey")
    assert {log.folder for log in logs.values()} == set(LOGS["train"])
    everything = argoverse_at(flat, pretrain_split="all", train_split="all", val_split="all")
    build_index(everything, tmp_path)
    assert len(FrameIndex.open(tmp_path, flat)) == 4


def damage(root: Path, what: str) -> None:
    log = root / "train" / "log-a"
    key = log / "sensors" / "lidar" / f"{START}.feather"
    if what == "survey":
        shutil.rmtree(root / "survey")
    elif what == "broken survey":
        (root / "survey" / "logs.json").write_text('["log-a"]')
    elif what == "calibration":
        shutil.copy(log / "city_SE3_egovehicle.feather", log / "calibration" / "egovehicle_SE3_sensor.feather")
    elif what == "gone":
        key.unlink()
    elif what == "empty":
        write_sweep(key, np.zeros((0, 3)))
    elif what == "cut off":
        key.write_bytes(key.read_bytes()[:-100])
    elif what == "poses":
        table = feather.read_table(log / "city_SE3_egovehicle.feather")
        feather.write_feather(table.slice(20), log / "city_SE3_egovehicle.feather")
        survey(root, "survey")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("survey", r"(?s)not surveyed.*calico survey"),
        ("broken survey", r"(?s)survey is broken.*calico survey"),
        ("calibration", r"(?s)changed since the survey.*log-a/calibration.*calico survey"),
        ("gone", rf"(?s)missing.*log-a/sensors/lidar/{START}\.feather.*again"),
        ("empty", rf"(?s)empty.*log-a/sensors/lidar/{START}\.feather.*again"),
        ("cut off", rf"(?s)cannot be read.*log-a/sensors/lidar/{START}\.feather.*again"),
        ("poses", rf"(?s)2 of 7 sweeps have no pose, e\.g\. {START}.*city_SE3.*again"),
    ],
)
def test_bad_input_is_named_with_its_remedy(broken: Path, tmp_path: Path, what: str, said: str) -> None:
    damage(broken, what)
    with pytest.raises(UserError, match=said):
        build(broken, tmp_path / "index")


def test_a_root_without_logs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)no log.*dataset\.root.*sensors/lidar"):
        survey(tmp_path, "survey")


def test_a_root_that_cannot_be_written_to(broken: Path) -> None:
    shutil.rmtree(broken / "survey")
    (broken / "survey").write_text("in the way")
    with pytest.raises(UserError, match=r"(?s)cannot be written.*survey.*folder of links"):
        survey(broken, "survey")


def test_two_logs_of_one_name(broken: Path) -> None:
    shutil.copytree(broken / "train" / "log-a", broken / "val" / "log-a")
    with pytest.raises(UserError, match=r"(?s)two logs have one name.*val/log-a"):
        survey(broken, "survey")


class TestRecorded:
    pytestmark = recorded

    @pytest.fixture
    def linked(self, tmp_path: Path) -> Path:
        """The recorded logs below a root that can be written to."""
        root = tmp_path / "argoverse2"
        root.mkdir()
        for log in RECORDED.iterdir():
            if (log / "sensors").is_dir():
                (root / log.name).symlink_to(log)
        survey(root, "survey")
        return root

    def index(self, root: Path) -> FrameIndex:
        out = root.parent / "index"
        out.mkdir()
        build_index(argoverse_at(root, pretrain_split="all", train_split="all", val_split="all"), out)
        return FrameIndex.open(out, root)

    def test_ground_against_labelled_points(self, linked: Path) -> None:
        """The presets' constants hold: the road lies where LIDAR_TOP sees it."""
        index = self.index(linked)
        frame = index[0]
        labels = feather.read_table(index.root / frame.scene / "flow_labels.feather")
        truth = labels.column("is_ground_0").to_numpy()
        points = read_points(index.root / frame.lidar_path)
        near = np.hypot(points[:, 0], points[:, 1]) < 15
        assert abs(np.median(points[truth & near, 2]) + LIDAR_HEIGHT) < 0.05  # measured: 2 cm
        ground = segment(points, paper_regions()).ids == GROUND
        assert (ground & truth).sum() / (ground | truth).sum() > 0.88  # measured: 0.910

    def test_two_sweeps_lie_on_each_other(self, linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ego motion: with it, the sweep 0.1 s before fits the next one better than as it was recorded."""
        monkeypatch.setattr(argoverse, "KEY_STEP", 1)
        index = self.index(linked)
        frame = index[1]
        (sweep,) = frame.sweeps
        assert sweep.lag == pytest.approx(0.1, abs=0.01)
        now, before = (read_points(index.root / path) for path in (frame.lidar_path, sweep.path))
        tree = cKDTree(now[:, :3])
        raised = before[(before[:, 2] > -1) & (np.hypot(before[:, 0], before[:, 1]) < 30)]
        plain, moved, back = (
            float(np.median(tree.query(transform_points(matrix, raised)[:, :3])[0]))
            for matrix in (np.eye(4), sweep.lidar_from_sweep, inverse(sweep.lidar_from_sweep))
        )
        assert moved < 0.8 * plain < 0.8 * back, (moved, plain, back)
