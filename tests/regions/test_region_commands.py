"""`calico regions verify`, `repair` and `grid` on a store that the stages built."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import UserError
from stages import prepare

ROOT = Path(__file__).parents[2]
SHARD = Path("data/regions/ids.zarr/c/3/0")


def calico(*words: str) -> subprocess.CompletedProcess[str]:
    """`calico regions …` in the working directory."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "regions", *words], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[30] ^= 4
    path.write_bytes(content)


def test_a_flipped_byte_is_found_and_mended(region_project: Path) -> None:
    sound = SHARD.read_bytes()
    flip(SHARD)
    done = calico("verify")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "data/regions: 4 of 5 shards sound, 7 of 9 frames",
        "  changed: ids.zarr/c/3/0 (frames 6 to 7)",
        "rebuild only these: calico regions repair data/regions",
    ]
    command = done.stdout.splitlines()[-1].partition("calico regions ")[2].split()
    done = calico(*command)
    assert done.returncode == 0
    assert "rebuilt: data/regions/ids.zarr/c/3/0" in done.stdout
    assert "every file is sound now" in done.stdout
    assert SHARD.read_bytes() == sound
    done = calico("verify")
    assert (done.returncode, done.stdout) == (0, "data/regions: 5 of 5 shards sound, 9 of 9 frames\n")


def test_verify_as_json_has_nothing_else_on_stdout(region_project: Path) -> None:
    flip(SHARD)
    done = calico("verify", str(region_project / "data/regions"), "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["damaged"] == [{"file": "ids.zarr/c/3/0", "frames": [6, 7], "problem": "changed"}]
    assert told["repair"] == f"calico regions repair {region_project}/data/regions"


def test_grid_measures_frames_of_the_index(region_project: Path) -> None:
    words = ["regions", "grid", "eps=0.5,0.75", "dims=2", "--split", "embedded_train", "--frames", "3", "--out", "out"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "embedded, 3 frames" in done.output
    with Path("out/grid.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["eps"], row["dims"], row["frames"]) for row in rows] == [("0.5", "2", "3"), ("0.75", "2", "3")]
    assert rows[0]["recall"] != rows[1]["recall"]
    assert Path("out/heatmap.png").stat().st_size > 10_000
    for wrong, said in (("eps=-1", "eps"), ("epz=1", "did you mean eps?")):
        error = CliRunner().invoke(app, ["regions", "grid", wrong]).exception
        assert isinstance(error, UserError)
        assert said in str(error)


def test_what_cannot_be_repaired_ends_with_code_2_and_advice(region_project: Path) -> None:
    flip(SHARD)
    damaged = SHARD.read_bytes()
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["prepare"]["map_resolution"] = 2.0
    Path("params.yaml").write_text(yaml.safe_dump(content))
    prepare.main()  # another index
    done = calico("repair")
    assert done.returncode == 2
    assert "only what made the store can rebuild a part of it" in done.stderr
    assert "index: " in done.stderr and "dvc repro --force --single-item regions" in done.stderr
    assert "Traceback" not in done.stderr
    assert SHARD.read_bytes() == damaged
    shutil.rmtree("data/index")
    done = calico("repair")
    assert done.returncode == 2
    assert "dvc repro" in done.stderr and "Traceback" not in done.stderr
