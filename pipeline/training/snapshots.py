"""Weights kept on the way of a training, so that probes can tell when it learned what."""

from pathlib import Path

from torch import nn

from pipeline.artifacts.checkpoint import SNAPSHOTS, save_weights, snapshot_file


def snapshot_steps(total: int, count: int) -> list[int]:
    """After which steps weights are kept: `count` evenly spaced ones from 0, the untrained network.

    The last step of the training is not among them: what it leaves is the checkpoint.
    """
    return sorted({total * kept // count for kept in range(count)})


class Snapshots:
    """Writes them into the run's scratch folder, from where the finished checkpoint takes them.

    A resumed run writes those of the steps that it repeats again, with the same bytes. They are on disk before the
    resume state of their step is, so a resume state never lacks one.
    """

    def __init__(self, module: nn.Module, scratch: Path, total: int, count: int) -> None:
        self._module, self._scratch = module, scratch
        self._steps = frozenset(snapshot_steps(total, count))

    def keep(self, done: int) -> None:
        """Keeps the weights after `done` steps if they are wanted."""
        if done in self._steps:
            (self._scratch / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
            save_weights(self._scratch, self._module.state_dict(), snapshot_file(done))
