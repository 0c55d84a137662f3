"""The grid over params: what the command line says, every cell by hand, and the same out of DVC experiments."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.errors import UserError
from pipeline.evaluation.region_cells import compare_cells
from pipeline.evaluation.region_grid import build_cells, collect_experiments, numbers_of, parse_axes, run_grid
from pipeline.evaluation.region_quality import Quality, add_up, measure_frame
from pipeline.evaluation.region_scores import headline, metrics
from pipeline.evaluation.region_truth import Case, collect_cases
from pipeline.frames.index import FrameIndex
from pipeline.params import Regions, Runtime, load_params
from pipeline.regions.segmentation import segment
from tests.evaluation.test_region_scores import CASE
from tests.reference.regions import paper_regions

ROOT = Path(__file__).parents[2]
PAPER = paper_regions()


def test_axes_of_the_command_line() -> None:
    axes = parse_axes(["eps=0.5,0.75,0.5", "regions.ground=plane_fit,none", "range_scale=null,20", "dims=2"])
    assert axes == {"eps": [0.5, 0.75], "ground": ["plane_fit", "none"], "range_scale": [None, 20], "dims": [2]}
    assert list(axes) == ["eps", "ground", "range_scale", "dims"]


@pytest.mark.parametrize(
    ("words", "problem", "remedy"),
    [
        ((), "the grid has no axis", "eps=0.5,0.75"),
        (("eps",), "'eps' names no values", "key=value,value"),
        (("=1",), "'=1' names no values", "key=value,value"),
        (("eps=",), "'eps=' names no values", "key=value,value"),
        (("eps=1,,2",), "'eps=1,,2' names no values", "key=value,value"),
        (("eps=1", "regions.eps=2"), "eps is given twice", "eps|key=1,2"),
        (("eps=[1",), r"'\[1' are no values", "key=value,value"),
        (("eps={a: 1}",), "are no values", "key=value,value"),
    ],
)
def test_what_names_no_axes(words: tuple[str, ...], problem: str, remedy: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        parse_axes(words)
    assert any(part in caught.value.remedy for part in remedy.split("|"))
    assert caught.value.where == "command line"


def test_cells_are_the_product_last_axis_fastest() -> None:
    cells = build_cells(PAPER, {"eps": [0.5, 1], "dims": [2, 3]})
    assert [place for place, _ in cells] == [
        {"eps": 0.5, "dims": 2}, {"eps": 0.5, "dims": 3}, {"eps": 1, "dims": 2}, {"eps": 1, "dims": 3},
    ]  # fmt: skip
    assert [params for _, params in cells] == [
        replace(PAPER, eps=eps, dims=dims) for eps in (0.5, 1.0) for dims in (2, 3)
    ]
    assert type(cells[-1][1].eps) is float


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"epz": [1]}, "did you mean eps?"),
        ({"ground": ["plane_fits"]}, "did you mean plane_fit?"),
        ({"min_samples": [2.5]}, "min_samples"),
        ({"dims": [4]}, "dims is 2"),
        ({"eps": [-1.0]}, "eps"),
        ({"eps.x": [1]}, "unknown key"),
    ],
)
def test_cells_that_are_no_params(axes: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(UserError) as caught:
        build_cells(PAPER, axes)
    assert said in str(caught.value)
    assert "command line: regions" in caught.value.where


@pytest.fixture(scope="module")
def cases(region_template: Path, world: Path) -> list[Case]:
    index = FrameIndex.open(region_template / "data/index", world)
    return collect_cases(index, load_params(region_template / "params.yaml").dataset, "panoptic", range(len(index)))


def measure(params: Regions, cases: list[Case]) -> Quality:
    parts = []
    for case in cases:
        points = case.read_points()
        found = segment(points, params)
        parts.append(measure_frame(points, found.ids, found.counts, case.read_truth(points)))
    return add_up(parts)


def test_every_cell_by_hand(cases: list[Case], world_runtime: Runtime) -> None:
    rows = run_grid(PAPER, {"eps": [0.4, 0.75], "ground": ["plane_fit", "none"]}, cases[:3], world_runtime)
    for row, (eps, ground) in zip(rows, [(e, g) for e in (0.4, 0.75) for g in ("plane_fit", "none")], strict=True):
        quality = measure(replace(PAPER, eps=eps, ground=ground), cases[:3])  # type: ignore[arg-type]
        assert row.place == {"eps": eps, "ground": ground}
        segmentation = metrics(quality)["segmentation"]
        assert row.numbers == headline(quality) | {
            name: segmentation[name] for name in ("over_segmentation", "under_segmentation")
        }
    assert len({row.numbers["recall"] for row in rows}) == 4


def test_workers_change_nothing(cases: list[Case], world_runtime: Runtime) -> None:
    cells = [PAPER, replace(PAPER, eps=0.4)]
    assert compare_cells(cells, cases, replace(world_runtime, workers=2)) == [measure(cell, cases) for cell in cells]
    assert compare_cells(cells, [], world_runtime) == [Quality(), Quality()]


def test_a_sweep_that_cannot_be_segmented_is_named(cases: list[Case], tmp_path: Path, world_runtime: Runtime) -> None:
    points = np.fromfile(cases[0].path, np.float32)
    points[:3] = 1e30  # metres
    points.tofile(tmp_path / "bad.bin")
    with pytest.raises(UserError, match="cannot be segmented: the points lie too far apart") as caught:
        compare_cells([PAPER], [replace(cases[0], path=tmp_path / "bad.bin")], world_runtime)
    assert caught.value.where == str(tmp_path / "bad.bin")


STAND_IN = """
import json, pathlib, yaml
params = yaml.safe_load(open("params.yaml"))
numbers = json.load(open("template.json"))
numbers["headline"]["recall"] = params["regions"]["eps"] / 2 + params["shift"]
numbers["regions"]["kept"] = int(100 * params["regions"]["eps"])
folder = pathlib.Path("data/region_quality")
folder.mkdir(parents=True, exist_ok=True)
(folder / "metrics.json").write_text(json.dumps(numbers))
"""


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git and DVC project with a stand-in for the stage, and four experiments: two at one place, one only queued."""
    project = tmp_path_factory.mktemp("experiments")
    regions = {"ground": "plane_fit", "eps": 0.75, "dims": 2, "range_scale": None}
    stage = {"cmd": f"{sys.executable} make.py", "params": ["regions", "shift"], "outs": ["data/region_quality"]}
    graph = {"stages": {"region_quality": stage}, "metrics": ["data/region_quality/metrics.json"]}
    (project / "params.yaml").write_text(yaml.safe_dump({"regions": regions, "shift": 0.0}))
    (project / "dvc.yaml").write_text(yaml.safe_dump(graph))
    (project / "make.py").write_text(STAND_IN)
    (project / "template.json").write_text(json.dumps(metrics(CASE)))
    (project / ".gitignore").write_text("/data\n/out\n/cache\n")
    settings = os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(project / "cache")}
    settings |= {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def run(*words: str) -> None:
        done = subprocess.run(words, cwd=project, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    dvc = (sys.executable, "-m", "dvc")
    run("git", "init", "--quiet")
    run(*dvc, "init", "--quiet")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "start")
    changes = ["regions.eps=0.5", "regions.range_scale=20"]
    for shift in (0.0, 0.25):
        run(
            *dvc,
            "exp",
            "run",
            "--quiet",
            *(word for change in changes for word in ("-S", change)),
            "-S",
            f"shift={shift}",
        )
    run(*dvc, "exp", "run", "--quiet", "-S", "regions.eps=1.0", "-S", "regions.range_scale=null")
    run(*dvc, "exp", "run", "--quiet", "--queue", "-S", "regions.eps=2.0")
    return project


def test_the_grid_of_real_dvc_experiments(experiments: Path) -> None:
    """Only params are axes, though metrics have names below `regions` too; at one place the newest counts."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "regions", "grid", "--experiments", "--out", "out"], cwd=experiments,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_SITE_CACHE_DIR": str(experiments / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 DVC experiments, 1 without metrics" in done.stdout
    with (experiments / "out/grid.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["eps"], row["range_scale"], float(row["recall"])) for row in rows] == [
        ("0.5", "20", 0.25 + 0.25), ("1", "nan", 0.5 + 0.25),
    ]  # fmt: skip
    assert list(rows[0])[:3] == ["eps", "range_scale", "frames"]
    assert (rows[0]["over_segmentation"], rows[0]["recall_barrier"]) == ("1.6", "nan")
    assert (experiments / "out/heatmap.png").stat().st_size > 10_000


def test_experiments_at_asked_values_only(experiments: Path) -> None:
    from dvc.api import exp_show  # type: ignore[import-untyped]

    entries = exp_show(repo=str(experiments), config={"core": {"site_cache_dir": str(experiments / "cache")}})
    asked = parse_axes(["eps=0.5,0.75,1.0", "range_scale=null"])
    axes, rows, unfinished = collect_experiments(entries, asked)
    assert (axes, unfinished) == (asked, 1)
    assert [(row.place, row.numbers["recall"]) for row in rows] == [({"eps": 1, "range_scale": None}, 0.75)]
    with pytest.raises(UserError, match="none of 3 DVC experiments lies on this grid") as caught:
        collect_experiments(entries, {"eps": [0.1]})
    assert "leave the values out" in caught.value.remedy


def entry(name: str | None, **values: Any) -> dict[str, Any]:
    return {"Experiment": name, "rev": "abc", "headline.frames": 9.0, "regions.eps": 0.5, **values}


def test_no_experiment_with_metrics_and_no_difference() -> None:
    with pytest.raises(UserError, match="none of 1 DVC experiments has metrics") as caught:
        collect_experiments([entry(None), entry("a") | {"headline.frames": None}], {})
    assert "dvc queue start" in caught.value.remedy
    with pytest.raises(UserError, match="differ in no value of regions"):
        collect_experiments([entry("a"), entry("b") | {"regions.kept": 7.0}], {})


def test_metrics_that_several_files_have_carry_their_file() -> None:
    file = "data/region_quality/metrics.json:"
    entries = [
        {"Experiment": name, f"{file}headline.frames": 9.0, f"{file}headline.recall": recall, "regions.eps": eps}
        for name, eps, recall in (("a", 1.0, 0.5), ("b", 0.5, float("nan")))
    ]
    axes, rows, unfinished = collect_experiments(entries, {})
    assert (axes, unfinished) == ({"eps": [0.5, 1]}, 0)
    assert [row.numbers["recall"] for row in rows] == [None, 0.5]
    assert numbers_of(Quality()).keys() == rows[0].numbers.keys()
