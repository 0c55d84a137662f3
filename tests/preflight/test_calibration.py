"""A few steps of real work leave the note that preflight looks for."""

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.params import Params, Runtime
from pipeline.preflight.calibration import CALIBRATED, calibrate_unknown, main
from pipeline.preflight.jobs import Job
from pipeline.preflight.verdict import judge
from pipeline.throughput import RECORD, read_notes

JOBS = [
    Job("regions", "regions", ()),
    Job("pretrain_lidar@prc", "pretrain_lidar", ("prc",)),
    Job("distill_camera@rad", "distill_camera", ("rad",)),
    Job("finetune@1", "finetune", ("scratch-L", "detection-1.0", "0")),
    Job("finetune@2", "finetune", ("scratch-LC", "map-1.0", "0")),
    Job("evaluate@1", "evaluate", ("scratch-LC",)),
    Job("stress@1", "stress", ("scratch-L", "lidar")),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: f"{job.stage} {' '.join(job.words)}")
def test_calibrated_work_is_known_afterwards(job: Job, project: Path, params: Params, world_runtime: Runtime) -> None:
    assert job.stage in CALIBRATED
    assert judge([job], params, world_runtime, read_notes()).unknown == [job.stage]
    main(job.stage, *job.words)
    (need,) = judge([job], params, world_runtime, read_notes()).needs
    assert need.seconds is not None and need.seconds > 0
    assert sorted(path.name for path in (project / "scratch").iterdir()) == [RECORD.name]


def test_without_an_index_nothing_is_measured(params: Params, world_runtime: Runtime) -> None:
    (line,) = calibrate_unknown([Job("prepare", "prepare", ()), JOBS[0]], params, world_runtime)
    assert "dvc repro prepare" in line
    assert read_notes() == {}


def test_attacks_are_measured_by_their_first_run(project: Path, params: Params, world_runtime: Runtime) -> None:
    with pytest.raises(UserError, match="only a run of spoofing"):
        main("stress", "scratch-L", "spoofing")


def test_what_cannot_be_measured_is_told(project: Path, params: Params, world_runtime: Runtime) -> None:
    (project / "runtime.yaml").write_text("workerz: 1\n")
    (line,) = calibrate_unknown([JOBS[0]], params, world_runtime)
    assert line.startswith("regions could not be measured: ")
    assert "workers" in line
