"""The unmodified nuScenes devkit scores detection submissions.

Importing the devkit and opening the tables costs seconds, so one `DevkitScorer` scores any number of submissions.
"""

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.params import Dataset, Evaluate

TP_NAMES = {
    "trans_err": "mATE", "scale_err": "mASE", "orient_err": "mAOE", "vel_err": "mAVE", "attr_err": "mAAE"
}  # fmt: skip
FAR_AWAY = 1e6  # metres; beyond every class range


class DevkitScorer:
    """Opens a dataset once and scores submissions for one of its splits with `DetectionEval`.

    The devkit's class ranges are capped at `evaluate.max_distance`: a network whose grid ends at 32 m cannot find what
    lies at 50 m, and the missed boxes would only lower every arm alike. Nothing else of the configuration changes.

    The devkit resolves a split by name: its own splits (only for the version they belong to), otherwise `splits.json`
    beside the tables. A split that exists only in `dataset.splits` of params.yaml is shown to the devkit through a
    directory of symbolic links to the dataset plus such a file, so the dataset itself is never written to.

    Args:
        dataset: which tables and which validation split.
        evaluate: configuration name and range cap.
        scenes: names of the scenes of the validation split.
        scratch: directory for the devkit's files; created, and safe to delete afterwards.

    Raises:
        UserError: the devkit does not know the configuration, cannot open the tables, or finds no sample in the split.
    """

    def __init__(self, dataset: Dataset, evaluate: Evaluate, scenes: list[str], scratch: Path) -> None:
        from nuscenes import NuScenes
        from nuscenes.eval.detection.config import config_factory

        try:
            self.config = config_factory(evaluate.detection_config)
        except AssertionError as error:
            raise UserError(
                f"the devkit has no detection configuration {evaluate.detection_config!r}",
                where="params.yaml: evaluate.detection_config",
                remedy="name a file of nuscenes/eval/detection/configs, e.g. detection_cvpr_2019",
            ) from error
        for name, distance in self.config.class_range.items():
            self.config.class_range[name] = min(distance, evaluate.max_distance)
        self.scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            root, self.split = _resolvable_split(dataset, scenes, scratch)
            self.tables = NuScenes(dataset.version, str(root), verbose=False)
        except (AssertionError, OSError) as error:
            raise UserError(
                f"the nuScenes devkit cannot open the dataset: {error}",
                where=f"{dataset.root} ({dataset.version})",
                remedy="check dataset.root and dataset.version in params.yaml",
            ) from error

    def score(self, submission: dict[str, Any]) -> dict[str, Any]:
        """Scores one submission (see `build_submission`).

        Returns:
            NDS and mAP as the devkit defines them (over all ten classes, one that never occurs counting as AP 0);
            mAP_present, the mean over `present` (classes with a box in range and with points); AP per class; the five
            TP errors; `boxes`, the number of predictions. Floats; what is undefined is None.

        Raises:
            UserError: the submission does not cover exactly the samples of the split, or the split has no boxes.
        """
        from nuscenes.eval.detection.evaluate import DetectionEval

        path = self.scratch / "submission.json"
        path.write_text(json.dumps(_never_empty(submission)))
        # The devkit prints tables and shows tqdm bars whatever `verbose` says.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                evaluation = DetectionEval(
                    self.tables, self.config, str(path), self.split, str(self.scratch / "devkit"), verbose=False
                )
            except (AssertionError, KeyError) as error:
                raise UserError(
                    f"the devkit refuses the submission: {error}",
                    where=f"split {self.split!r} of {self.tables.dataroot}",
                    remedy="the index and the tables disagree: run `dvc repro prepare` on these tables",
                ) from error
            metrics, _ = evaluation.evaluate()
        average = {name: float(value) for name, value in metrics.mean_dist_aps.items()}
        truth = {box.detection_name for box in evaluation.gt_boxes.all}
        present = [name for name in DETECTION_CLASSES if name in truth]
        return {
            "NDS": float(metrics.nd_score),
            "mAP": float(metrics.mean_ap),
            "mAP_present": float(np.mean([average[name] for name in present])) if present else None,
            "present": present,
            "AP": {name: average[name] for name in DETECTION_CLASSES},
            "TP_errors": {TP_NAMES[name]: float(value) for name, value in metrics.tp_errors.items()},
            "boxes": sum(len(boxes) for boxes in submission["results"].values()),
        }


def _never_empty(submission: dict[str, Any]) -> dict[str, Any]:
    """The devkit fails on a file without a single box; one beyond every class range changes no number."""
    results = submission["results"]
    if not results or any(results.values()):
        return submission
    token = next(iter(results))
    far = {
        "sample_token": token, "translation": [FAR_AWAY, FAR_AWAY, 0.0], "size": [1.0, 1.0, 1.0],
        "rotation": [1.0, 0.0, 0.0, 0.0], "velocity": [0.0, 0.0], "detection_name": "car", "detection_score": 0.0,
        "attribute_name": "",
    }  # fmt: skip
    return {**submission, "results": {**results, token: [far]}}


def _resolvable_split(dataset: Dataset, scenes: list[str], scratch: Path) -> tuple[Path, str]:
    """A root and a split name that the devkit resolves to `scenes`; see `DevkitScorer`."""
    root, name = Path(dataset.root), dataset.val_split
    if name not in dataset.splits and _devkit_resolves(root, dataset.version, name):
        return root, name
    view = scratch / "dataset"
    if view.exists():
        shutil.rmtree(view)
    tables = view / dataset.version
    tables.mkdir(parents=True)
    for entry in root.iterdir():
        if entry.name != dataset.version:
            (view / entry.name).symlink_to(entry.resolve())
    for entry in (root / dataset.version).iterdir():
        if entry.name != "splits.json":
            (tables / entry.name).symlink_to(entry.resolve())
    custom = f"custom_{name}"  # never one of the devkit's own names
    (tables / "splits.json").write_text(json.dumps({custom: scenes}))
    return view, custom


def _devkit_resolves(root: Path, version: str, split: str) -> bool:
    """The devkit asserts that its own splits go with the tables they belong to, and ignores splits.json for them."""
    from nuscenes.utils.splits import is_predefined_split

    if is_predefined_split(split):
        ending = {"mini_train": "mini", "mini_val": "mini", "test": "test"}.get(split, "trainval")
        return version.endswith(ending)
    custom = root / version / "splits.json"
    return custom.is_file() and split in json.loads(custom.read_text())
