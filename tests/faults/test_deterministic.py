"""runtime.yaml: deterministic. Every training runs under it, and on a CPU it changes no bit."""

from pathlib import Path

import pytest
import yaml

from tests.faults.published import COMMANDS, assert_published
from tests.faults.training_process import Stages


@pytest.mark.parametrize("stage", COMMANDS)
def test_trainings_use_deterministic_algorithms_alone(
    stage: str, training_project: Path, training_template: Path, stages: Stages
) -> None:
    words, out = COMMANDS[stage]
    (training_project / out).rename(training_project / "before")
    runtime = yaml.safe_load(Path("runtime.yaml").read_text())
    Path("runtime.yaml").write_text(yaml.safe_dump(runtime | {"deterministic": True}))
    assert stages.run(training_project, words, "notes the mode") == 0
    assert Path("mode.txt").read_text() == "True"
    assert_published(training_project, training_template, out)
