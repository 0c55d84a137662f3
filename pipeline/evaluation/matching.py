"""Which predicted boxes the devkit counts as true positives, kept box by box.

The devkit's own `accumulate` returns curves over the whole split. Matching never looks beyond a sample, so the matches
of the whole split are those of any part of it, and a score on other scenes needs no second look at the boxes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.errors import UserError
from pipeline.evaluation.evidence import DetectionEvidence
from pipeline.params.classes import DETECTION_CLASSES


def match_boxes(truth: Any, predictions: Any, scene_of: Mapping[str, str], config: Any) -> DetectionEvidence:
    """Matches as `nuscenes.eval.detection.algo.accumulate` does: greedily in the order of falling scores, each
    prediction with the closest true box of its sample and class that is still free, for every threshold anew.

    Equal scores are ranked as there: the later box first.

    Args:
        truth: the devkit's `EvalBoxes`, loaded and filtered by `DetectionEval` (`gt_boxes`).
        predictions: the same (`pred_boxes`).
        scene_of: sample token -> name of its scene, for every sample of the split.
        config: the devkit's `DetectionConfig`.

    Raises:
        UserError: the configuration measures something else than the distance of centres on the ground.
    """
    if config.dist_fcn != "center_distance":
        raise UserError(
            f"true positives by {config.dist_fcn!r} are not supported",
            where="params.yaml: evaluate.detection_config",
            remedy="choose a configuration with dist_fcn center_distance, e.g. detection_cvpr_2019",
        )
    scenes = sorted(set(scene_of.values()))
    place = {name: number for number, name in enumerate(scenes)}
    tokens = list(truth.boxes)
    scene_of_sample = np.array([place[scene_of[token]] for token in tokens], np.int32)
    number_of = {token: number for number, token in enumerate(tokens)}
    thresholds = np.array(config.dist_ths, np.float64)
    true_sample, true_class, true_centre, _ = _columns(truth, number_of)
    sample, label, centre, score = _columns(predictions, number_of)
    counts, ranks, hits = [], [], []
    for number in range(len(DETECTION_CLASSES)):
        own = np.flatnonzero(label == number)
        rank = own[np.argsort(score[own], kind="stable")[::-1]]
        found = np.flatnonzero(true_class == number)
        found = found[np.argsort(true_sample[found], kind="stable")]
        ends = np.searchsorted(true_sample[found], np.arange(len(tokens) + 1))
        hits.append(match_centres(sample[rank], centre[rank], ends, true_centre[found], thresholds))
        ranks.append(rank)
        counts.append(np.bincount(scene_of_sample[true_sample[found]], minlength=len(scenes)))
    rank = np.concatenate(ranks)
    return DetectionEvidence(
        scenes=tuple(scenes),
        thresholds=thresholds,
        truth=np.array(counts, np.int64),
        starts=np.cumsum([0, *(len(own) for own in ranks)]),
        scene=scene_of_sample[sample[rank]],
        score=score[rank].astype(np.float32),
        hits=np.concatenate(hits),
        min_recall=float(config.min_recall),
        min_precision=float(config.min_precision),
    )


def _columns(
    boxes: Any, number_of: Mapping[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Sample, class, centre (x, y, global frame) and score of every box, in the devkit's order of them."""
    label_of = {name: number for number, name in enumerate(DETECTION_CLASSES)}
    rows = [(number_of[token], box) for token, own in boxes.boxes.items() for box in own]
    return (
        np.array([sample for sample, _ in rows], np.int64),
        np.array([label_of[box.detection_name] for _, box in rows], np.int64),
        np.array([box.translation[:2] for _, box in rows], np.float64).reshape(-1, 2),
        np.array([box.detection_score for _, box in rows], np.float64),
    )


@compiled
def match_centres(
    sample: NDArray[np.int64],
    centre: NDArray[np.float64],
    ends: NDArray[np.int64],
    true_centre: NDArray[np.float64],
    thresholds: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Matches the predictions of one class.

    Args:
        sample: int64 [N], number of each prediction's sample, the best prediction first.
        centre: float64 [N, 2], metres.
        ends: int64 [samples + 1]; the true boxes of sample s are ends[s] … ends[s + 1] - 1.
        true_centre: float64 [K, 2].
        thresholds: float64 [T], metres.

    Returns:
        bool [N, T], whether a prediction is a true positive.
    """
    hits = np.zeros((len(sample), len(thresholds)), np.bool_)
    for t in range(len(thresholds)):
        taken = np.zeros(len(true_centre), np.bool_)
        for i in range(len(sample)):
            closest, best = np.inf, -1
            for k in range(ends[sample[i]], ends[sample[i] + 1]):
                if not taken[k]:
                    x, y = centre[i, 0] - true_centre[k, 0], centre[i, 1] - true_centre[k, 1]
                    distance = np.sqrt(x * x + y * y)
                    if distance < closest:
                        closest, best = distance, k
            if closest < thresholds[t]:
                taken[best] = True
                hits[i, t] = True
    return hits
