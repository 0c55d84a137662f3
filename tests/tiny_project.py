"""A whole project under git and DVC on a world of six frames: the stages of the LiDAR arms have run."""

import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

from pipeline.configure import configure

ROOT = Path(__file__).parents[1]
CHOICE = (
    "simulate.train_scenes=2", "simulate.val_scenes=1", "simulate.keyframes_per_scene=2", "simulate.azimuth_steps=180",
    "simulate.image_width=160", "simulate.image_height=90", "prepare.fractions=[1.0]", "prepare.map_resolution=1.0",
    "regions.frames_per_shard=2", "region_quality.figures=0", "report.figures=1",
    "pretrain_lidar.schedule.steps=2", "pretrain_lidar.schedule.batch=2", "pretrain_lidar.rich=64",
    "pretrain_lidar.less=64", "finetune.arms=[scratch-L,prc-L]", "finetune.trials=[map-1.0]", "finetune.seeds=[0]",
    "finetune.schedule.epochs=null", "finetune.schedule.steps=2", "finetune.map_steps=2", "distill_camera.methods=[]",
)  # fmt: skip
RUNTIME = "workers: 1\nscheduler: null\ndevice: cpu\nthreads: 1\nloader_threads: 0\nsave_every: 60.0\n"
STARTS = ["start@scratch-L", "start@prc-L"]
PRC, CELL = "data/checkpoints/pretrain_lidar/prc", "data/checkpoints/finetune/prc-L/map-1.0-0"
MADE = ["simulate@embedded", "prepare", "regions", "region_quality", "pretrain_lidar", *STARTS, "finetune", "evaluate"]
STAGES = [
    "simulate embedded", "prepare", "regions", "region_quality", "pretrain_lidar prc", "start scratch-L", "start prc-L",
    "finetune scratch-L map-1.0 0", "finetune prc-L map-1.0 0", "evaluate scratch-L", "evaluate prc-L",
]  # fmt: skip


class TinyProject:
    """Runs programs in a project folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *words: str, good: bool = True) -> str:
        """What a program prints on both channels; `good`: it has to end well, or else badly."""
        path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(self.root)}
        done = subprocess.run(
            words, cwd=self.root, env=os.environ | path, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert (done.returncode == 0) == good, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def dvc(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *words)

    def calico(self, *words: str, good: bool = True) -> str:
        return self.run(sys.executable, "-m", "pipeline.cli", *words, good=good)

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)


def build_tiny_project(root: Path, site_cache: Path) -> TinyProject:
    """Writes the project, runs its stages in this process, which has imported torch anyway, and commits all."""
    for name in ("conf", "pipeline", "stages"):  # with the caches that numba keeps beside its sources
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("params.yaml", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    (root / ".dvc" / "config.local").write_text(f"[core]\n    site_cache_dir = {site_cache}\n")
    (root / "runtime.yaml").write_text(RUNTIME)
    project = TinyProject(root)
    with chdir(root):
        configure(CHOICE)
        for words in STAGES:
            run_stage(*words.split())
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    for key, value in (("user.name", "test"), ("user.email", "test@example.org"), ("commit.gpgsign", "false")):
        project.run("git", "config", key, value)
    project.dvc("commit", "--force", "--quiet", *MADE)
    project.commit("all stages")
    return project


def run_stage(name: str, *arguments: str) -> None:
    """`python -m stages.<name>` without the start of a process; the working directory is the project."""
    from stages import evaluate, finetune, prepare, pretrain_lidar, region_quality, regions, simulate, start

    mains = {
        module.__name__.rpartition(".")[2]: module.main
        for module in (evaluate, finetune, prepare, pretrain_lidar, region_quality, regions, simulate, start)
    }
    main = mains[name]
    main(*(int(word) if word.isdigit() else word for word in arguments))
