"""A training that meets infinity stops before its optimiser steps, and `calico replay` meets it again by itself."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from tests.faults.published import COMMANDS
from tests.faults.training_process import DIES_IN, SAID, Stages


@pytest.mark.parametrize("stage", COMMANDS)
def test_replay_meets_the_same_bad_tensor(
    stage: str, training_project: Path, stages: Stages, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words, out = COMMANDS[stage]
    (training_project / out).rename(training_project / "before")
    assert stages.run(training_project, words, "too large a weight") == 2
    said = (training_project / SAID).read_text()
    (state,) = (training_project / "scratch").glob("*/*/state.pt")
    fault = state.parent / "fault"
    assert re.search(rf"step {DIES_IN + 1}: (loss|gradient_norm) is (nan|inf)", said)
    assert f"where:  {fault.relative_to(training_project)}" in said
    assert f"`calico replay {fault.relative_to(training_project)}` repeats this pass" in said
    assert "Traceback" not in said
    named = re.search(r"the first bad tensor is the (.*values\))", said)
    assert named
    report = json.loads((fault / "fault.json").read_text())
    assert report["stage"] == words
    assert report["step"]["number"] == DIES_IN + 1
    assert report["first bad tensor"]["name"] in named[1]
    assert yaml.safe_load((fault / "params.yaml").read_text()) == yaml.safe_load(Path("params.yaml").read_text())

    # By itself: no project, no data.
    kept = Path(shutil.copytree(fault, tmp_path / "elsewhere" / "fault"))
    monkeypatch.chdir(kept.parent)
    outcome = CliRunner().invoke(app, ["replay", "fault"])
    assert outcome.exit_code == 1, outcome.output
    assert f"again, the first bad tensor is the {named[1]}" in outcome.output

    # Weights that are in order show that the replay looks at them.
    weights = torch.load(kept / "weights.pt", weights_only=True)
    weights["module"] = torch.load(state, weights_only=True)["parts"]["module"]
    huge = [name for name, tensor in weights["module"].items() if tensor.is_floating_point() and tensor.max() > 1e38]
    for name in huge:
        weights["module"][name].fill_(0.01)
    assert len(huge) == 1
    torch.save(weights, kept / "weights.pt")
    outcome = CliRunner().invoke(app, ["replay", "fault"])
    assert outcome.exit_code == 0, outcome.output
    assert "every tensor is finite here" in outcome.output


def test_a_folder_without_a_fault(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["replay", str(tmp_path)])
    assert "there is no fault to replay" in str(outcome.exception)
