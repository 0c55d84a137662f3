"""What `--corruption fog:2` means: the disturbance of that name, of all sensors that it has a form for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import Camera, Frame
from pipeline.frames.index import FrameIndex
from pipeline.frames.reader import LabelSource
from pipeline.robustness.conditions import CORRUPTIONS, Condition, disturb
from pipeline.robustness.corruption import SEVERITIES

# A type that several families have is the one of both sensors.
FAMILY = {name: family for family in ("lidar", "camera", "rig", "joint") for name in CORRUPTIONS[family]}
WHERE = "command line: --corruption"


@dataclass(frozen=True)
class Sequel(Disturbance):
    """Several disturbances, one after the other."""

    parts: tuple[Disturbance, ...]

    def sweep(self, frame: Frame, lag: float, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Disturbance.sweep`."""
        for part in self.parts:
            points = part.sweep(frame, lag, points)
        return points

    def camera(self, frame: Frame, camera: Camera) -> Camera:
        """See `Disturbance.camera`."""
        for part in self.parts:
            camera = part.camera(frame, camera)
        return camera

    def image(self, frame: Frame, camera: Camera, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Disturbance.image`."""
        for part in self.parts:
            pixels = part.image(frame, camera, pixels)
        return pixels


def read_condition(text: str) -> Condition:
    """The condition that TYPE:SEVERITY names, e.g. fog:2.

    Raises:
        UserError: it is not of this form, or there is no such type or severity.
    """
    name, _, severity = text.partition(":")
    if name not in FAMILY:
        raise UserError(f"there is no corruption {name!r}", where=WHERE, remedy=f"choose one of {', '.join(FAMILY)}")
    if severity not in map(str, SEVERITIES):
        options = ", ".join(f"{name}:{level}" for level in SEVERITIES)
        raise UserError(f"{text!r} names no severity", where=WHERE, remedy=f"write one of {options}")
    family = FAMILY[name]
    return Condition(family, name, int(severity), CORRUPTIONS[family][name])


def combine(
    conditions: Sequence[Condition], seed: int, index: FrameIndex, labels: LabelSource | None
) -> Disturbance | None:
    """What a frame goes through under all of them, in this order; None where there are none.

    Raises:
        UserError: moving objects are to be struck and there are no labels to find them by.
    """
    parts = []
    for condition in conditions:
        needs_labels = condition.type.startswith("object_")
        if needs_labels and labels is None:
            problem = f"{condition.type} strikes annotated objects, and there are no labels"
            raise UserError(problem, where="data/labels", remedy="run `dvc repro prepare`")
        parts.append(disturb(condition, seed, index, labels))  # type: ignore[arg-type]
    return Sequel(tuple(parts)) if parts else None
