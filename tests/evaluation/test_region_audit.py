"""The audit of a store: the same whoever counts, and files that `dvc plots` and `dvc metrics` can read."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.artifacts.card import read_card
from pipeline.errors import UserError
from pipeline.evaluation import region_audit
from pipeline.evaluation.region_audit import audit_store, write_csv, write_quality
from pipeline.evaluation.region_quality import Quality, add_up, measure_frame
from pipeline.evaluation.region_scores import metrics
from pipeline.evaluation.region_truth import Case, collect_cases
from pipeline.frames.index import FrameIndex
from pipeline.params import Runtime, load_params
from pipeline.regions.segmentation import segment
from pipeline.regions.store import RegionStore
from stages import region_quality

ROOT = Path(__file__).parents[2]
POSITIONS = [0, 1, 3, 5, 8]


@pytest.fixture
def cases(region_project: Path, world: Path) -> list[Case]:
    return collect_cases(FrameIndex.open(Path("data/index"), world), load_params().dataset, "panoptic", POSITIONS)


@pytest.fixture
def store(region_project: Path) -> RegionStore:
    return RegionStore.open(region_project / "data/regions")


def test_the_audit_is_the_sum_over_frames(cases: list[Case], store: RegionStore, world_runtime: Runtime) -> None:
    parts = []
    for case in cases:
        points = case.read_points()
        found = segment(points, load_params().regions)
        parts.append(measure_frame(points, found.ids, found.counts, case.read_truth(points)))
    whole = audit_store(store, cases, POSITIONS, world_runtime)
    assert whole == add_up(parts)
    assert whole.frames == 5
    assert sum(whole.objects.values()) > 20


def test_workers_change_nothing(
    cases: list[Case], store: RegionStore, world_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = audit_store(store, cases, POSITIONS, world_runtime)
    monkeypatch.setattr(region_audit, "FRAMES_PER_UNIT", 2)
    assert audit_store(store, cases, POSITIONS, replace(world_runtime, workers=2)) == alone


def test_positions_are_those_of_the_store(cases: list[Case], store: RegionStore, world_runtime: Runtime) -> None:
    with pytest.raises(UserError, match="its regions were built from"):
        audit_store(store, cases, [1, 0, 3, 5, 8], world_runtime)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_the_stage_publishes(region_project: Path) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["region_quality"]["figures"] = 2
    Path("params.yaml").write_text(yaml.safe_dump(content))
    region_quality.main()
    made = Path("data/region_quality")
    numbers = json.loads((made / "metrics.json").read_text())
    assert numbers["headline"]["frames"] == 9
    assert numbers["headline"]["bad_frames"] == 0
    assert 0 < numbers["headline"]["recall"] < 1
    assert 0.5 < numbers["headline"]["purity"] <= 1
    assert numbers["labelled_ground"]["iou"] > 0.8
    assert len(list(made.glob("regions-*.png"))) == len(list(made.glob("objects-*.png"))) == 2
    card = read_card(made)
    assert card["labels"]["count"] == 9
    assert {entry["path"] for entry in card["inputs"]} >= {"data/index", "data/regions"}
    rows = {path.stem: read_rows(path) for path in made.glob("*.csv")}
    assert set(rows) == set(region_audit.TABLES)
    assert sum(int(row["frames"]) for row in rows["regions_per_frame"]) == 9
    kept = numbers["regions"]["kept"]
    assert sum(int(row["regions"]) for row in rows["sizes"]) == kept
    assert sum(int(row["regions"]) for row in rows["distances"]) == kept
    assert sum(int(row["objects"]) for row in rows["recall_distance"]) == numbers["objects"]["all"]
    assert {row["reason"]: int(row["clusters"]) for row in rows["reasons"]} == {
        name.removeprefix("rejected_"): number
        for name, number in numbers["regions"].items()
        if name.startswith("rejected_")
    }


def test_the_plots_of_the_graph_name_columns_that_exist(
    cases: list[Case], store: RegionStore, world_runtime: Runtime, tmp_path: Path
) -> None:
    write_quality(tmp_path, audit_store(store, cases, POSITIONS, world_runtime), bad_frames=0)
    plots = [plot for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for plot in entry.values()]
    shown = set()
    for plot in plots:
        for file, columns in plot["y"].items():
            if file.startswith("data/region_quality/"):
                shown.add(Path(file).stem)
                (header, *_) = csv.reader((tmp_path / Path(file).name).read_text().splitlines())
                assert {plot["x"], *([columns] if isinstance(columns, str) else columns)} <= set(header)
        assert (ROOT / f".dvc/plots/{plot.get('template', 'bars')}.json").is_file()
    assert shown == set(region_audit.TABLES)


def test_frames_that_were_bad_are_counted_and_left_out(region_project: Path, world: Path) -> None:
    from stages import regions

    index = FrameIndex.open(Path("data/index"), world)
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["regions"]["max_bad_frames"] = 0.5
    copy = region_project / "world"
    copy.mkdir()
    for entry in world.iterdir():
        (copy / entry.name).symlink_to(entry)
    folder = copy / Path(index[2].lidar_path).parts[0]
    folder.unlink()
    content["dataset"]["root"] = str(copy)
    for path in (world / folder.name).rglob("*"):
        if path.is_file() and path != world / index[2].lidar_path:
            target = copy / path.relative_to(world)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    regions.main()
    region_quality.main()
    numbers = json.loads(Path("data/region_quality/metrics.json").read_text())
    assert (numbers["headline"]["frames"], numbers["headline"]["bad_frames"]) == (8, 1)
    assert read_card(Path("data/region_quality"))["labels"]["count"] == 8


def test_undefined_is_null_in_metrics_and_nan_in_tables(tmp_path: Path) -> None:
    """`dvc plots` leaves nan out and takes an empty cell for 0."""
    write_csv(tmp_path / "a.csv", [{"x": 1, "y": None}, {"x": "two", "y": 1 / 3}])
    assert (tmp_path / "a.csv").read_text() == "x,y\n1,nan\ntwo,0.333333\n"
    write_quality(tmp_path, Quality(frames=1), bad_frames=3)
    numbers = json.loads((tmp_path / "metrics.json").read_text())
    assert numbers["headline"] == metrics(Quality(frames=1))["headline"] | {"bad_frames": 3}
    assert numbers["headline"]["recall"] is None
    assert all(math.isnan(float(row["share"])) for row in read_rows(tmp_path / "reasons.csv"))
