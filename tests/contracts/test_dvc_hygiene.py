"""What DVC promises, kept by this graph: nothing is computed twice, versions live side by side, a clone can be rebuilt.

Real `dvc` and `git` on a whole project of six frames. The tests go down the page on one copy: a project's history.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.artifacts.audit import audit
from pipeline.artifacts.listing import experiments
from pipeline.artifacts.lock import read_lock
from pipeline.artifacts.view import Revision
from pipeline.regions.manifest import Manifest
from tests.tiny_project import ROOT, TinyProject

QUALITY = "region_quality"


@pytest.fixture(scope="module")
def project(tiny_template: TinyProject, tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    return TinyProject(Path(shutil.copytree(tiny_template.root, tmp_path_factory.mktemp("hygiene") / "project")))


@pytest.fixture(autouse=True)
def inside(project: TinyProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)


def ran(output: str) -> list[str]:
    """Stages that DVC ran, by what it prints."""
    return re.findall(r"^Running stage '(.+)':", output, flags=re.MULTILINE)


def computed_shards(output: str) -> int:
    """As the progress bar of the build counts them."""
    return max((int(done) for done in re.findall(r"^regions .*?(\d+)/\d+", output, flags=re.MULTILINE)), default=0)


def eps() -> float:
    return float(Manifest.load(Path("data/regions")).params["eps"])


def test_another_eps_reuses_everything_upstream(project: TinyProject) -> None:
    output = project.dvc("exp", "run", "-S", "regions.eps=0.6", "--name", "narrow", QUALITY)
    assert ran(output) == ["regions", QUALITY]
    assert computed_shards(output) == 3
    assert eps() == 0.6


def test_the_old_eps_comes_back_without_computing(project: TinyProject) -> None:
    output = project.dvc("exp", "run", "-S", "regions.eps=0.75", "--name", "back", QUALITY)
    assert ran(output) == []
    assert computed_shards(output) == 0
    assert eps() == 0.75
    assert audit("data/regions", deep=True).ok


def test_two_caches_live_side_by_side(project: TinyProject) -> None:
    """Both are read at the same time, each under its own revision, and neither is in the workspace's way."""
    commits = dict(experiments())
    views = {rev: Revision(rev) for rev in ("HEAD", commits["narrow"])}
    found = {}
    for rev, view in views.items():
        assert audit("data/regions", view, deep=True).ok
        with view.open("data/regions/manifest.json") as file:
            found[rev] = json.loads(file.read())["params"]["eps"]
    assert found == {"HEAD": 0.75, commits["narrow"]: 0.6}


def test_experiments_metrics_and_plots_can_be_compared(project: TinyProject) -> None:
    shown = project.dvc("exp", "show", "--json")
    assert '"narrow"' in shown and "recall_car" in shown and '"eps": 0.6' in shown
    answer = project.dvc("metrics", "diff", "--json", "HEAD", "narrow").splitlines()[0]
    changed = json.loads(answer)["data/region_quality/metrics.json"]["headline.regions_a_frame"]
    assert changed["diff"] == pytest.approx(changed["new"] - changed["old"])
    assert changed["diff"] < 0  # a smaller eps makes fewer clusters of enough points
    project.dvc("plots", "diff", "--out", "plots", "HEAD", "narrow")
    drawn = Path("plots/index.html").read_text()
    assert "Recall of annotated objects by class" in drawn
    assert '"rev": "narrow"' in drawn and '"rev": "HEAD"' in drawn


def test_a_clone_is_rebuilt_from_a_remote_and_audited(project: TinyProject, tmp_path: Path) -> None:
    project.run("git", "checkout", "--quiet", "--", "dvc.lock", "params.yaml")
    project.dvc("remote", "add", "--default", "--local", "store", str(tmp_path / "store"))
    project.dvc("push", "--quiet", "pretrain_lidar", "finetune@prc-L-map-1.0-0", "--with-deps")
    clone = TinyProject(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.root), str(clone.root))
    shutil.copy(project.root / ".dvc" / "config.local", clone.root / ".dvc" / "config.local")
    cell = "data/checkpoints/finetune/prc-L/map-1.0-0"
    clone.dvc("pull", "--quiet", "finetune@prc-L-map-1.0-0", "--with-deps")
    output = clone.calico("audit", cell, "--deep")
    assert "every link fits" in output
    assert (clone.root / cell / "card.json").read_bytes() == (project.root / cell / "card.json").read_bytes()
    weights = clone.root / cell / "weights.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "file changed: weights.safetensors" in clone.calico("audit", cell, good=False)


def test_registered_artifacts_are_outputs_of_the_graph() -> None:
    written = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]
    outs = set(read_lock((ROOT / "dvc.lock").read_bytes()).outs())
    assert {entry["path"] for entry in written.values()} <= outs
    assert {entry["type"] for entry in written.values()} == {"model"}
    assert all(entry["desc"] and entry["labels"] for entry in written.values())
    finals = {path for path in outs if re.fullmatch(r"data/checkpoints/finetune/(calico|prc-L)/\w+-1.0-0", path)}
    assert finals <= {entry["path"] for entry in written.values()}
