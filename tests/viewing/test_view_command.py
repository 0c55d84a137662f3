"""`calico view` in a project that the stages prepared: what it draws is what there is."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from pipeline.artifacts.card import WEIGHTS, write_card
from pipeline.artifacts.checkpoint import save_weights, snapshot_file
from pipeline.artifacts.publish import publish
from pipeline.cli import app
from pipeline.configure import compose
from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes, build_submission
from pipeline.evaluation.record import SUBMISSION
from pipeline.frames.frame import CAMERA_CHANNELS
from pipeline.frames.images import decode_jpeg
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.geometry.boxes import points_in_box
from pipeline.networks.lidar import LidarBranch
from pipeline.networks.model import BevModel
from pipeline.networks.projector import Projector
from pipeline.params import Params, load_params
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures.projection import project
from pipeline.viewing.conditions import read_condition
from pipeline.viewing.viewer import Viewer

ROOT = Path(__file__).parents[2]
CELL = "detection-1.0-0"


@pytest.fixture
def params(region_project: Path) -> Params:
    """Of the project in the working directory."""
    return load_params()


@pytest.fixture
def submitted(params: Params) -> tuple[FrameIndex, Labels]:
    """calico predicted the true boxes of the validation frames, with a score of 0.75."""
    index, labels = FrameIndex.open(Path("data/index"), Path(params.dataset.root)), Labels.open(Path("data/labels"))
    frames = [index[position] for position in index.split(params.dataset.val_split)]
    predicted = {}
    for frame in frames:
        boxes, classes, _ = labels.boxes(frame.token)
        predicted[frame.token] = ScoredBoxes(boxes, classes, np.full(len(boxes), 0.75, np.float32))
    path = Path("data/results/calico", CELL, SUBMISSION)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(build_submission(frames, predicted, camera=True)))
    return index, labels


def view(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["view", *words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def refused(*words: str) -> UserError:
    with pytest.raises(UserError) as caught:
        CliRunner().invoke(app, ["view", *words], catch_exceptions=False)
    return caught.value


def test_a_typical_frame_with_all_that_there_is(submitted: tuple[FrameIndex, Labels], params: Params) -> None:
    index, labels = submitted
    told = view()
    position = index.position(told["token"])
    assert position == index.split(params.dataset.val_split)[1]  # the second of its scene
    ids = RegionStore.open(Path("data/regions")).read(position, index[position].points)
    boxes, _, points = labels.boxes(told["token"])
    assert told["regions"] == len(np.unique(ids[ids >= 0])) > 3
    assert (told["true boxes"], told["predicted boxes"]) == ((points > 0).sum(), len(boxes))
    assert told["images"] == 6
    assert told["wrote"] == f"scratch/view/{told['token']}.png"
    drawn = cv2.imread(told["wrote"])
    assert drawn is not None
    assert min(drawn.shape[:2]) > 1000
    last = drawn[-200:-20, 60:300].reshape(-1, 3)  # CAM_BACK_LEFT
    assert len(np.unique(last, axis=0)) > 1000


def test_as_svg_by_the_beginning_of_a_token(submitted: tuple[FrameIndex, Labels]) -> None:
    token = submitted[0].tokens[-1]
    view(token[:8], "--out", "one.svg", "--arm", "calico")
    text = Path("one.svg").read_text()
    assert token in text
    assert "calico detection-1.0-0" in text
    assert all(channel in text for channel in CAMERA_CHANNELS)


def test_only_an_index_is_needed(params: Params) -> None:
    for name in ("labels", "regions"):
        shutil.rmtree(Path("data", name))
    told = view("--out", "bare.png")
    assert (told["regions"], told["true boxes"], told["predicted boxes"]) == (None, None, None)
    assert told["points"] > 1000
    assert "run `dvc repro regions`" in refused("--regions").remedy
    assert "run `dvc repro pretrain_lidar" in refused("--embedding").remedy
    assert "dvc repro prepare" in refused("--corruption", "object_dropout:1").remedy


def test_regions_alone(params: Params) -> None:
    told = view("--regions")
    assert told["wrote"].endswith("-regions.png")
    assert Path(told["wrote"]).stat().st_size > 30_000
    assert (told["regions"] > 3, told["rejected clusters"] > 3) == (True, True)


def test_embeddings_of_a_pretrained_network(params: Params) -> None:
    """A LiDAR branch that kept its first and its last weights."""
    torch.manual_seed(2)
    with publish(Path("data/checkpoints/pretrain_lidar/prc")) as draft:
        (draft / "snapshots").mkdir()
        for file in (snapshot_file(0), WEIGHTS):
            lidar = LidarBranch(params.networks.lidar, params.networks.grid)
            projector = Projector(lidar.out_channels, params.networks.embedding)
            parts = {"lidar": lidar, "lidar_projector": projector}
            weights = {f"{part}.{name}": value for part in parts for name, value in parts[part].state_dict().items()}
            save_weights(draft, weights, file)
        write_card(draft, kind="checkpoint", stage="pretrain_lidar", params={}, inputs=[], details={"steps": 5})
    told = view("--embedding")
    assert told["maps"] == 2
    assert Path(told["wrote"]).stat().st_size > 20_000


def test_a_corruption_strikes_both_sensors_and_the_model_runs_on_it(submitted: tuple[FrameIndex, Labels]) -> None:
    """The submission is of clean frames: it must not be shown beside a corrupted one."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["networks"]["heads"]["min_score"] = 0.0
    Path("params.yaml").write_text(yaml.safe_dump(content))
    params, index = load_params(), submitted[0]
    position = index.split(params.dataset.val_split)[0]
    conditions = [read_condition("fog:3"), read_condition("calibration_drift:2")]
    [blind] = Viewer.open(params, "calico", conditions).look([position])
    assert blind.predicted is None
    torch.manual_seed(1)
    folder = Path("data/checkpoints/finetune/calico", CELL)
    folder.mkdir(parents=True)
    save_weights(folder, BevModel(params.networks, params.frames, "LC", "detection").state_dict())
    [foggy] = Viewer.open(params, "calico", conditions).look([position])
    [clear] = Viewer.open(params, "calico").look([position])
    assert foggy.predicted is not None
    assert clear.predicted is not None
    assert len(foggy.predicted.scores) > 10
    assert set(clear.predicted.scores) == {np.float32(0.75)}
    assert clear.regions is not None
    assert foggy.regions is None
    assert foggy.invented is not None
    assert 0 < foggy.invented.sum() < len(foggy.points)
    frame = index[position]
    for camera in frame.cameras:
        stored = decode_jpeg(index.root / camera.path, camera.size, 1)
        assert np.array_equal(clear.images[camera.channel], stored)
        assert foggy.images[camera.channel].std() < stored.std()
        assert not np.allclose(foggy.cameras[camera.channel].image_from_lidar, camera.image_from_lidar)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["nowhere"], "take another one"),
        (["--arm", "calicoo"], "choose one of scratch-L"),
        (["--corruption", "fogg:2"], "choose one of fog"),
        (["--corruption", "fog"], "write one of fog:1, fog:2, fog:3"),
        (["--corruption", "fog:4"], "write one of fog:1, fog:2, fog:3"),
        (["--scene"], "add --rerun"),
        (["--regions", "--corruption", "fog:1"], "leave --corruption out"),
        (["--embedding", "--rerun"], "choose one of --regions, --embedding and --rerun"),
        (["--out", "frame.gif"], "ends with .png or .svg"),
        (["--rerun", "--out", "frame.png"], "ends with .rrd"),
    ],
)
def test_wrong_words(words: list[str], advice: str, params: Params) -> None:
    assert advice in refused(*words).remedy
    assert not Path("scratch/view").exists()


@pytest.mark.real_data
def test_a_recorded_frame_with_images_and_one_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Straight from the sensor files: points fall where the images show things, and boxes hold the points."""
    root = Path(os.environ.get("CALICO_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "nuscenes"))
    if not root.is_dir():
        pytest.skip(f"no recorded data at {root}; set CALICO_REAL_DATA to a nuScenes root")
    composed = compose(ROOT / "conf", ["dataset=nuscenes_sample", f"dataset.root={root}"])
    (tmp_path / "params.yaml").write_text(composed)
    monkeypatch.chdir(tmp_path)
    params = load_params()
    for name in ("index", "labels"):
        Path("data", name).mkdir(parents=True)
    build_index(params.dataset, Path("data/index"))
    index = FrameIndex.open(Path("data/index"), root)
    build_labels(params.dataset, params.prepare, index, Path("data/labels"))
    viewer = Viewer.open(params)
    pictured = next(position for position in range(len(index)) if index[position].cameras)
    [seen] = viewer.look([pictured])
    assert sum(len(project(camera, seen.points)[0]) for camera in seen.cameras.values()) > 10_000
    told = view(index.tokens[pictured])
    assert (told["images"], told["regions"], told["predicted boxes"]) == (6, None, None)
    assert seen.truth is not None
    held = [points_in_box(seen.points, box).sum() for box in seen.truth.boxes]
    assert np.mean(np.array(held) > 0) > 0.9
    assert view()["images"] == 0  # the validation scene has none
    recorded = view(index.tokens[pictured], "--rerun", "--scene", "--out", "scene.rrd")
    assert recorded["frames"] == len(viewer.scene_of(pictured))
