"""Whether frames hold the points they should: earlier sweeps that are silently missing cost a detector dearly."""

from collections.abc import Sequence
from statistics import median

import numpy as np

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex
from pipeline.frames.points import load_points
from pipeline.params import Frames

LOOKED_AT = 9  # frames, spread over the training split, so that few begin a scene, where no sweep is earlier
RANGE = (0.5, 2.0)  # of the points expected


def check_points(index: FrameIndex, positions: Sequence[int], frames: Frames) -> float:
    """Loads a few frames as the training will, and compares them with `frames.sweeps` + 1 times the key frame.

    Before augmentation and crop, without the own car; a sweep is taken to have as many points as the key frame.

    Args:
        index: the frames.
        positions: those to train on.
        frames: `sweeps` and `ego_radius`.

    Returns:
        The median of the points a frame.

    Raises:
        UserError: the median share of the expected points is outside `RANGE`, or a sweep is missing or damaged.
    """
    chosen = [positions[i] for i in np.unique(np.linspace(0, len(positions) - 1, LOOKED_AT).astype(int))]
    found, shares = [], []
    for frame in (index[position] for position in chosen):
        points, _, _ = load_points(index.root, frame, frames.sweeps, frames.ego_radius)
        found.append(len(points))
        shares.append(len(points) / (frame.points * (frames.sweeps + 1)))
    share = median(shares)
    if RANGE[0] <= share <= RANGE[1]:
        return median(found)
    sweeps = median(len(index[position].sweeps[: frames.sweeps]) for position in chosen)
    raise UserError(
        f"frames have {median(found):,.0f} points in the median, {share:.0%} of what {frames.sweeps} earlier sweeps "
        f"and the key frame should give; {sweeps:g} of these sweeps exist",
        where=f"params.yaml: frames.sweeps = {frames.sweeps}; {index.root}",
        remedy=f"bring the missing sweep files and run `dvc repro --force prepare`, or set frames.sweeps to {sweeps:g}",
    )
