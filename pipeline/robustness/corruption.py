"""Corruptions of the sensors as a `Disturbance`: which types there are, whom they strike, and their random numbers."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.frames.augmentation import generator
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import Camera, Frame
from pipeline.robustness import camera_sensor, camera_weather
from pipeline.robustness.lidar_corruptions import LIDAR_CORRUPTIONS

Sensors = Literal["lidar", "camera", "both"]

SEVERITIES = (1, 2, 3)
# name -> f(pixels uint8 [h, w, 3], severity, rng) -> uint8 [h, w, 3]
CAMERA_CORRUPTIONS = {
    "camera_crash": camera_sensor.camera_crash,
    "frame_lost": camera_sensor.frame_lost,
    "motion_blur": camera_sensor.motion_blur,
    "colour_quantisation": camera_sensor.colour_quantisation,
    "brightness": camera_weather.brightness,
    "low_light": camera_weather.low_light,
    "fog": camera_weather.fog,
    "snow": camera_weather.snow,
}
TYPES: dict[Sensors, tuple[str, ...]] = {
    "lidar": tuple(LIDAR_CORRUPTIONS),
    "camera": tuple(CAMERA_CORRUPTIONS),
    "both": tuple(name for name in CAMERA_CORRUPTIONS if name in LIDAR_CORRUPTIONS),  # fog, snow, motion blur
}
# A dead or missing emitter is the same one in every sweep of a frame; all else is drawn anew for every sweep.
LASTING = ("beam_missing", "cross_sensor")


@dataclass(frozen=True)
class Corruption(Disturbance):
    """One type at one severity; a pure function of (seed, frame, sensor), whatever else is loaded.

    A sensor that is struck by "both" sees the same as one that is struck alone.

    Attributes:
        name: one of `TYPES[sensors]`.
        severity: 1 to 3.
        sensors: which are struck, with the same severity.
        seed: of all random numbers.
    """

    name: str
    severity: int
    sensors: Sensors
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sensors not in get_args(Sensors):
            raise UserError(
                f"there are no corruptions of {self.sensors!r}",
                where="corruption: sensors",
                remedy=f"choose one of {', '.join(get_args(Sensors))}",
            )
        if self.name not in TYPES[self.sensors]:
            raise UserError(
                f"there is no corruption {self.name!r} of {self.sensors}",
                where="corruption: name",
                remedy=f"choose one of {', '.join(TYPES[self.sensors])}",
            )
        check_severity(self.severity)

    def sweep(self, frame: Frame, lag: float, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Disturbance.sweep`."""
        if self.sensors == "camera":
            return points
        rng = self._generator(frame.token, "lidar" if self.name in LASTING else f"lidar/{lag:.6f}")
        return LIDAR_CORRUPTIONS[self.name](points, self.severity, rng)

    def image(self, frame: Frame, camera: Camera, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See `Disturbance.image`."""
        if self.sensors == "lidar":
            return pixels
        if self.name == "camera_crash":  # the same cameras for a whole scene
            crashed = camera_sensor.crashed_cameras(self.severity, self._generator(frame.scene, "cameras"))
            if camera.channel not in crashed:
                return pixels
        rng = self._generator(frame.token, camera.channel)
        return CAMERA_CORRUPTIONS[self.name](pixels, self.severity, rng)

    def _generator(self, token: str, sensor: str) -> np.random.Generator:
        return generator(self.seed, 0, token, f"corruption/{self.name}/{self.severity}/{sensor}")


def check_severity(severity: int) -> None:
    """Raises UserError unless it is one of `SEVERITIES`."""
    if severity not in SEVERITIES:
        raise UserError(
            f"there is no severity {severity!r}",
            where="corruption: severity",
            remedy=f"choose one of {', '.join(map(str, SEVERITIES))}",
        )
