"""Params of evaluation and report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluate:
    """Devkit scoring."""

    detection_config: str  # a configuration of the devkit, e.g. detection_cvpr_2019
    max_distance: float  # metres; caps the devkit's class ranges at what the grid can see
    map_thresholds: list[float]
    batch: int  # frames at a time


@dataclass(frozen=True)
class Report:
    """What the report shows."""

    figures: int  # validation frames drawn
    reference_arm: str  # deviations are paired against it
