"""Params of audits, evaluation and report."""

from dataclasses import dataclass

from pipeline.params.checks import require

POINT_LABELS = ("panoptic", "lidarseg", "lidarseg16")


@dataclass(frozen=True)
class RegionQuality:
    """The audit of regions against labels, which nothing that trains reads."""

    point_labels: str | None  # table of point labels: panoptic | lidarseg | lidarseg16; null where there is none
    figures: int  # frames drawn

    def __post_init__(self) -> None:
        known = self.point_labels is None or self.point_labels in POINT_LABELS
        require(known, f"point_labels is {', '.join(POINT_LABELS)} or null, not {self.point_labels!r}")
        require(self.figures >= 0, "figures must not be negative")


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
