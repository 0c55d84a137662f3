"""Params of the stages that make and load data."""

from dataclasses import dataclass
from typing import Literal

from pipeline.params.checks import ascending, fractions, positive, require


@dataclass(frozen=True)
class Dataset:
    """Which frames. `simulated` lists the worlds that the stage `simulate` builds (empty for recorded data)."""

    name: str
    root: str  # directory that holds samples/, sweeps/, maps/ and the table directory; for argoverse2 the logs
    version: str  # name of the table directory; for argoverse2 of what `calico survey` wrote
    simulated: list[str]
    pretrain_split: str
    train_split: str
    val_split: str  # a split the devkit knows: it scores this one
    splits: dict[str, list[str]]  # name -> scenes; go before splits.json beside the tables and the devkit's
    format: Literal["nuscenes", "argoverse2"] = "nuscenes"  # how it is read


@dataclass(frozen=True)
class LidarLayout:
    """The LiDAR of the embedded world; an HDL-32E on a nuScenes car unless told otherwise."""

    beams: int = 32
    lowest: float = -30.67  # elevation of the lowest beam, degrees; the beams are spaced evenly
    highest: float = 10.67
    height: float = 1.84023  # metres above ground; `regions.sensor_height` should follow it

    def __post_init__(self) -> None:
        positive(self, "height")
        require(self.beams >= 2, f"beams must be 2 or more, not {self.beams}")
        require(-90 < self.lowest < self.highest < 90, "lowest and highest must ascend, between -90 and 90 degrees")


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
    lidar: LidarLayout = LidarLayout()

    @property
    def frames(self) -> int:
        """Key frames of all scenes."""
        return (self.train_scenes + self.val_scenes) * self.keyframes_per_scene

    def __post_init__(self) -> None:
        positive(self, "keyframes_per_scene", "azimuth_steps", "max_range", "image_width", "image_height")
        require(self.train_scenes >= 0 and self.val_scenes >= 0, "train_scenes and val_scenes must not be negative")
        require(0 <= self.dropout < 1, "dropout must lie in [0, 1)")
        require(1 <= self.jpeg_quality <= 100, "jpeg_quality must lie in 1 … 100")


@dataclass(frozen=True)
class Prepare:
    """Index and labels."""

    map_resolution: float  # metres a cell of the map rasters
    fractions: list[float]  # shares of the training scenes to write token lists for

    def __post_init__(self) -> None:
        positive(self, "map_resolution")
        fractions(self.fractions)


@dataclass(frozen=True)
class Frames:
    """How a frame is loaded."""

    sweeps: int  # earlier sweeps added to the key frame
    ego_radius: float  # metres; points closer than this on x and y are the own car
    image_height: int  # network input, pixels
    image_width: int
    resize: float  # at test time: width of the scaled image, before the crop, as a multiple of image_width

    def __post_init__(self) -> None:
        positive(self, "image_height", "image_width", "resize")
        require(self.sweeps >= 0, "sweeps must not be negative")


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
        ascending(self.resize, "resize")
        ascending(self.bev_scale, "bev_scale")
        for name in ("image_rotation", "bev_rotation", "bev_translation"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
