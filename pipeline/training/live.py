"""Curves of a running training as DVCLive writes them, for `dvc plots show`, the VS Code extension and DVC Studio.

They are a view, no artifact: speed and waiting are among them, which no two runs share. What can be reproduced of them
is the checkpoint's history.csv.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.artifacts.publish import write_file

LIVE = Path("live")
OWNER = "run"  # which run the files belong to


class LiveLog:
    """DVCLive's folder of one training: plots/metrics/<name>.tsv, one row a step, and metrics.json with the last.

    Args:
        folder: the same one for every run of a stage, so that dvc.yaml can name it.
        owner: names the run; what another run left in the folder is removed.
        rows: values of the steps that the run has behind it; what the folder says beyond them is cut off, so that no
            step is told twice after a kill.
    """

    def __init__(self, folder: Path, owner: str, rows: Sequence[Mapping[str, float]]) -> None:
        from dvclive.live import Live  # takes a second, which only a training that is watched should pay

        _take_over(folder, owner)
        _cut(folder, rows)
        self._live = Live(
            str(folder), resume=True, report=None, save_dvc_exp=False, dvcyaml=None, monitor_system=False
        )  # fmt: skip
        self._live.step = len(rows)
        self._live.summary |= rows[-1] if rows else {}

    def log(self, values: Mapping[str, float]) -> None:
        """The values of the next step."""
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.next_step()

    def close(self) -> None:
        """After the last step."""
        self._live.end()


def _take_over(folder: Path, owner: str) -> None:
    mark = folder / OWNER
    if folder.exists() and not (mark.is_file() and mark.read_text() == owner):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(mark, owner.encode())


def _cut(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Leaves one line a step up to the last of `rows`; their values are written anew, in case some got lost."""
    curves = folder / "plots" / "metrics"
    curves.mkdir(parents=True, exist_ok=True)
    for path in curves.glob("*.tsv"):
        # A killed process may have left half a line.
        lines = [line for line in path.read_text().splitlines(keepends=True)[1:] if line.endswith("\n")]
        kept = {int(line.partition("\t")[0]): line for line in lines}
        _write(path, [line for step, line in sorted(kept.items()) if step < len(rows)])
    for name in rows[0] if rows else ():
        _write(curves / f"{name}.tsv", [f"{step}\t{row[name]}\n" for step, row in enumerate(rows)])


def _write(path: Path, lines: Sequence[str]) -> None:
    write_file(path, f"step\t{path.stem}\n{''.join(lines)}".encode())
