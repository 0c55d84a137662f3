"""Params of the robustness tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.params.attacks import Pgd, Spoofing
from pipeline.params.checks import require

CorruptionFamily = Literal["lidar", "camera", "joint", "rig"]
Family = Literal[CorruptionFamily, "spoofing", "pgd"]


@dataclass(frozen=True)
class Corruptions:
    """A family of corruptions; each type is tried at each severity."""

    types: list[str] | None  # null = all of the family
    severities: list[int]  # 1 (mild) to 3

    def __post_init__(self) -> None:
        known = bool(self.severities) and set(self.severities) <= {1, 2, 3}
        require(known, f"severities are some of 1, 2 and 3, not {self.severities}")
        require(len(set(self.severities)) == len(self.severities), f"a severity is given twice: {self.severities}")
        require(self.types is None or len(set(self.types)) == len(self.types) > 0, "types are null or names, once each")


@dataclass(frozen=True)
class Stress:
    """Which fine-tuned models are tried on what; a group per family, so that one makes no other stale."""

    families: list[Family]  # empty: no robustness test
    trials: list[str]  # of finetune.trials; what is not fine-tuned is left out
    seeds: list[int]  # of finetune.seeds
    seed: int  # of everything random in the disturbances
    lidar: Corruptions  # Robo3D's types
    camera: Corruptions  # RoboBEV's types
    joint: Corruptions  # the weather and the motion that strike both sensors at once
    rig: Corruptions  # calibration, time, moving objects
    spoofing: Spoofing  # a vehicle that is not there
    pgd: Pgd  # points and pixels moved to where the loss is high

    def __post_init__(self) -> None:
        require(len(set(self.families)) == len(self.families), f"a family is given twice: {self.families}")


def corruption_families(families: Sequence[Family]) -> list[Family]:
    """Those of `families` that corrupt; the others are attacks, which are measured otherwise."""
    return [family for family in families if family in get_args(CorruptionFamily)]
