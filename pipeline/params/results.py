"""Params of audits, evaluation and report."""

from dataclasses import dataclass

from pipeline.params.checks import positive, require

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
class Probe:
    """Probes of pre-trained features: labels judge them and train nothing that goes on."""

    train_frames: int  # frames that a probe is fitted to, spread over the training split
    val_frames: int  # frames of the validation split that it is scored on
    points: int  # at most so many points of each class of a frame, and of each region
    batch: int  # frames at a time

    def __post_init__(self) -> None:
        positive(self, "train_frames", "val_frames", "points", "batch")


@dataclass(frozen=True)
class Evaluate:
    """Devkit scoring."""

    detection_config: str  # a configuration of the devkit, e.g. detection_cvpr_2019
    max_distance: float  # metres; caps the devkit's class ranges at what the grid can see
    map_thresholds: list[float]
    batch: int  # frames at a time
    calibration_frames: int  # labelled training frames, spread over a fraction, that choose map thresholds; at most

    def __post_init__(self) -> None:
        positive(self, "max_distance", "batch", "calibration_frames")


@dataclass(frozen=True)
class Report:
    """What the report shows."""

    figures: int  # validation frames drawn
    reference_arm: str  # deviations are paired against it
    scratch_arms: dict[str, str]  # modality -> the arm whose corruption error is 100
    resamples: int  # of the bootstrap over scenes and seeds

    def __post_init__(self) -> None:
        positive(self, "resamples")
        require(set(self.scratch_arms) == {"L", "LC"}, f"scratch_arms names one for L and LC, not {self.scratch_arms}")
