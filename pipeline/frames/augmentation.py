"""Random views of a frame as one matrix each, drawn as a pure function of (seed, epoch, token, purpose)."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.transforms import Matrix, rotation_about_z
from pipeline.params import Augmentation, Frames


def generator(seed: int, epoch: int, token: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on nothing else, so that workers, resume and world size change nothing."""
    digest = blake2b(f"{seed}/{epoch}/{token}/{purpose}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


@dataclass(frozen=True)
class BevAugmentation:
    """A similarity of the LiDAR frame: flips, then rotation, scale and translation.

    Attributes:
        flip_x: mirror left and right (x -> -x).
        flip_y: mirror front and back (y -> -y).
        rotation: radians about z, counter-clockwise.
        scale: uniform.
        translation: x, y, z, metres.
    """

    flip_x: bool = False
    flip_y: bool = False
    rotation: float = 0.0
    scale: float = 1.0
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def draw(cls, ranges: Augmentation, seed: int, epoch: int, token: str, view: str) -> "BevAugmentation":
        """Draws one within `ranges`; `view` names the purpose, so two views of a frame differ."""
        rng = generator(seed, epoch, token, f"bev/{view}")
        flips = rng.random(2) < 0.5
        rotation = np.deg2rad(rng.uniform(-ranges.bev_rotation, ranges.bev_rotation))
        scale = rng.uniform(ranges.bev_scale[0], ranges.bev_scale[1])
        x, y, z = rng.normal(0.0, 1.0, 3) * ranges.bev_translation
        return cls(
            flip_x=bool(flips[0]) and ranges.bev_flip,
            flip_y=bool(flips[1]) and ranges.bev_flip,
            rotation=float(rotation),
            scale=float(scale),
            translation=(float(x), float(y), float(z)),
        )

    @property
    def matrix(self) -> Matrix:
        """float64 [4, 4], `bev_from_lidar`."""
        flip = np.diag([-1.0 if self.flip_x else 1.0, -1.0 if self.flip_y else 1.0, 1.0, 1.0])
        matrix = np.diag([self.scale, self.scale, self.scale, 1.0]) @ rotation_about_z(self.rotation) @ flip
        matrix[:3, 3] = self.translation
        return np.asarray(matrix)


@dataclass(frozen=True)
class ImageAugmentation:
    """Resize, crop, flip and rotate, as in BEVFusion's ImageAug3D; pixel centres are whole numbers.

    Attributes:
        resize: stored image to resized image.
        crop: left, top of the network input within the resized image, pixels.
        size: width, height of the network input, pixels.
        flip: mirror left and right.
        rotation: radians about the centre of the network input.
    """

    resize: float
    crop: tuple[int, int]
    size: tuple[int, int]
    flip: bool = False
    rotation: float = 0.0

    @classmethod
    def draw(
        cls,
        ranges: Augmentation,
        frames: Frames,
        stored: tuple[int, int],
        seed: int,
        epoch: int,
        token: str,
        channel: str,
    ) -> "ImageAugmentation":
        """Draws one within `ranges` for the image of `channel`, whose stored size is (width, height) = `stored`."""
        rng = generator(seed, epoch, token, f"image/{channel}")
        resize = _scale(float(rng.uniform(ranges.resize[0], ranges.resize[1])), frames, stored)
        side = float(rng.uniform())
        flip = bool(rng.random() < 0.5) and ranges.image_flip
        rotation = float(np.deg2rad(rng.uniform(-ranges.image_rotation, ranges.image_rotation)))
        return cls(resize, _crop(frames, stored, resize, side), _network_size(frames), flip, rotation)

    @classmethod
    def identity(cls, frames: Frames, stored: tuple[int, int]) -> "ImageAugmentation":
        """The fixed form for test time: the middle of the image's lower part."""
        resize = _scale(frames.resize, frames, stored)
        return cls(resize, _crop(frames, stored, resize, 0.5), _network_size(frames))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """float64 [3, 3], `augmented_from_image`, on pixel coordinates (u, v, 1)."""
        width, height = self.size
        matrix = np.diag([self.resize, self.resize, 1.0])
        # Scaling keeps the image's corner, half a pixel before the centre of the first pixel.
        matrix[:2, 2] = (self.resize - 1) / 2 - np.asarray(self.crop, np.float64)
        if self.flip:
            matrix = np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        rotate = rotation_about_z(self.rotation)[:3, :3]
        rotate[:2, 2] = centre - rotate[:2, :2] @ centre
        return np.asarray(rotate @ matrix)


def _network_size(frames: Frames) -> tuple[int, int]:
    return frames.image_width, frames.image_height


def _scale(resize: float, frames: Frames, stored: tuple[int, int]) -> float:
    """Stored to scaled image, whose width is `resize` times that of the network input whatever the stored size."""
    return resize * frames.image_width / stored[0]


def _crop(frames: Frames, stored: tuple[int, int], resize: float, side: float) -> tuple[int, int]:
    """Keeps the lower border, where the road is; `side` in [0, 1] says how far to the right."""
    width, height = int(stored[0] * resize), int(stored[1] * resize)
    return int(side * max(0, width - frames.image_width)), height - frames.image_height
