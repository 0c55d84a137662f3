"""Two processes that train together, of which one is asked to stop: both stop at the same step."""

import subprocess
import sys
from pathlib import Path

PROCESS = """
import os, signal, sys
from torch import distributed
from pipeline.training.interrupt import StopRequest
rank = int(os.environ["RANK"])
distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
with StopRequest() as stop:
    for step in range(9):
        if (rank, step) == (1, 4):
            os.kill(os.getpid(), signal.SIGTERM)
        if stop.made():
            print(step, flush=True)
            stop.obey("test", step + 1, 9)
"""


def test_both_stop_at_the_same_step(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path / "meeting")],
            cwd=Path(__file__).parents[2],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"RANK": str(rank), "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1"},
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [75, 75], said
    assert [out for out, _ in said] == ["4\n", "4\n"]
    assert "test: stopped after step 5 of 9 (another process was asked to stop); saved" in said[0][1]
    assert said[1][1] == ""
