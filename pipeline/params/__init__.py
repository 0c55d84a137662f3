"""params.yaml and runtime.yaml as frozen, typed models.

params.yaml holds every value that can change a result, one group per stage; runtime.yaml holds what cannot change one.
"""

from dataclasses import dataclass
from pathlib import Path

from pipeline.params.checks import require
from pipeline.params.data import Augmentation, Dataset, Frames, LidarLayout, Prepare, Simulate
from pipeline.params.networks import CameraNetwork, Grid, Heads, LidarNetwork, Networks, TransFusion
from pipeline.params.regions import Regions
from pipeline.params.results import Evaluate, Probe, RegionQuality, Report
from pipeline.params.robustness import Corruptions, Family, Stress, corruption_families
from pipeline.params.runtime import Runtime, load_runtime
from pipeline.params.training import (
    Arm,
    CameraMethod,
    DistillCamera,
    Finetune,
    LidarMethod,
    PretrainLidar,
    Rapc,
    Schedule,
    SphereProposals,
    camera_method,
    lidar_method,
    parse_trial,
)
from pipeline.strict_yaml import read_model

__all__ = [
    "Arm", "Augmentation", "CameraMethod", "CameraNetwork", "Corruptions", "Dataset", "DistillCamera", "Evaluate",
    "Family", "Finetune", "Frames", "Grid", "Heads", "LidarLayout", "LidarMethod", "LidarNetwork", "Networks",
    "Params", "Prepare", "PretrainLidar", "Probe", "Rapc", "RegionQuality", "Regions", "Report", "Runtime", "Schedule",
    "Simulate", "SphereProposals", "Stress", "TransFusion", "camera_method", "corruption_families", "lidar_method",
    "load_params", "load_runtime", "parse_trial",
]  # fmt: skip


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    dataset: Dataset
    simulate: Simulate
    prepare: Prepare
    regions: Regions
    region_quality: RegionQuality
    frames: Frames
    networks: Networks
    pretrain_lidar: PretrainLidar
    distill_camera: DistillCamera
    probe: Probe
    arms: dict[str, Arm]
    finetune: Finetune
    evaluate: Evaluate
    stress: Stress
    report: Report

    def __post_init__(self) -> None:
        for task, fraction in map(parse_trial, self.finetune.trials):
            known = fraction in self.prepare.fractions
            listed = ", ".join(f"{share:g}" for share in self.prepare.fractions) or "none"
            require(known, f"finetune.trials has {task}-{fraction}, but prepare.fractions lacks {fraction}: {listed}")


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Reads params.yaml.

    Raises:
        UserError: the file is missing, a key is unknown (names the nearest valid one), missing or of the wrong type.
    """
    return read_model(Params, path)
