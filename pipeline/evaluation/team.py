"""The processes that predict together, one a device, and how the first of them gets what the others found."""

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.training.launch import launched, rank

Arrays = dict[str, NDArray[Any]]
# The launcher ends all processes when one fails, so this only has to be longer than any share takes.
PATIENCE = timedelta(hours=12)


class Team:
    """This process among those that `pipeline.training.launch` started; alone where it started none.

    What the processes find travels as .npz files through a folder that all of them see.

    Attributes:
        rank: of this process; 0 collects, scores and publishes.
        size: how many there are.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is emptied, and removed at the end of a `with` block that ends well."""
        self.folder = folder
        self.rank, self.size = rank(), int(os.environ["WORLD_SIZE"]) if launched() else 1

    def __enter__(self) -> "Team":
        if self.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        if self.size > 1:
            import torch.distributed

            torch.distributed.init_process_group("gloo", timeout=PATIENCE)
            torch.distributed.barrier()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.size > 1:
            import torch.distributed

            torch.distributed.destroy_process_group()
        if self.rank == 0 and error is None:  # a failed one leaves it: the others may still be writing
            shutil.rmtree(self.folder, ignore_errors=True)

    def share(self, positions: Sequence[int], batch: int) -> list[int]:
        """This process's frames: every size-th batch, whole, so that a batch is the same whoever predicts it."""
        starts = range(self.rank * batch, len(positions), self.size * batch)
        return [position for start in starts for position in positions[start : start + batch]]

    def gather(self, name: str, own: Mapping[str, NDArray[Any]]) -> list[Arrays]:
        """Everybody's arrays, in the order of ranks, on rank 0; nothing on the others.

        Args:
            name: of this exchange; no other one may have it.
            own: what this process found.
        """
        if self.size == 1:
            return [dict(own)]
        import torch.distributed

        np.savez(self._file(name, self.rank), **own)
        torch.distributed.barrier()
        return [_read(self._file(name, other)) for other in range(self.size)] if self.rank == 0 else []

    def _file(self, name: str, of: int) -> Path:
        return self.folder / f"{name}-{of}.npz"


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}
