"""The unmodified nuScenes devkit scores detection submissions.

Importing the devkit and opening the tables costs seconds, so one `DevkitScorer` scores any number of submissions.
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.matching import match_boxes
from pipeline.evaluation.precision_recall import write_precision_recall
from pipeline.frames.labels import DETECTION_CLASSES
from pipeline.params import Dataset, Evaluate

TP_NAMES = {
    "trans_err": "mATE", "scale_err": "mASE", "orient_err": "mAOE", "vel_err": "mAVE", "attr_err": "mAAE"
}  # fmt: skip
CLASS_TP_NAMES = {name: short.removeprefix("m") for name, short in TP_NAMES.items()}  # of one class: ATE, ASE, …
VERSION_OF_SPLIT = {"mini_train": "mini", "mini_val": "mini", "test": "test"}  # the others belong to trainval
FAR_AWAY = 1e6  # metres; beyond every class range


class DevkitScorer:
    """Opens a dataset once and scores submissions for one of its splits with `DetectionEval`.

    The devkit's class ranges are capped at `evaluate.max_distance`: a network whose grid ends at 32 m cannot find what
    lies at 50 m, and the missed boxes would only lower every arm alike. Nothing else of the configuration changes.

    The devkit resolves a split by name: its own splits (only for the version they belong to), otherwise `splits.json`
    beside the tables. `dataset.splits` of params.yaml is unknown to it.

    Args:
        dataset: which tables and which validation split.
        evaluate: configuration name and range cap.
        scratch: directory for the devkit's files; created, and safe to delete afterwards.

    Raises:
        UserError: the devkit does not know the configuration, the tables or the validation split.
    """

    def __init__(self, dataset: Dataset, evaluate: Evaluate, scratch: Path) -> None:
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
            self.tables = NuScenes(dataset.version, dataset.root, verbose=False)
        except (AssertionError, OSError) as error:
            raise UserError(
                f"the nuScenes devkit cannot open the dataset: {error}",
                where=f"{dataset.root} ({dataset.version})",
                remedy="check dataset.root and dataset.version in params.yaml",
            ) from error
        _check_split(dataset)
        self.split = dataset.val_split

    def score(
        self, submission: dict[str, Any], *, evidence: Path | None = None, curves: Path | None = None
    ) -> dict[str, Any]:
        """Scores one submission (see `build_submission`).

        Args:
            submission: boxes of every sample of the split.
            evidence: where to keep what AP was counted from, box by box (`DetectionEvidence`); None = nowhere.
            curves: where to write precision over recall at the distance of true positives, 2 m; None = nowhere.

        Returns:
            NDS and mAP as the devkit defines them (over all ten classes, one that never occurs counting as AP 0);
            mAP_present, the mean over `present` (classes with a box in range and with points); AP per class, and
            `AP_at` per class of `present` and distance in metres; the five TP errors, and of each class of `present`
            `TP_by_class`; `boxes`, the number of predictions. Floats; what is undefined is None or NaN.

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
                    remedy="index and tables disagree: run `dvc repro prepare`; is the split in dataset.splits too?",
                ) from error
            metrics, sampled = evaluation.evaluate()
        if evidence:
            match_boxes(evaluation.gt_boxes, evaluation.pred_boxes, self._scenes(evaluation), self.config).save(
                evidence
            )
        average = {name: float(value) for name, value in metrics.mean_dist_aps.items()}
        truth = {box.detection_name for box in evaluation.gt_boxes.all}
        present = [name for name in DETECTION_CLASSES if name in truth]
        if curves:
            at = {name: sampled[name, self.config.dist_th_tp] for name in DETECTION_CLASSES}
            recall = next(iter(at.values())).recall
            write_precision_recall(curves, recall, {name: of.precision for name, of in at.items()}, present)
        return {
            "NDS": float(metrics.nd_score),
            "mAP": float(metrics.mean_ap),
            "mAP_present": float(np.mean([average[name] for name in present])) if present else None,
            "present": present,
            "AP": {name: average[name] for name in DETECTION_CLASSES},
            "AP_at": {
                name: {f"{metres:g}": float(metrics.get_label_ap(name, metres)) for metres in self.config.dist_ths}
                for name in present
            },
            "TP_by_class": {
                name: {short: float(metrics.get_label_tp(name, error)) for error, short in CLASS_TP_NAMES.items()}
                for name in present
            },
            "TP_errors": {TP_NAMES[name]: float(value) for name, value in metrics.tp_errors.items()},
            "boxes": sum(len(boxes) for boxes in submission["results"].values()),
        }

    def _scenes(self, evaluation: Any) -> dict[str, str]:
        """Sample token -> scene name."""
        scene_of = {token: self.tables.get("sample", token)["scene_token"] for token in evaluation.sample_tokens}
        return {token: self.tables.get("scene", scene)["name"] for token, scene in scene_of.items()}


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


def _check_split(dataset: Dataset) -> None:
    """Refuses a validation split that `DetectionEval` would stop at, before any frame is predicted."""
    from nuscenes.utils.splits import is_predefined_split

    name, custom = dataset.val_split, Path(dataset.root, dataset.version, "splits.json")
    known = sorted(json.loads(custom.read_bytes())) if custom.is_file() else []
    if is_predefined_split(name):
        # The devkit ties its own names to versions, and does not look at splits.json for them.
        if dataset.version.endswith(VERSION_OF_SPLIT.get(name, "trainval")):
            return
    elif name in known:
        return
    own = [split for split in known if not is_predefined_split(split)]
    raise UserError(
        f"the devkit does not know the split {name!r} of {dataset.version}",
        where="params.yaml: dataset.val_split",
        remedy="it accepts val for v1.0-trainval, mini_val for v1.0-mini, and splits of another name in "
        f"{custom.name} beside the tables{': ' if own else ''}{', '.join(own)}",
    )
