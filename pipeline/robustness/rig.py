"""Corruptions of the rig: cameras that were knocked since they were calibrated, cameras that are stuck in the past.

Sizes are our own: no benchmark of this project's papers fixes them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.frames.augmentation import generator
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.frame import CAMERA_CHANNELS, Camera, Frame
from pipeline.frames.index import FrameIndex
from pipeline.geometry.transforms import Matrix, inverse
from pipeline.robustness.corruption import check_severity

RIG_TYPES = ("calibration_drift", "temporal_misalignment")
DRIFT_ANGLE = (1.0, 2.0, 4.0)  # degrees about the camera's centre
DRIFT_SHIFT = (0.02, 0.05, 0.10)  # metres
STUCK = (2, 4, 6)  # cameras of six


@dataclass(frozen=True)
class CalibrationDrift(Disturbance):
    """Every camera stands and looks a little otherwise than the model believes, the same way for a whole scene.

    Axis of the turn and direction of the shift are drawn uniformly for each (seed, scene, camera, severity); their
    sizes are `DRIFT_ANGLE` and `DRIFT_SHIFT`. Only `Camera.image_from_lidar` changes: images, points and labels stay.

    Attributes:
        severity: 1 to 3.
        seed: of the directions.
    """

    severity: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_severity(self.severity)

    def camera(self, frame: Frame, camera: Camera) -> Camera:
        """See `Disturbance.camera`."""
        moved = self.moved_from_lidar(frame.scene, camera)
        return replace(camera, image_from_lidar=camera.image_from_lidar @ inverse(moved))

    def moved_from_lidar(self, scene: str, camera: Camera) -> Matrix:
        """float64 [4, 4], the rigid motion of the camera in the LiDAR frame: a turn about its centre, then a shift."""
        rng = generator(self.seed, 0, scene, f"corruption/calibration_drift/{self.severity}/{camera.channel}")
        axis, direction = (vector / np.linalg.norm(vector) for vector in rng.standard_normal((2, 3)))
        moved = np.eye(4)
        moved[:3, :3] = rotation_about(axis, np.deg2rad(DRIFT_ANGLE[self.severity - 1]))
        # The centre is the one point without a depth: u d = v d = d = 0.
        projection = camera.image_from_lidar[:3]
        centre = -np.linalg.solve(projection[:, :3], projection[:, 3])
        moved[:3, 3] = centre - moved[:3, :3] @ centre + direction * DRIFT_SHIFT[self.severity - 1]
        return moved


@dataclass(frozen=True)
class TemporalMisalignment(Disturbance):
    """Some cameras deliver the image of the key frame before, half a second old, as if it were new.

    Which ones, `STUCK` of six, is drawn for each (seed, scene, severity). Images are late and not sweeps: labels are
    those of the LiDAR's time stamp and stay true. In the first key frame of a scene every camera keeps its own image,
    as does a camera that the key frame before lacks.

    Attributes:
        severity: 1 to 3.
        index: holds the frames; sent to other processes as a path.
        seed: of the choice.
    """

    severity: int
    index: FrameIndex
    seed: int = 0

    def __post_init__(self) -> None:
        check_severity(self.severity)

    def camera(self, frame: Frame, camera: Camera) -> Camera:
        """See `Disturbance.camera`: another file under the same geometry."""
        if camera.channel not in self.stuck_cameras(frame.scene):
            return camera
        position = self.index.position(frame.token)
        before = self.index[position - 1] if position else None  # frames lie in the order of scene and time
        if before is None or before.scene != frame.scene:
            return camera
        earlier = [other for other in before.cameras if other.channel == camera.channel]
        return replace(camera, path=earlier[0].path, size=earlier[0].size) if earlier else camera

    def stuck_cameras(self, scene: str) -> set[str]:
        """Channels that are late in a scene."""
        rng = generator(self.seed, 0, scene, f"corruption/temporal_misalignment/{self.severity}")
        return set(rng.permutation(CAMERA_CHANNELS)[: STUCK[self.severity - 1]].tolist())


def rotation_about(axis: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Rodrigues' formula: float64 [3, 3], by `angle` radians about the unit vector `axis` [3]."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
