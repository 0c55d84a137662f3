"""What an index is built from: any recording that can tell its key frames in order."""

from collections.abc import Iterator
from typing import Protocol

from pipeline.frames.frame import Frame


class FrameSource(Protocol):
    """A dataset. To add one, write a class of this form and open it in `pipeline.frames.index_building.open_source`.

    Attributes:
        missing_sweeps: once `frames` has ended, how many earlier sweeps were left out because their file is missing.
    """

    missing_sweeps: int

    def frames(self) -> Iterator[Frame]:
        """Every key frame, sorted by scene name and time stamp; all that it names exists on disk.

        Raises:
            UserError: something is missing or broken; as far as possible before the first frame.
        """

    def notes(self) -> list[str]:
        """Once `frames` has ended: what a person should know about it, a sentence each."""
