"""Two processes that share the frames publish the same results as one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.artifacts.card import read_card
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.map_segmentation import MapCounts, MapPictures, count_cells
from pipeline.evaluation.shares import join_boxes, join_maps, pack_boxes, pack_maps
from pipeline.evaluation.team import Team
from stages import evaluate, finetune, start

ROOT = Path(__file__).parents[2]
TRIALS = ["detection-1.0", "map-1.0"]
RESULTS = Path("data/results/scratch-L")


@pytest.fixture(scope="module")
def project(region_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both tasks fine-tuned for a step on the small world, evaluated in batches of one frame."""
    project = Path(shutil.copytree(region_template, tmp_path_factory.mktemp("team") / "project"))
    shutil.copytree(ROOT / "conf" / "weights", project / "conf/weights")
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["finetune"] |= {"arms": ["scratch-L"], "trials": TRIALS, "seeds": [0], "map_steps": None}
    content["finetune"]["schedule"] |= {"steps": 1, "epochs": None, "batch": 2, "micro_batch": 2}
    content["evaluate"]["batch"] = 1
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    with chdir(project):
        start.main("scratch-L")
        for trial in TRIALS:
            finetune.main("scratch-L", trial, 0)
        yield project


def published() -> dict[str, bytes]:
    """Every file of the results; of the card what does not tell of the run."""
    found = {path.relative_to(RESULTS).as_posix(): path.read_bytes() for path in RESULTS.rglob("*") if path.is_file()}
    card = read_card(RESULTS)
    return found | {"card.json": json.dumps([card[key] for key in ("files", "inputs", "labels", "metrics")]).encode()}


def test_two_processes_publish_what_one_does(project: Path) -> None:
    evaluate.main("scratch-L")
    one = published()
    shutil.rmtree(RESULTS)
    runtime = project / "runtime.yaml"
    runtime.write_text(yaml.safe_dump(yaml.safe_load(runtime.read_text()) | {"devices": 2}))
    done = subprocess.run(
        [sys.executable, "-m", "stages.evaluate", "scratch-L"], cwd=project, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(Path("scratch/evaluate").iterdir()) == []
    two = published()
    assert two.keys() == one.keys() >= {"detection-1.0-0/submission.json", "map-1.0-0/maps.npz", "metrics.json"}
    for name, content in one.items():
        assert two[name] == content, name


def test_shares_are_whole_batches_and_cover_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shares = []
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(Team(tmp_path).share(range(10, 21), batch=2))
    assert shares == [[10, 11, 16, 17], [12, 13, 18, 19], [14, 15, 20]]


def test_boxes_go_and_come_back() -> None:
    """Frames of three shares, one of which found nothing and one of which had no frame."""
    random = np.random.default_rng(0)

    def boxes(count: int) -> ScoredBoxes:
        scores, classes = random.random(count).astype(np.float32), random.integers(0, 10, count)
        return ScoredBoxes(random.random((count, 9)).astype(np.float32), classes, scores)

    frames = {"a": boxes(3), "b": boxes(0), "c": boxes(2)}
    parts: list[dict[str, ScoredBoxes]] = [{"c": frames["c"], "a": frames["a"]}, {"b": frames["b"]}, {}]
    joined = join_boxes([pack_boxes({"cell": part}) for part in parts], ["cell"], list(frames))
    assert list(joined["cell"]) == list(frames)
    for token, frame in frames.items():
        for name, values in vars(frame).items():
            back = getattr(joined["cell"][token], name)
            assert np.array_equal(back, values) and back.dtype == values.dtype


def test_maps_go_and_come_back() -> None:
    """A scene that two shares have seen a part of each, and a share without a frame."""
    random = np.random.default_rng(0)
    probabilities, truth = random.random((3, 6, 4, 4)), random.random((3, 6, 4, 4)) < 0.5
    counts = [count_cells(probabilities[row : row + 1], truth[row : row + 1], [0.4]) for row in range(3)]

    def share(
        scenes: dict[str, MapCounts], tokens: list[str], rows: list[int]
    ) -> tuple[dict[str, MapCounts], MapPictures]:
        return scenes, MapPictures(tuple(tokens), probabilities[rows] >= 0.5, truth[rows])

    none: tuple[dict[str, MapCounts], MapPictures] = (
        {},
        MapPictures((), np.zeros((0, 6, 0, 0), np.bool_), np.zeros((0, 6, 0, 0), np.bool_)),
    )
    parts = [share({"y": counts[2], "x": counts[1]}, ["two"], [2]), share({"x": counts[0]}, ["zero"], [0]), none]
    scenes, pictures = join_maps([pack_maps({"cell": part}) for part in parts], ["cell"], ["zero", "two"])["cell"]
    assert list(scenes) == ["x", "y"]
    whole = counts[0] + counts[1]
    for name, values in vars(whole).items():
        assert np.array_equal(getattr(scenes["x"], name), values)
    assert scenes["y"].cells == 16 and scenes["y"].intersection.dtype == np.int64
    assert pictures.tokens == ("zero", "two")
    assert np.array_equal(pictures.truth, truth[[0, 2]])
