"""`calico ls` on a project with an experiment."""

import json
from pathlib import Path

from pipeline.artifacts.listing import experiments, list_checkpoints
from pipeline.configure import configure
from tests.tiny_project import CELL, PRC, TinyProject, run_stage


def test_checkpoints_of_the_workspace_and_of_an_experiment(tiny_project: TinyProject) -> None:
    configure(["regions.eps=0.6", "pretrain_lidar.seed=4"])
    run_stage("regions")
    run_stage("pretrain_lidar", "prc")
    tiny_project.dvc("commit", "--force", "--quiet", "regions", "pretrain_lidar")
    tiny_project.commit("narrow")
    base = tiny_project.run("git", "rev-parse", "HEAD~1").strip()
    tiny_project.run("git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/narrow", "HEAD")  # as DVC keeps experiments
    tiny_project.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    assert [name for name, _ in experiments()] == ["narrow"]
    tiny_project.dvc("checkout", "--quiet", "--force", "regions", "pretrain_lidar")

    rows = {(row.where, row.path): row for row in list_checkpoints()}
    assert set(rows) == {
        ("workspace", PRC), ("workspace", CELL), ("workspace", CELL.replace("prc-L", "scratch-L")), ("narrow", PRC),
    }  # fmt: skip
    old, new, cell = rows["workspace", PRC], rows["narrow", PRC], rows["workspace", CELL]
    assert (old.changed, new.changed) == ({}, {"regions.eps": 0.6, "pretrain_lidar.seed": 4})
    assert (old.seeds, new.seeds, new.labels) == ((0,), (4,), ())
    assert (cell.arm, cell.task, cell.fraction, cell.labels) == ("prc-L", "map", 1.0, (4,))
    assert cell.metrics is not None and {"loss_end", "mIoU_best"} <= cell.metrics.keys()

    table = tiny_project.calico("ls")
    assert "regions.eps=0.6" in table and "4 (100%)" in table
    assert len(json.loads(tiny_project.calico("ls", "--json"))["checkpoints"]) == 4

    Path(PRC, "card.json").unlink()
    lost = {(row.where, row.path) for row in list_checkpoints()}
    assert ("workspace", PRC) not in lost
