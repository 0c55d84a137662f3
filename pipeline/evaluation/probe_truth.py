"""The true class of every point, in the form of region ids, so that frames are loaded with classes in their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.region_truth import Case, collect_cases
from pipeline.frames.annotation_labels import DETECTION_CLASS_OF
from pipeline.frames.index import FrameIndex
from pipeline.frames.point_labels import UNLABELLED
from pipeline.frames.reader import RegionSource
from pipeline.params import Dataset
from pipeline.params.classes import DETECTION_CLASSES

UNKNOWN = -1
OBJECT, POINT = "object", "point"  # points of annotated objects; points of every labelled class


@dataclass(frozen=True)
class ObjectClasses:
    """The detection class of every key-frame point, by the annotated box around it; read like region ids.

    Attributes:
        cases: by position in the index.
    """

    cases: Mapping[int, Case]

    def read(self, position: int, points: int) -> NDArray[np.int16]:
        """int16 [points], index into `DETECTION_CLASSES`, `UNKNOWN` in no box of these classes."""
        case = self.cases[position]
        classes = np.full(points, UNKNOWN, np.int16)
        for item in case.read_truth(case.read_points()).objects:
            if name := DETECTION_CLASS_OF.get(item.category):
                classes[item.members] = DETECTION_CLASSES.index(name)
        return classes


@dataclass(frozen=True)
class PointTruth:
    """The class of every key-frame point by a table of point labels, ground and buildings among them."""

    cases: Mapping[int, Case]

    def read(self, position: int, points: int) -> NDArray[np.int16]:
        """int16 [points], the class; `UNKNOWN` where the point or the frame is not labelled."""
        case = self.cases[position]
        known = case.read_truth(case.read_points()).classes
        if known is None:
            return np.full(points, UNKNOWN, np.int16)
        return np.where(known == UNLABELLED, UNKNOWN, known).astype(np.int16)


def open_truth(
    index: FrameIndex, dataset: Dataset, point_labels: str | None, positions: Sequence[int]
) -> dict[str, RegionSource]:
    """What is known of some frames: `OBJECT`, and `POINT` where `point_labels` names a table.

    Raises:
        UserError: as `collect_cases`.
    """
    cases = dict(zip(positions, collect_cases(index, dataset, point_labels, positions), strict=True))
    truth: dict[str, RegionSource] = {OBJECT: ObjectClasses(cases)}
    return truth | {POINT: PointTruth(cases)} if point_labels else truth
