"""The table of a full run in docs/scaling.md: runs and frames are those of the params, hours follow from the others."""

import re
from pathlib import Path

import yaml

from benchmarks.full_run import NUSCENES, jobs
from pipeline.configure import compose
from pipeline.params import Params, load_runtime
from pipeline.preflight.workload import find_workload
from pipeline.strict_yaml import build_model
from tests.markdown import ROOT

STAGES = "pretrain|distill|finetune|evaluate|stress"
ROW = re.compile(rf"^\| ((?:{STAGES})[^|]*) \| (.*) \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)


def test_runs_frames_and_hours() -> None:
    rows = {row[0].strip(): row[1:] for row in ROW.findall((ROOT / "docs" / "scaling.md").read_text())}
    choice = ["dataset=nuscenes", "dataset.root=/path/to/nuscenes", "scale=paper"]
    params = build_model(Params, yaml.safe_load(compose(Path(ROOT, "conf"), choice)), "params.yaml")
    runs: dict[str, list[int]] = {}
    for job in jobs(params):
        if work := find_workload(job, params, load_runtime(ROOT / "runtime.yaml"), NUSCENES):
            runs.setdefault(job.name, []).append(work.units)
    assert list(rows) == list(runs)
    for name, told in rows.items():
        count, frames, gflop, hours = (float(number.replace(",", "")) for number in told)
        assert (count, frames) == (len(runs[name]), sum(runs[name])), name
        # GFLOP a frame are printed to the unit, hours to a tenth.
        assert abs(frames * gflop / 1e4 / 3600 - hours) < 0.05 + frames * 0.5 / 1e4 / 3600, name
