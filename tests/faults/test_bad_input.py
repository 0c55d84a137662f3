"""Bad input ends a real stage with one screen and exit code 2; no half-made artifact lies where DVC looks for one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.artifacts.audit import audit
from pipeline.artifacts.publish import strays
from pipeline.configure import compose
from tests.frames.tiny_dataset import VERSION, write_tiny

PROJECT = Path(__file__).parents[2]
OUTS = ("data/index", "data/labels")
OLD = b"what the last good run published"
CHOICE = (
    "scale=embedded", "dataset=embedded", "dataset.name=tiny", "dataset.root=raw", f"dataset.version={VERSION}",
    "dataset.simulated=[]", "dataset.pretrain_split=train", "dataset.train_split=train", "dataset.val_split=val",
    "prepare.fractions=[1.0]", "finetune.trials=[detection-1.0, map-1.0]",
)  # fmt: skip


def stage(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m stages.<words>` in a copy of the project."""
    return subprocess.run(
        [sys.executable, "-m", f"stages.{words[0]}", *words[1:]],
        cwd=project, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def assert_one_screen(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """Exit code 2 and one readable screen with every part of `said`, the remedy among them."""
    assert done.returncode == 2, done.stderr
    screen = done.stdout + done.stderr
    assert "Traceback" not in screen
    assert len(screen.splitlines()) <= 25
    assert done.stderr.startswith("error: ")
    assert "\n  where:  " in done.stderr and "\n  remedy: " in done.stderr
    for part in said:
        assert part in done.stderr


def assert_untouched(project: Path, *outs: str) -> None:
    """What was published before is there byte for byte, nothing else is, and no draft is left."""
    for out in (project / name for name in outs):
        assert [path.name for path in out.iterdir()] == ["old.txt"]
        assert (out / "old.txt").read_bytes() == OLD
        assert not any(stray.exists() for stray in strays(out))


def plant(project: Path, *outs: str) -> None:
    """An old artifact at every out."""
    for out in (project / name for name in outs):
        out.mkdir(parents=True)
        (out / "old.txt").write_bytes(OLD)


def cut(path: Path, size: int) -> None:
    """Keeps the first `size` bytes."""
    os.truncate(path, size)


def write_params(project: Path, *path: str, value: Any, drop: str | None = None) -> None:
    """Sets one key of params.yaml, as a person with an editor would."""
    content = group = yaml.safe_load((project / "params.yaml").read_text())
    for name in path[:-1]:
        group = group[name]
    group[path[-1]] = value
    if drop:
        del group[drop]
    (project / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on four tiny scenes, nothing made yet."""
    project = tmp_path_factory.mktemp("template")
    for name in ("pipeline", "stages", "conf"):  # no links: a stage takes no code from outside its project
        shutil.copytree(PROJECT / name, project / name)
    (project / "params.yaml").write_text(compose(PROJECT / "conf", CHOICE))
    (project / "runtime.yaml").write_text(
        "workers: 1\nscheduler: null\ndevice: cpu\nthreads: 1\nloader_threads: 0\nsave_every: 60.0\n"
    )
    (project / "raw").mkdir()
    write_tiny(project / "raw")
    return project


@pytest.fixture(scope="module")
def prepared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a good `prepare`: the errors below come from the faults, not from the copy."""
    project = copy_project(template, tmp_path_factory.mktemp("prepared") / "project")
    done = stage(project, "prepare")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return copy_project(template, tmp_path / "project")


@pytest.fixture
def indexed(prepared: Path, tmp_path: Path) -> Path:
    return copy_project(prepared, tmp_path / "project")


def copy_project(source: Path, target: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(source, target))


def finetune_cell(**item: str) -> tuple[list[str], str]:
    """Words of the stage and its out for one cell of the matrix, as dvc.yaml writes them."""
    written = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["finetune"]
    command, out = (
        re.sub(r"\$\{item\.(\w+)\}", lambda name: item[name[1]], text) for text in (written["cmd"], written["outs"][0])
    )
    return command.removeprefix("python -m stages.").split(), out


def key_file(project: Path, channel: str) -> Path:
    """The first key-frame file of a sensor."""
    return min((project / "raw" / "samples" / channel).iterdir())


def test_missing_dataset_root(project: Path) -> None:
    plant(project, *OUTS)
    shutil.rmtree(project / "raw")
    assert_one_screen(stage(project, "prepare"), "dataset.root = raw", "calico configure dataset.root=PATH")
    assert_untouched(project, *OUTS)


def test_wrong_version(project: Path) -> None:
    plant(project, *OUTS)
    write_params(project, "dataset", "version", value="v1.0-trainval")
    assert_one_screen(
        stage(project, "prepare"), "dataset.version = v1.0-trainval", f"set dataset.version to one of {VERSION}"
    )
    assert_untouched(project, *OUTS)


def test_times_out_of_order(project: Path) -> None:
    plant(project, *OUTS)
    path = project / "raw" / VERSION / "sample_data.json"
    rows = json.loads(path.read_text())
    next(row for row in rows if row["filename"].startswith("sweeps/LIDAR_TOP"))["timestamp"] += 10**9
    path.write_text(json.dumps(rows))
    assert_one_screen(stage(project, "prepare"), "is not older than it", f"raw/{VERSION}/sample_data.json", "sort out")
    assert_untouched(project, *OUTS)


def test_map_task_without_a_map_expansion(project: Path) -> None:
    """`prepare` says so and goes on; the map task ends."""
    for expansion in (project / "raw" / "maps" / "expansion").iterdir():
        expansion.unlink()
    prepared = stage(project, "prepare")
    assert prepared.returncode == 0
    assert "no map expansion in raw/maps/expansion" in prepared.stdout
    assert stage(project, "start", "scratch-L").returncode == 0
    command, cell = finetune_cell(arm="scratch-L", trial="map-1.0", seed="0")
    plant(project, cell)
    assert_one_screen(stage(project, *command), "no map rasters", "take the map trials out of finetune.trials")
    assert_untouched(project, cell)


def test_missing_table(project: Path) -> None:
    plant(project, *OUTS)
    (project / "raw" / VERSION / "ego_pose.json").unlink()
    assert_one_screen(stage(project, "prepare"), f"raw/{VERSION}/ego_pose.json", "download nuScenes from")
    assert_untouched(project, *OUTS)


def test_missing_annotation_table(project: Path) -> None:
    """Found after the index is complete: that one may stay, but whole."""
    plant(project, "data/labels")
    (project / "raw" / VERSION / "sample_annotation.json").unlink()
    assert_one_screen(stage(project, "prepare"), f"raw/{VERSION}/sample_annotation.json", "download nuScenes from")
    assert_untouched(project, "data/labels")
    assert_absent_or_whole(project, "data/index")


def test_missing_sensor_file(project: Path) -> None:
    lost = key_file(project, "CAM_FRONT")
    lost.unlink()
    assert_one_screen(stage(project, "prepare"), f"raw/samples/CAM_FRONT/{lost.name}", "download nuScenes from")
    assert not (project / "data").exists() or not any((project / "data").iterdir())


def test_truncated_sweep(project: Path) -> None:
    plant(project, *OUTS)
    sweep = key_file(project, "LIDAR_TOP")
    cut(sweep, sweep.stat().st_size // 2 // 20 * 20 + 7)
    assert_one_screen(stage(project, "prepare"), f"raw/samples/LIDAR_TOP/{sweep.name}", "copy this file again")
    assert_untouched(project, *OUTS)


@pytest.mark.parametrize("fault", ["lost", "cut between two points"])
def test_sweep_damaged_after_the_index_was_made(fault: str, indexed: Path) -> None:
    plant(indexed, "data/regions")
    sweep = key_file(indexed, "LIDAR_TOP")
    if fault == "lost":
        sweep.unlink()
    else:
        cut(sweep, sweep.stat().st_size // 2 // 20 * 20)
    assert_one_screen(stage(indexed, "regions"), sweep.name, "mend or replace these files")
    assert_untouched(indexed, "data/regions")


def test_truncated_image(indexed: Path) -> None:
    """Images are opened by the first stage that needs them."""
    command, cell = finetune_cell(arm="scratch-LC", task="detection", fraction="1.0", trial="detection-1.0", seed="0")
    plant(indexed, cell)
    assert stage(indexed, "start", "scratch-LC").returncode == 0
    for image in (indexed / "raw" / "samples" / "CAM_BACK").iterdir():  # any frame may be the first of the training
        cut(image, image.stat().st_size // 2)
    assert_one_screen(
        stage(indexed, *command), "the image cannot be decoded", "raw/samples/CAM_BACK/", "copy this file again",
    )  # fmt: skip
    assert_untouched(indexed, cell)


def test_unknown_params_key(indexed: Path) -> None:
    plant(indexed, "data/regions")
    write_params(indexed, "regions", "epz", value=0.75, drop="eps")
    assert_one_screen(stage(indexed, "regions"), "params.yaml: regions.epz", "did you mean regions.eps?")
    assert_untouched(indexed, "data/regions")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.5, ("fractions must lie in (0, 1], not [1.0, 1.5]", "params.yaml: prepare", "correct the value")),
        (0.3, ("is a share of 0.3", "prepare.fractions", "nearest possible shares: 1/3")),
    ],
)
def test_impossible_fraction(value: float, said: tuple[str, ...], project: Path) -> None:
    plant(project, "data/labels")
    write_params(project, "prepare", "fractions", value=[1.0, value])
    assert_one_screen(stage(project, "prepare"), *said)
    assert_untouched(project, "data/labels")
    assert_absent_or_whole(project, "data/index")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("regions", "eps"), "wide", ("found text (wide), expected a number", "params.yaml: regions.eps")),
        (("dataset", "splits"), ["train"], ("found a list", "params.yaml: dataset.splits", "write a group of keys")),
    ],
)
def test_wrong_type(path: tuple[str, ...], value: object, said: tuple[str, ...], project: Path) -> None:
    plant(project, *OUTS)
    write_params(project, *path, value=value)
    assert_one_screen(stage(project, "prepare"), *said)
    assert_untouched(project, *OUTS)


def assert_absent_or_whole(project: Path, out: str) -> None:
    folder = project / out
    assert not any(stray.exists() for stray in strays(folder))
    if folder.exists():
        home = Path.cwd()
        os.chdir(project)
        try:
            assert audit(Path(out)).ok
        finally:
            os.chdir(home)
