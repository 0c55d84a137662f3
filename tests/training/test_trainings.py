"""The three trainings end to end on the small world: real frames, real regions, tiny networks, six steps."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.detection.data_classes import DetectionBox
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.evaluation.detection import build_submission
from pipeline.evaluation.predict import predict_boxes
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.map_drawing import build_maps
from pipeline.frames.points import read_points
from pipeline.networks.model import BevModel
from pipeline.params import (
    CameraNetwork,
    Dataset,
    Frames,
    Grid,
    LidarNetwork,
    Networks,
    Params,
    Prepare,
    Runtime,
    Schedule,
    load_params,
)
from pipeline.regions.builder import build_regions
from pipeline.regions.store import RegionStore
from pipeline.training import distill_camera as distillation
from pipeline.training.distill_camera import distill_camera
from pipeline.training.finetune import finetune
from pipeline.training.history import History
from pipeline.training.loop import Run
from pipeline.training.pretrain_lidar import LidarEmbedding, pretrain_lidar
from tests.small_heads import SIX_GROUPS, small_heads

STEPS = 6
SCHEDULE = Schedule(epochs=None, steps=STEPS, batch=2, lr=0.003, weight_decay=0.01, clip=35.0, warmup=0.4)
FRAMES = Frames(sweeps=1, ego_radius=1.0, image_height=32, image_width=64, resize=1.091)
NETWORKS = Networks(
    grid=Grid(reach=25.6, z_min=-5.0, z_max=3.0, pillar=0.8, stride=2),
    lidar=LidarNetwork([8], [8, 16], [1, 1], [2, 2], [8, 8], "pillars", None, None, 0.25, [4, 8, 8, 8]),
    camera=CameraNetwork(
        backbone="swin_tiny_patch4_window7_224",
        backbone_options={"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 2], "window_size": [4, 4]},
        out_indices=[1, 2], neck_channels=8, context_channels=6, depth_min=1.0, depth_max=30.0, depth_step=2.0,
    ),
    heads=small_heads(map_reach=24.0, map_cell=1.0),
    embedding=16,
)  # fmt: skip
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Small:
    """Everything that the trainings read, made from the small world."""

    params: Params
    index: FrameIndex
    labels: Labels
    regions: RegionStore
    runtime: Runtime

    def loader(self, **extra: Any) -> FrameLoader:
        return FrameLoader(self.index, FRAMES, NETWORKS.grid, **extra)

    def run(self, scratch: Path, schedule: Schedule = SCHEDULE) -> Run:
        return Run("test", self.index.split("embedded_train"), schedule, 0, scratch)


@pytest.fixture(scope="module")
def small(world: Path, world_runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Small:
    out = tmp_path_factory.mktemp("small")
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    splits = ("embedded_train", "embedded_train", "embedded_val")
    dataset = Dataset("embedded", str(world), "v1.0-embedded", ["embedded"], *splits, {})
    for name in ("index", "labels"):
        (out / name).mkdir()
    build_index(dataset, out / "index")
    index = FrameIndex.open(out / "index", world)
    assert build_maps(world, 0.5, index, out / "index")
    build_labels(dataset, Prepare(0.5, [1.0]), index, out / "labels")
    sweeps = [(world / frame.lidar_path, frame.points) for frame in (index[i] for i in range(len(index)))]
    store = build_regions(
        params.regions, sweeps, read_points, identity="test", scratch=out / "scratch", runtime=world_runtime
    )
    regions = RegionStore.open(store, params.regions)
    return Small(params, index, Labels.open(out / "labels"), regions, world_runtime)


def train_lidar(small: Small, scratch: Path, schedule: Schedule = SCHEDULE) -> tuple[Weights, History]:
    own = replace(small.params.pretrain_lidar, rich=64, less=64)
    loader = small.loader(regions=small.regions, augmentation=own.augmentation)
    return pretrain_lidar(loader, small.run(scratch, schedule), NETWORKS, own, small.runtime)


def train_camera(
    small: Small, teacher: Weights, scratch: Path, schedule: Schedule = SCHEDULE
) -> tuple[Weights, History]:
    own = replace(small.params.distill_camera, rich=64, less=64)
    loader = small.loader(regions=small.regions, images=True, augmentation=own.augmentation)
    run = small.run(scratch, schedule)
    weights, history, _ = distill_camera(loader, run, teacher, {}, NETWORKS, FRAMES, own, small.runtime)
    return weights, history


def test_depth_supervision_is_a_term_of_the_distillation(
    small: Small, lidar: tuple[Weights, History], tmp_path: Path
) -> None:
    own = replace(small.params.distill_camera, rich=64, less=64, depth_supervision=0.5)
    loader = small.loader(regions=small.regions, images=True, augmentation=own.augmentation)
    run = small.run(tmp_path, replace(SCHEDULE, steps=2))
    _, history, _ = distill_camera(loader, run, lidar[0], {}, NETWORKS, FRAMES, own, small.runtime)
    for row in history.rows:
        assert row["loss"] == pytest.approx(row["rad"] + 0.5 * row["depth"], rel=1e-5)
        # 15 bins; an untrained network is near the uniform distribution.
        assert 0.3 * math.log(15) < row["depth"] < 2 * math.log(15)


def train_task(
    small: Small,
    start: Weights,
    modality: str,
    task: str,
    scratch: Path,
    schedule: Schedule = SCHEDULE,
    networks: Networks = NETWORKS,
    pretrained_lr: float = 1.0,
) -> tuple[Weights, History, dict[str, int | list[str]]]:
    loader = small.loader(
        labels=small.labels if task == "detection" else None,
        map_grid=networks.heads.map_grid if task == "map" else None,
        images=modality == "LC",
        augmentation=small.params.finetune.augmentation,
    )
    return finetune(
        loader, small.run(scratch, schedule), start, networks, FRAMES, modality, task, small.runtime,
        pretrained_lr=pretrained_lr,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lidar(small: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Weights, History]:
    return train_lidar(small, tmp_path_factory.mktemp("lidar"))


@pytest.fixture(scope="module")
def teachers() -> list[LidarEmbedding]:
    """The networks that the distillation took its targets from."""
    return []


@pytest.fixture(scope="module")
def camera(
    small: Small,
    lidar: tuple[Weights, History],
    teachers: list[LidarEmbedding],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Weights, History]:
    def keep(networks: Networks) -> LidarEmbedding:
        teachers.append(LidarEmbedding(networks))
        return teachers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "LidarEmbedding", keep)
        return train_camera(small, lidar[0], tmp_path_factory.mktemp("camera"))


@pytest.fixture(scope="module")
def start(lidar: tuple[Weights, History], camera: tuple[Weights, History]) -> Weights:
    """What the stage `start` gathers for the arm of both branches."""
    both = lidar[0] | camera[0]
    return {name: tensor for name, tensor in both.items() if name.startswith(("lidar.", "camera."))}


def prefixes(weights: Weights) -> set[str]:
    return {name.split(".")[0] for name in weights}


def changed(module: nn.Module, weights: Weights) -> list[bool]:
    return [not torch.equal(parameter, weights[name]) for name, parameter in module.named_parameters()]


def test_every_frame_has_regions(small: Small) -> None:
    assert not small.regions.bad_frames
    kept = [(small.regions.read(i, small.index[i].points) >= 0).sum() for i in range(len(small.index))]
    assert min(kept) > 20


def test_pretraining_trains_the_lidar_branch(lidar: tuple[Weights, History]) -> None:
    weights, history = lidar
    assert prefixes(weights) == {"lidar", "lidar_projector"}
    assert len(history.rows) == STEPS
    assert set(history.rows[0]) == {"loss", "plrc", "rapc", "alignment", "uniformity", "lr", "gradient_norm"}
    assert all(math.isfinite(value) for row in history.rows for value in row.values())
    assert min(row["gradient_norm"] for row in history.rows) > 0
    torch.manual_seed(0)
    assert all(changed(LidarEmbedding(NETWORKS), weights))


def test_pretraining_repeats_to_the_same_bits(small: Small, lidar: tuple[Weights, History], tmp_path: Path) -> None:
    weights, history = train_lidar(small, tmp_path)
    assert history.rows == lidar[1].rows
    assert all(torch.equal(weights[name], tensor) for name, tensor in lidar[0].items())


def test_distillation_trains_the_camera_branch(camera: tuple[Weights, History]) -> None:
    weights, history = camera
    assert prefixes(weights) == {"camera", "camera_projector"}
    assert len(history.rows) == STEPS
    assert all(math.isfinite(row["loss"]) and row["gradient_norm"] > 0 for row in history.rows)


def test_teacher_is_frozen(
    lidar: tuple[Weights, History], camera: tuple[Weights, History], teachers: list[LidarEmbedding]
) -> None:
    """Its weights, and the running statistics that a batch in training mode would move."""
    (teacher,) = teachers
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(tensor, lidar[0][name]) for name, tensor in teacher.state_dict().items())


@pytest.mark.parametrize("task", ["detection", "map"])
@pytest.mark.parametrize("modality", ["L", "LC"])
def test_finetuning_takes_the_start_weights(
    small: Small, start: Weights, modality: str, task: str, tmp_path: Path
) -> None:
    branches = {"lidar", "camera"} if modality == "LC" else {"lidar"}
    own = {name: tensor for name, tensor in start.items() if name.split(".")[0] in branches}
    weights, history, transferred = train_task(small, own, modality, task, tmp_path)
    model = BevModel(NETWORKS, FRAMES, modality, task)
    model.load_state_dict(weights)
    assert prefixes(weights) == branches | {"fuser", "head"}
    counts = {"matched": len(own), "missing": len(weights) - len(own), "unexpected": 0, "reshaped": 0}
    assert transferred | counts == transferred
    assert len(history.rows) == STEPS
    assert all(math.isfinite(value) for row in history.rows for value in row.values())
    # All parameters train: none of the branches stays where it started.
    assert all(not torch.equal(parameter, own[name]) for name, parameter in model.named_parameters() if name in own)


@pytest.mark.parametrize(
    "choice",
    [
        {"detection": "transfusion", "nms": "none"},
        {"groups": SIX_GROUPS, "branches": "separate", "nms": "rotated", "nms_within": "group"},
    ],
)
def test_other_detection_heads_train_and_predict(
    small: Small, start: Weights, choice: dict[str, Any], tmp_path: Path
) -> None:
    """The same calls of fine-tuning and evaluation, up to the devkit's file."""
    networks = replace(NETWORKS, heads=small_heads(min_score=0.0, **choice))
    own = {name: tensor for name, tensor in start.items() if name.startswith("lidar.")}
    weights, history, _ = train_task(small, own, "L", "detection", tmp_path, networks=networks)
    assert all(math.isfinite(value) for row in history.rows for value in row.values())
    model = BevModel(networks, FRAMES, "L", "detection")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    assert all(not torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    positions = [0, 1, 2]
    loader = FrameLoader(small.index, FRAMES, NETWORKS.grid)
    predictions = predict_boxes({"cell": model.eval()}, loader, positions, 2, torch.device("cpu"))["cell"]
    assert [len(found.scores) > 0 for found in predictions.values()] == [True] * 3
    submission = build_submission([small.index[i] for i in positions], predictions, camera=False)
    read = EvalBoxes.deserialize(submission["results"], DetectionBox)
    assert len(read.all) == sum(len(found.scores) for found in predictions.values())


def test_start_weights_are_where_the_training_begins(small: Small, start: Weights, tmp_path: Path) -> None:
    """With a vanishing learning rate the branches end where they began, other than those of a run from scratch."""
    still = replace(SCHEDULE, steps=2, lr=1e-9, weight_decay=0.0)
    given, _, _ = train_task(small, start, "LC", "map", tmp_path / "given", still)
    scratch, _, counts = train_task(small, {}, "LC", "map", tmp_path / "scratch", still)
    assert counts["matched"] == 0
    matrices = [name for name in start if start[name].ndim > 1]
    assert len(matrices) > 20
    assert all(torch.allclose(given[name], start[name], atol=1e-6) for name in matrices)
    assert not any(torch.allclose(scratch[name], start[name], atol=1e-6) for name in matrices)


def test_bfloat16_trains_all_three(
    small: Small, lidar: tuple[Weights, History], camera: tuple[Weights, History], start: Weights, tmp_path: Path
) -> None:
    """Losses near those of full precision, of the weights themselves float32."""
    mixed = replace(SCHEDULE, precision="bf16-mixed")
    weights, history = train_lidar(small, tmp_path / "lidar", mixed)
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights.values())
    _, distilled = train_camera(small, lidar[0], tmp_path / "camera", mixed)
    for ours, full in ((history, lidar[1]), (distilled, camera[1])):
        assert ours.rows != full.rows
        assert [r["loss"] for r in ours.rows] == pytest.approx([r["loss"] for r in full.rows], rel=0.05)
    _, tuned, _ = train_task(small, start, "LC", "detection", tmp_path / "task", mixed)
    _, exact, _ = train_task(small, start, "LC", "detection", tmp_path / "exact")
    assert tuned.rows[0]["loss"] == pytest.approx(exact.rows[0]["loss"], rel=0.05)


@pytest.mark.parametrize("given", [{"lidar", "camera"}, {"lidar"}])
def test_frozen_start_weights_stay_and_all_else_trains(
    small: Small, start: Weights, given: set[str], tmp_path: Path
) -> None:
    """Running statistics of the batch norms included; a branch that was not given trains."""
    own = {name: tensor for name, tensor in start.items() if name.split(".")[0] in given}
    short = replace(SCHEDULE, steps=3)
    weights, _, _ = train_task(small, own, "LC", "map", tmp_path, short, pretrained_lr=0.0)
    assert any(name.endswith("running_mean") for name in own)
    assert all(torch.equal(weights[name], tensor) for name, tensor in own.items())
    torch.manual_seed(small.run(tmp_path).seed)
    fresh = BevModel(NETWORKS, FRAMES, "LC", "map")
    assert all(
        not torch.equal(parameter, weights[name]) for name, parameter in fresh.named_parameters() if name not in own
    )


def test_start_weights_train_at_their_own_rate(small: Small, start: Weights, tmp_path: Path) -> None:
    """A hundredth, for Adam moves weights by about the learning rate; a model from scratch knows no such tensor."""
    short = replace(SCHEDULE, steps=2, weight_decay=0.0)

    def moved(factor: float) -> tuple[float, float]:
        weights, _, _ = train_task(small, start, "LC", "map", tmp_path / str(factor), short, pretrained_lr=factor)
        torch.manual_seed(0)
        before = BevModel(NETWORKS, FRAMES, "LC", "map")
        before.load_start(start)
        distance = {name: float((weights[name] - p.detach()).abs().mean()) for name, p in before.named_parameters()}
        return sum(distance[n] for n in distance if n in start), sum(distance[n] for n in distance if n not in start)

    (slow, new), (full, same) = moved(0.01), moved(1.0)
    assert 0.005 < slow / full < 0.02
    assert 0.8 < new / same < 1.25
    one, two = (
        train_task(small, {}, "L", "map", tmp_path / name, short, pretrained_lr=factor)[0]
        for name, factor in (("one", 1.0), ("two", 0.01))
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_branch_that_does_not_fit_is_refused(small: Small, start: Weights, tmp_path: Path) -> None:
    broken = dict(start)
    del broken[next(name for name in broken if name.startswith("lidar."))]
    with pytest.raises(UserError, match=r"lidar\..*missing"):
        train_task(small, broken, "L", "map", tmp_path)
