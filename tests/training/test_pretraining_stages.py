"""The two label-free stages as `dvc repro` runs them, in a project folder of their own."""

import csv
import hashlib
import json
import math
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import timm
import yaml
from safetensors.torch import save_file

from pipeline.artifacts.card import CARD, file_digests, read_card
from pipeline.artifacts.checkpoint import load_snapshots, load_weights
from pipeline.errors import UserError
from pipeline.evaluation.probe_record import CURVE, FIRST, GEOMETRY, LAST, read_curve
from pipeline.evaluation.record import METRICS
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.points import read_points
from pipeline.params import CameraMethod, LidarMethod, Runtime, load_params
from pipeline.regions.builder import build_regions
from pipeline.regions.store import RegionStore
from pipeline.reporting.figures.embedding import EmbeddingMap, embedding_maps
from pipeline.reporting.figures.probes import draw_probes, probe_table
from pipeline.reporting.methods import folders_of_methods
from stages import distill_camera, pretrain_lidar, probe_camera, probe_lidar, start

ROOT = Path(__file__).parents[2]
TRAINED = ("pretrain_lidar/prc", "distill_camera/rad")


@pytest.fixture
def project(world: Path, world_runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Index and regions of the small world; one training frame could not be read when the regions were built."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["dataset"]["root"] = str(world)
    content["regions"]["max_bad_frames"] = 0.5
    for name in ("pretrain_lidar", "distill_camera"):
        # Three steps of two: every frame that is trained on comes once.
        content[name] |= {"rich": 64, "less": 64, "schedule": content[name]["schedule"] | {"steps": 3, "batch": 2}}
        content[name]["snapshots"] = 2
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf" / "weights", "conf/weights")
    Path("params.yaml").write_text(yaml.safe_dump(content))
    Path("runtime.yaml").write_text(yaml.safe_dump(vars(world_runtime)))
    params, index_folder = load_params(), Path("data/index")
    index_folder.mkdir(parents=True)
    build_index(params.dataset, index_folder)
    index = FrameIndex.open(index_folder, world)
    bad = index.split("embedded_train")[1]
    sweeps = [(world / frame.lidar_path, frame.points) for frame in (index[i] for i in range(len(index)))]
    sweeps[bad] = (world / "nowhere.bin", sweeps[bad][1])
    store = build_regions(
        params.regions, sweeps, read_points, identity="test", scratch=Path("scratch"), runtime=world_runtime
    )
    store.rename("data/regions")
    assert list(RegionStore.open(Path("data/regions")).bad_frames) == [bad]
    return tmp_path


def test_frames_without_regions_are_left_out(project: Path) -> None:
    """A bad frame in a batch would stop the stage: the store refuses to read it."""
    pretrain_lidar.main("prc")
    distill_camera.main("rad")
    for folder, branch in (("pretrain_lidar/prc", "lidar"), ("distill_camera/rad", "camera")):
        checkpoint = project / "data" / "checkpoints" / folder
        assert {name.split(".")[0] for name in load_weights(checkpoint)} == {branch, f"{branch}_projector"}
        assert len((checkpoint / "history.csv").read_text().splitlines()) == 1 + 3
        card = read_card(checkpoint)
        assert card["labels"]["count"] == 0
        stage = folder.split("/")[0]
        assert "augmentation" in card["params"][stage]
        assert list(load_snapshots(checkpoint)) == [0, 1, 3]
        assert len((project / "live" / folder / "plots/metrics/data_wait.tsv").read_text().splitlines()) == 1 + 3
    assert not list((project / "scratch").glob("*/state.pt"))


LIDAR_TERMS = {
    "prc": {"loss", "plrc", "rapc"},
    "plrc": {"loss", "plrc", "rapc"},
    "rapc": {"loss", "plrc", "rapc"},
    "point_info_nce": {"loss"},
    "proposal_contrast": {"loss"},
}
CAMERA_TERMS = {
    "rad": {"loss"},
    "rad_unweighted": {"loss"},
    "bev_distill": {"loss"},
    "simipu": {"loss", "intra", "inter"},
}
CAMERA_PARTS = {
    "rad": {"camera", "camera_projector"},
    "rad_unweighted": {"camera", "camera_projector"},
    "bev_distill": {"camera", "camera_adapter"},
    "simipu": {"camera", "camera_projector", "lidar", "lidar_projector"},
}


def history_of(stage: str, method: str) -> list[dict[str, float]]:
    with Path("data/checkpoints", stage, method, "history.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_every_method_trains_through_its_stage(project: Path) -> None:
    """Terms, weights, lineage and probes of each; methods of equal params and inputs do not share a scratch folder."""
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["pretrain_lidar"] |= {"methods": list(LIDAR_TERMS), "rich": 32, "less": 32}
    content["distill_camera"] |= {"methods": list(CAMERA_TERMS), "rich": 32, "less": 32, "teacher": "rapc"}
    for stage in ("pretrain_lidar", "distill_camera"):
        content[stage]["schedule"]["steps"] = 2
        content[stage]["snapshots"] = 1
    content["arms"] = {
        "simipu": {"modality": "LC", **dict.fromkeys(("lidar", "camera"), "data/checkpoints/distill_camera/simipu")}
    }
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert set(LIDAR_TERMS) == set(get_args(LidarMethod))
    assert set(CAMERA_TERMS) == set(get_args(CameraMethod))
    first: dict[str, float] = {}
    for stage, run, probe, terms in (
        ("pretrain_lidar", pretrain_lidar.main, probe_lidar.main, LIDAR_TERMS),
        ("distill_camera", distill_camera.main, probe_camera.main, CAMERA_TERMS),
    ):
        for method, names in terms.items():
            run(method)
            probe(method)
            rows = history_of(stage, method)
            assert len(rows) == 2
            assert names | {"lr", "gradient_norm"} <= set(rows[0])
            assert all(math.isfinite(value) for row in rows for value in row.values())
            assert all(row["loss"] > 0 and row["gradient_norm"] > 0 for row in rows)
            first[method] = rows[0]["loss"]
            folder = Path("data/checkpoints", stage, method)
            parts = CAMERA_PARTS.get(method, {"lidar", "lidar_projector"})
            assert {name.split(".")[0] for name in load_weights(folder)} == parts
            card = read_card(folder)
            assert card["params"]["method"] == method
            assert card["labels"]["count"] == 0
            inputs = [entry["path"] for entry in card["inputs"]]
            has_teacher = stage == "distill_camera" and method != "simipu"
            assert ("data/checkpoints/pretrain_lidar/rapc" in inputs) == has_teacher
            untrained, trained = read_curve(Path("data/probes", stage, method, CURVE))
            assert (untrained["step"], trained["step"]) == (0, 2)
            assert {"object_knn", "point_linear"} <= set(trained)
            # bev_distill compares maps and has no projector, so there is no embedding to retrieve by or to align.
            assert ("alignment" in trained) == ("uniformity" in trained) == (method != "bev_distill")
            assert ("retrieval" in trained) == (stage == "distill_camera" and method != "bev_distill")
            assert untrained != trained | {"step": 0.0}
    # The same network sees the same points in the first step, so the terms of prc are the losses of two others.
    one = history_of("pretrain_lidar", "prc")[0]
    assert one["plrc"] == pytest.approx(first["plrc"], rel=1e-4)
    assert one["rapc"] == pytest.approx(first["rapc"], rel=1e-4)
    assert len(set(first.values())) == len(first)
    every = [("pretrain_lidar", name) for name in LIDAR_TERMS] + [("distill_camera", name) for name in CAMERA_TERMS]
    trained_folders = [Path("data/checkpoints", stage, method) for stage, method in every]
    maps = embeddings(trained_folders)
    assert len(maps) == 2 * len(every) and all(np.isfinite(own.colours).all() for own in maps)
    start.main("simipu")
    assert {name.split(".")[0] for name in load_weights(Path("data/checkpoints/start/simipu"))} == {"lidar", "camera"}


@pytest.mark.parametrize(("stage", "legal"), [(pretrain_lidar, LIDAR_TERMS), (distill_camera, CAMERA_TERMS)])
def test_an_unknown_method_is_refused(region_project: Path, stage: ModuleType, legal: dict[str, set[str]]) -> None:
    with pytest.raises(UserError, match=f"expected {' or '.join(legal)}") as caught:
        stage.main("proposals")
    assert "the method of" in caught.value.where


def test_checkpoints_are_probed_step_by_step(project: Path) -> None:
    """Twice with the same bytes; and a checkpoint holds nothing that a clock or another run could change."""
    digests = []
    for _ in range(2):
        pretrain_lidar.main("prc")
        distill_camera.main("rad")
        probe_lidar.main("prc")
        probe_camera.main("rad")
        made = [project / "data" / kind / name for kind in ("checkpoints", "probes") for name in TRAINED]
        digests.append([file_digests(folder) for folder in made])
    assert digests[0] == digests[1]
    for name, scores in zip(TRAINED, ("alignment", "retrieval"), strict=True):
        folder = project / "data" / "probes" / name
        curve = read_curve(folder / CURVE)
        assert [row["step"] for row in curve] == [0, 1, 3]
        assert {"object_linear", "object_knn", "point_linear", scores} <= set(curve[0])
        assert len({row["uniformity"] for row in curve}) == 3  # weights of three different steps
        metrics = json.loads((folder / METRICS).read_bytes())
        assert metrics[FIRST]["uniformity"] == curve[0]["uniformity"]
        assert metrics[LAST]["uniformity"] == curve[2]["uniformity"]
        assert (GEOMETRY in metrics) == (name == TRAINED[0])
        # Probes are judged by labels, which their cards admit; the checkpoints stay free of them.
        assert read_card(folder)["labels"]["count"] == 8
        assert read_card(project / "data" / "checkpoints" / name)["labels"]["count"] == 0
    probed = folders_of_methods(load_params(), Path("data/probes"), CURVE)
    table = probe_table(probed)
    assert table is not None
    assert [row[0] for row in table.rows] == [*TRAINED, "cell statistics", "chance"]
    (picture,) = draw_probes(probed, project)
    assert picture.png.startswith(b"\x89PNG")
    maps = embeddings([Path("data/checkpoints", name) for name in TRAINED])
    assert [own.title for own in maps] == [
        f"{name}, {step}" for name in TRAINED for step in ("untrained", "after 3 steps")
    ]
    size = load_params().networks.grid.feature_grid.size
    for own in maps:
        assert own.colours.shape == (size, size, 3)
        assert 0 <= own.colours.min() < own.colours.max() <= 1
        assert 0 < own.share <= 1
    assert not np.array_equal(maps[0].colours, maps[1].colours)
    again = embeddings([Path("data/checkpoints", name) for name in TRAINED])
    assert all(np.array_equal(one.colours, two.colours) for one, two in zip(maps, again, strict=True))
    # Without its teacher beside it a camera is shown in components of its own, which hold more of its variance.
    assert embeddings([Path("data/checkpoints", TRAINED[1])])[-1].share > maps[-1].share
    assert folders_of_methods(load_params(), Path("data/checkpoints"), CARD) == [
        Path("data/checkpoints", name) for name in TRAINED
    ]
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["pretrain_lidar"]["methods"] = ["plrc"]  # chosen, not trained; what is left of prc is another choice's
    content["networks"]["embedding"] += 1
    Path("params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="do not fit params") as caught:
        embeddings([Path("data/checkpoints", TRAINED[0])])
    assert folders_of_methods(load_params(), Path("data/checkpoints"), CARD) == [Path("data/checkpoints", TRAINED[1])]
    assert "size mismatch" in caught.value.problem and "dvc repro" in caught.value.remedy


def embeddings(checkpoints: list[Path]) -> list[EmbeddingMap]:
    """Maps of the first validation frame."""
    params = load_params()
    index = FrameIndex.open(Path("data/index"), Path(params.dataset.root))
    return embedding_maps(params, index, index.split(params.dataset.val_split)[0], checkpoints)


def test_a_camera_branch_starts_from_a_weight_file(project: Path) -> None:
    """The card of what was trained names the labels that the start weights saw, and what of them went over."""
    params = load_params()
    size = (params.frames.image_height, params.frames.image_width)
    camera = params.networks.camera
    arguments: dict[str, Any] = {**camera.backbone_options, "num_classes": 3, "img_size": size}
    model = timm.create_model(camera.backbone, **arguments)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, "swin.safetensors")
    digest = hashlib.sha256(Path("swin.safetensors").read_bytes()).hexdigest()
    Path("swin.yaml").write_text(f"source: file\nfile: swin.safetensors\nsha256: {digest}\nlabels: ImageNet-1k\n")
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["distill_camera"]["start"] = "swin.yaml"
    content["distill_camera"]["schedule"]["steps"] = 1
    content["pretrain_lidar"]["schedule"]["steps"] = 1
    content["arms"] = {"image": {"modality": "LC", "lidar": "conf/weights/random.yaml", "camera": "swin.yaml"}}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    pretrain_lidar.main("prc")
    distill_camera.main("rad")
    start.main("image")
    card = read_card(Path("data/checkpoints/distill_camera/rad"))
    assert card["labels"]["outside"] == read_card(Path("data/checkpoints/start/image"))["labels"]["outside"]
    assert card["labels"]["outside"] == ["ImageNet-1k"]
    assert "swin.yaml" in [entry["path"] for entry in card["inputs"]]
    transferred = card["details"]["start tensors"]
    assert transferred["matched"] > 20
    assert transferred["reshaped"] == 0
    assert any(part.startswith("timm.head.fc") for part in transferred["unexpected parts"])
    weights = load_weights(Path("data/checkpoints/start/image"))
    assert set(weights) == {f"timm.{name}" for name in model.state_dict()}
