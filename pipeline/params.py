"""params.yaml and runtime.yaml as frozen, typed models.

params.yaml holds every value that can change a result, one group per stage; runtime.yaml holds what cannot change one.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.geometry.grid import BevGrid
from pipeline.strict_yaml import read_model


@dataclass(frozen=True)
class Dataset:
    """Which frames. `simulated` lists the worlds that the stage `simulate` builds (empty for recorded data)."""

    name: str
    root: str  # directory that holds samples/, sweeps/, maps/ and the table directory
    version: str  # name of the table directory
    simulated: list[str]
    pretrain_split: str
    train_split: str
    val_split: str  # a split the devkit knows: it scores this one
    splits: dict[str, list[str]]  # name -> scenes; go before splits.json beside the tables and the devkit's


@dataclass(frozen=True)
class Simulate:
    """The embedded world."""

    seed: int
    train_scenes: int
    val_scenes: int
    keyframes_per_scene: int  # at 2 Hz
    azimuth_steps: int  # LiDAR firings a turn; an HDL-32E at 20 Hz has 1084
    range_noise: float  # standard deviation, metres
    dropout: float  # share of returns lost
    max_range: float  # metres
    image_width: int
    image_height: int
    jpeg_quality: int

    def __post_init__(self) -> None:
        _positive(self, "keyframes_per_scene", "azimuth_steps", "max_range", "image_width", "image_height")
        _require(self.train_scenes >= 0 and self.val_scenes >= 0, "train_scenes and val_scenes must not be negative")
        _require(0 <= self.dropout < 1, "dropout must lie in [0, 1)")
        _require(1 <= self.jpeg_quality <= 100, "jpeg_quality must lie in 1 … 100")


@dataclass(frozen=True)
class Prepare:
    """Index and labels."""

    map_resolution: float  # metres a cell of the map rasters
    fractions: list[float]  # shares of the training scenes to write token lists for

    def __post_init__(self) -> None:
        _positive(self, "map_resolution")
        _fractions(self.fractions)


@dataclass(frozen=True)
class Regions:
    """Semantic pooling: ground removal, DBSCAN and the cluster filter (method: Zermas et al.; DBSCAN)."""

    ground: str  # plane_fit | none
    slab_length: float  # metres along x
    slab_reach: float  # metres; slabs cover [-slab_reach, slab_reach) along x
    sensor_height: float  # metres above ground
    seed_margin: float  # metres
    refits: int
    ground_distance: float  # metres above the fitted plane that still count as ground
    min_slab_points: int
    eps: float  # metres
    min_samples: int
    dims: int  # 2 = cluster on x y, 3 = on x y z
    min_area: float  # m2, convex hull on x y
    max_area: float
    min_top: float  # metres, highest point of a cluster in the sensor frame
    max_top: float
    min_aspect: float  # short / long side of the minimum-area rectangle
    ego_length: float  # metres, the box of the own car
    ego_width: float
    frames_per_shard: int
    max_bad_frames: float  # share of unreadable frames above which the stage fails

    def __post_init__(self) -> None:
        _require(self.ground in ("plane_fit", "none"), f"ground is plane_fit or none, not {self.ground!r}")
        _require(self.dims in (2, 3), f"dims is 2 (x, y) or 3 (x, y, z), not {self.dims}")
        _positive(self, "slab_length", "slab_reach", "eps", "min_samples", "frames_per_shard")
        _require(self.min_area <= self.max_area, "min_area is above max_area")
        _require(self.min_top <= self.max_top, "min_top is above max_top")
        _require(0 <= self.max_bad_frames <= 1, "max_bad_frames must lie in [0, 1]")


@dataclass(frozen=True)
class Frames:
    """How a frame is loaded."""

    sweeps: int  # earlier sweeps added to the key frame
    ego_radius: float  # metres; points closer than this on x and y are the own car
    image_height: int  # network input, pixels
    image_width: int
    resize: float  # at test time: width of the scaled image, before the crop, as a multiple of image_width

    def __post_init__(self) -> None:
        _positive(self, "image_height", "image_width", "resize")
        _require(self.sweeps >= 0, "sweeps must not be negative")


@dataclass(frozen=True)
class Augmentation:
    """Random views of a frame while training.

    One form for every stage: a training without cameras does not use the values of images.
    """

    resize: list[float]  # lowest, highest width of the scaled image as a multiple of the network input's width
    image_rotation: float  # degrees, +-
    image_flip: bool
    bev_rotation: float  # degrees, +-
    bev_scale: list[float]
    bev_flip: bool
    bev_translation: float  # metres, standard deviation

    def __post_init__(self) -> None:
        _range(self.resize, "resize")
        _range(self.bev_scale, "bev_scale")
        for name in ("image_rotation", "bev_rotation", "bev_translation"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative")


@dataclass(frozen=True)
class Grid:
    """BEV area and pillars, metres in the LiDAR frame."""

    reach: float
    z_min: float
    z_max: float
    pillar: float
    stride: int  # pillar cells per cell of the BEV feature map

    @property
    def pillar_grid(self) -> BevGrid:
        """The grid of pillars."""
        return BevGrid(self.reach, self.pillar)

    @property
    def feature_grid(self) -> BevGrid:
        """The grid of the BEV feature maps of both branches."""
        return BevGrid(self.reach, self.pillar * self.stride)

    def __post_init__(self) -> None:
        _positive(self, "reach", "pillar", "stride")
        _require(self.z_min < self.z_max, "z_min must lie below z_max")


@dataclass(frozen=True)
class LidarNetwork:
    """PointPillars + SECOND + SECONDFPN."""

    pillar_channels: list[int]
    block_channels: list[int]
    block_layers: list[int]
    block_strides: list[int]
    neck_channels: list[int]


@dataclass(frozen=True)
class CameraNetwork:
    """timm backbone + FPN + lift-splat."""

    backbone: str  # a timm model with features
    backbone_options: dict[str, list[int] | int | float | bool | str]
    out_indices: list[int]
    neck_channels: int
    context_channels: int
    depth_min: float  # metres
    depth_max: float
    depth_step: float

    def __post_init__(self) -> None:
        _positive(self, "depth_min", "depth_step", "neck_channels", "context_channels")
        _require(self.depth_min < self.depth_max, "depth_min must lie below depth_max")


@dataclass(frozen=True)
class Heads:
    """Fusion and task heads."""

    fused_channels: int
    detection_channels: int
    map_channels: int
    map_reach: float  # metres
    map_cell: float
    max_boxes: int
    min_score: float
    nms_radius_scale: float  # circle NMS radius as a multiple of the class's own

    @property
    def map_grid(self) -> BevGrid:
        """The grid of the map labels and of the map head's output."""
        return BevGrid(self.map_reach, self.map_cell)


@dataclass(frozen=True)
class Networks:
    """Every network size."""

    grid: Grid
    lidar: LidarNetwork
    camera: CameraNetwork
    heads: Heads
    embedding: int  # projector output


@dataclass(frozen=True)
class Schedule:
    """AdamW with one-cycle learning rate and momentum; whichever of `epochs` and `steps` is reached first ends it."""

    epochs: float | None  # passes over the frames; the paper's way
    steps: int | None  # optimiser steps, whatever the number of frames
    batch: int  # frames a step
    lr: float
    weight_decay: float
    clip: float
    warmup: float  # share of the steps until the peak

    def __post_init__(self) -> None:
        given = [value for value in (self.epochs, self.steps) if value is not None]
        _require(bool(given) and min(given) > 0, "give epochs, steps or both, above 0")
        _positive(self, "batch", "lr", "clip")
        _require(0 <= self.warmup <= 1, "warmup must lie in [0, 1]")


@dataclass(frozen=True)
class PretrainLidar:
    """PRC."""

    methods: list[str]  # prc
    seed: int
    rich: int  # N, semantic-rich points a frame
    less: int  # M, semantic-less points a frame
    temperature: float
    alpha: float  # weight of PLRC against RAPC
    augmentation: Augmentation
    schedule: Schedule

    def __post_init__(self) -> None:
        _positive(self, "rich", "temperature")
        _require(0 <= self.alpha <= 1, f"alpha must lie in [0, 1], not {self.alpha}")


@dataclass(frozen=True)
class DistillCamera:
    """RAD."""

    methods: list[str]  # rad
    teacher: str  # the pre-trained LiDAR method that teaches
    seed: int
    rich: int
    less: int
    temperature: float
    augmentation: Augmentation
    schedule: Schedule

    def __post_init__(self) -> None:
        _positive(self, "rich", "temperature")


@dataclass(frozen=True)
class Arm:
    """A row of the results table: modality and where the start weights come from."""

    modality: str  # L | LC
    lidar: str  # checkpoint folder or conf/weights/random.yaml
    camera: str

    def __post_init__(self) -> None:
        _require(self.modality in ("L", "LC"), f"modality is L or LC, not {self.modality!r}")


@dataclass(frozen=True)
class Finetune:
    """The matrix arm x task-fraction x seed."""

    arms: list[str]
    trials: list[str]  # task and label fraction in one word, so that each task has its own fractions: detection-0.1
    seeds: list[int]
    augmentation: Augmentation
    schedule: Schedule
    map_steps: int | None  # steps of the map task where it needs fewer; null = as in schedule

    def __post_init__(self) -> None:
        for trial in self.trials:
            task, fraction = parse_trial(trial)
            _require(task in ("detection", "map"), f"tasks are detection and map, not {task}")
            _fractions([fraction])
            # Evaluation finds the checkpoint, which the trial names, by task and fraction.
            _require(trial == f"{task}-{fraction}", f"write {task}-{fraction}, not {trial}")

    def schedule_of(self, task: str) -> Schedule:
        """The schedule of a task."""
        return replace(self.schedule, steps=self.map_steps) if task == "map" and self.map_steps else self.schedule

    def fractions(self, task: str) -> list[float]:
        """Label fractions of a task, in the order of `trials`; empty where the task is off."""
        return [fraction for name, fraction in map(parse_trial, self.trials) if name == task]


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


@dataclass(frozen=True)
class Params:
    """The whole of params.yaml."""

    dataset: Dataset
    simulate: Simulate
    prepare: Prepare
    regions: Regions
    frames: Frames
    networks: Networks
    pretrain_lidar: PretrainLidar
    distill_camera: DistillCamera
    arms: dict[str, Arm]
    finetune: Finetune
    evaluate: Evaluate
    report: Report


@dataclass(frozen=True)
class Runtime:
    """The whole of runtime.yaml: what cannot change a result, so no DVC dependency."""

    workers: int  # processes of the local dask cluster
    scheduler: str | None  # tcp://host:port of a running dask scheduler instead
    device: str  # auto | cpu | cuda
    threads: int  # CPU threads of a training process
    loader_threads: int  # load batches ahead of a training; 0 = between its steps
    save_every: float  # seconds between two saves of the resume state of a training

    def __post_init__(self) -> None:
        _positive(self, "workers", "threads")
        _require(self.device in ("auto", "cpu", "cuda"), f"device is auto, cpu or cuda, not {self.device!r}")


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Reads params.yaml.

    Raises:
        UserError: the file is missing, a key is unknown (names the nearest valid one), missing or of the wrong type.
    """
    return read_model(Params, path)


def load_runtime(path: Path = Path("runtime.yaml")) -> Runtime:
    """Reads runtime.yaml; same errors as `load_params`."""
    return read_model(Runtime, path)


def _require(valid: bool, problem: str) -> None:
    if not valid:
        raise ValueError(problem)


def _positive(group: object, *names: str) -> None:
    for name in names:
        _require(getattr(group, name) > 0, f"{name} must be above 0, not {getattr(group, name)}")


def _range(bounds: list[float], name: str) -> None:
    _require(len(bounds) == 2 and 0 < bounds[0] <= bounds[1], f"{name} is [lowest, highest] above 0, not {bounds}")


def parse_trial(trial: str) -> tuple[str, float]:
    """(task, label fraction) of a trial: "detection-0.1" gives ("detection", 0.1).

    Raises:
        ValueError: the trial is not of this form.
    """
    task, _, fraction = trial.partition("-")
    try:
        return task, float(fraction)
    except ValueError:
        raise ValueError(f"a trial is <task>-<label fraction>, e.g. detection-0.1, not {trial!r}") from None


def _fractions(shares: list[float]) -> None:
    _require(all(0 < share <= 1 for share in shares), f"fractions must lie in (0, 1], not {shares}")
