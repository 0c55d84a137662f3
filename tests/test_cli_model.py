"""`calico model`: the table, its JSON, and wrong words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.model import model
from pipeline.configure import params_at
from pipeline.errors import UserError
from pipeline.networks.model import BevModel

ROOT = Path(__file__).parents[1]


def calico_model(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", "model", *words]
    path = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=path, capture_output=True, text=True, check=False)


def test_json_with_the_memory_of_a_step() -> None:
    done = calico_model("--scale", "embedded", "--arm", "calico", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    params = params_at("embedded", root=ROOT)
    network = BevModel(params.networks, params.frames, "LC", "detection")
    wanted = sum(parameter.numel() for parameter in network.parameters())
    assert said["parameters"] == wanted == sum(part["parameters"] for part in said["parts"])
    assert [part["name"] for part in said["projectors"]] == ["LiDAR projector", "camera projector"]
    # Weights, gradients and two moments are the least there can be.
    assert 4 * 4 * wanted / 2**20 < said["step"]["megabytes"] < 2000


def test_table_of_a_lidar_arm() -> None:
    done = calico_model("--scale", "embedded", "--arm", "scratch-L", "--task", "map", "--no-step")
    assert done.returncode == 0, done.stderr
    assert "scratch-L (L), map" in done.stdout
    for part in ("LiDAR encoder", "LiDAR neck", "fuser", "head", "all", "LiDAR projector"):
        assert part in done.stdout
    assert "camera" not in done.stdout
    assert "training step" not in done.stdout


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ({"scale": "papr"}, "did you mean scale=paper?"),
        ({"arm": "calicoo"}, "choose one of scratch-L, scratch-LC, prc-L, calico"),
        ({"task": "tracking"}, "write --task detection or --task map"),
    ],
)
def test_unknown_words_are_told(words: dict[str, str], remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as caught:
        model(scale=words.get("scale"), arm=words.get("arm"), task=words.get("task", "detection"))
    assert caught.value.remedy == remedy
