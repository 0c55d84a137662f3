"""A loader of disturbed frames."""

from pipeline.frames.dataset import FrameLoader
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.params import Frames, Grid


def loader(index: FrameIndex, disturbance: Disturbance | None = None, processes: int = 0) -> FrameLoader:
    """Points of two sweeps and small images, not augmented."""
    frames = Frames(sweeps=1, ego_radius=1.0, image_height=64, image_width=176, resize=1.091)
    grid = Grid(reach=32.0, z_min=-5.0, z_max=3.0, pillar=0.4, stride=2)
    return FrameLoader(index, frames, grid, images=True, disturbance=disturbance, processes=processes)
