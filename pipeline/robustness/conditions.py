"""What models are tried on: the conditions of each family, and the disturbance of each condition."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.frames.reader import LabelSource
from pipeline.params import Corruptions, Stress
from pipeline.robustness.corruption import TYPES, Corruption, Sensors
from pipeline.robustness.objects import MovingObjects
from pipeline.robustness.rig import CalibrationDrift, TemporalMisalignment

# Family -> type -> the sensors that it strikes.
CORRUPTIONS: Mapping[str, Mapping[str, Sensors]] = {
    "lidar": dict.fromkeys(TYPES["lidar"], "lidar"),
    "camera": dict.fromkeys(TYPES["camera"], "camera"),
    "joint": dict.fromkeys(TYPES["both"], "both"),
    "rig": {
        "calibration_drift": "camera",
        "temporal_misalignment": "camera",
        "object_dropout": "lidar",
        "object_overlap": "lidar",
    },
}


@dataclass(frozen=True)
class Condition:
    """One type at one severity: 1 to 3 of a corruption; of an attack the points spoofed or the budget of PGD."""

    family: str
    type: str
    severity: int
    sensors: Sensors

    @property
    def name(self) -> str:
        """For people and files, e.g. fog-2; unique within the family."""
        return f"{self.type}-{self.severity}"

    def applies_to(self, modality: str) -> bool:
        """Whether an arm of this modality can tell the condition from clean frames, and from the family lidar."""
        return modality == "LC" or self.sensors == "lidar"


def conditions_of(family: str, stress: Stress) -> list[Condition]:
    """Every condition of a family, type by type, whatever the modality of the arm.

    Raises:
        UserError: params name a type that the family does not have.
    """
    if family == "spoofing":
        return [Condition(family, "vehicle", count, "lidar") for count in stress.spoofing.counts]
    if family == "pgd":
        points = [Condition(family, "points", budget, "lidar") for budget in stress.pgd.points]
        return points + [Condition(family, "pixels", budget, "camera") for budget in stress.pgd.pixels]
    own: Corruptions = getattr(stress, family)
    known = CORRUPTIONS[family]
    for name in own.types or ():
        if name not in known:
            raise UserError(
                f"the family {family} has no type {name!r}",
                where=f"params.yaml: stress.{family}.types",
                remedy=f"choose from {', '.join(known)}, or write null for all of them",
            )
    return [
        Condition(family, name, severity, known[name]) for name in own.types or known for severity in own.severities
    ]


def disturb(condition: Condition, seed: int, index: FrameIndex, labels: LabelSource) -> Disturbance:
    """What the frames of a condition go through; only moving objects are looked up in the labels."""
    if condition.type == "calibration_drift":
        return CalibrationDrift(condition.severity, seed)
    if condition.type == "temporal_misalignment":
        return TemporalMisalignment(condition.severity, index, seed)
    if condition.type == "object_dropout":
        return MovingObjects("dropout", condition.severity, seed, labels)
    if condition.type == "object_overlap":
        return MovingObjects("overlap", condition.severity, seed, labels)
    return Corruption(condition.type, condition.severity, condition.sensors, seed)
