"""The frames of a project with all that lies beside them: regions, labels, predictions of an arm."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.frames.labels import Labels
from pipeline.params import Params
from pipeline.regions.store import RegionStore
from pipeline.robustness.conditions import Condition
from pipeline.viewing.conditions import combine
from pipeline.viewing.predictions import cell_of, choose_arm, predict
from pipeline.viewing.viewed_frame import ViewedFrame, read_frame

INDEX, LABELS, REGIONS = Path("data/index"), Path("data/labels"), Path("data/regions")


@dataclass(frozen=True)
class Viewer:
    """What there is in the working directory. None is what there is not.

    Attributes:
        params: of the project.
        index: the frames.
        regions: the store.
        labels: true boxes.
        arm: whose predictions are shown.
        disturbance: what the frames go through.
    """

    params: Params
    index: FrameIndex
    regions: RegionStore | None
    labels: Labels | None
    arm: str | None
    disturbance: Disturbance | None

    @staticmethod
    def open(params: Params, arm: str | None = None, conditions: Sequence[Condition] = (), seed: int = 0) -> "Viewer":
        """Opens what `dvc repro` has made so far; only the index has to be there.

        Args:
            params: of the project.
            arm: see `choose_arm`.
            conditions: of the frames, in this order.
            seed: of the conditions.

        Raises:
            UserError: there is no index, no such arm, or something is damaged or was made with other params.
        """
        chosen = choose_arm(params, arm)
        index = FrameIndex.open(INDEX, Path(params.dataset.root))
        store = RegionStore.open(REGIONS, params.regions) if REGIONS.is_dir() else None
        # Of Argoverse 2 no annotations are read: empty labels, which say nothing about the frames.
        annotated = LABELS.is_dir() and params.dataset.format == "nuscenes"
        labels = Labels.open(LABELS) if annotated else None
        return Viewer(params, index, store, labels, chosen, combine(conditions, seed, index, labels))

    def look(self, positions: Sequence[int]) -> Iterator[ViewedFrame]:
        """Reads frames one after the other; errors as `predict` and `read_frame`."""
        predicted = predict(self.params, self.arm, self.index, positions, self.disturbance) if self.arm else {}
        for position in positions:
            boxes = predicted.get(self.index[position].token)
            ego = self.params.frames.ego_radius
            yield read_frame(self.index, position, ego, self.regions, self.labels, boxes, self.disturbance)

    @property
    def predictor(self) -> str:
        """Arm and cell of the predictions, e.g. calico detection-1.0-0; "" without an arm."""
        return f"{self.arm} {cell_of(self.params)}" if self.arm else ""

    @property
    def validation(self) -> list[int]:
        """Positions of the validation frames, those that no model has seen; of all frames where there are none."""
        return self._split(self.params.dataset.val_split) or list(range(len(self.index)))

    def scene_of(self, position: int) -> list[int]:
        """Positions of all key frames of the scene of one, in the order of time."""
        scenes = self.index.scenes
        return [place for place, scene in enumerate(scenes) if scene == scenes[position]]

    def split_of(self, position: int) -> str:
        """Whether the frame is of validation, of training or of neither, for a title."""
        own = self.params.dataset
        names = {"validation": own.val_split, "training": own.train_split}
        return next((said for said, name in names.items() if position in self._split(name)), "neither split")

    def _split(self, name: str) -> list[int]:
        try:
            return self.index.split(name)
        except UserError:  # the test set of nuScenes has no training split
            return []
