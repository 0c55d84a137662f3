"""Whether a detection submission is one that the official server takes, told before it is uploaded.

The rules are those of the nuScenes detection task (nuscenes.org/object-detection, "Results format") and of the devkit's
loader, which the server runs: every sample of the split and no other, at most 500 boxes a sample, fields and types,
known classes, attributes of the class, scores in 0..1. No size limit of the file is published; it is uploaded as a zip.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.errors import UserError
from pipeline.evaluation.detection import MAX_BOXES
from pipeline.frames.labels import DETECTION_CLASSES

META = ("use_camera", "use_lidar", "use_radar", "use_map", "use_external")
VECTORS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}
VEHICLE = ("vehicle.moving", "vehicle.parked", "vehicle.stopped")
CYCLE = ("cycle.with_rider", "cycle.without_rider")
PERSON = ("pedestrian.moving", "pedestrian.standing", "pedestrian.sitting_lying_down")
ATTRIBUTES = {
    "car": VEHICLE, "truck": VEHICLE, "bus": VEHICLE, "trailer": VEHICLE, "construction_vehicle": VEHICLE,
    "pedestrian": PERSON, "motorcycle": CYCLE, "bicycle": CYCLE, "traffic_cone": ("",), "barrier": ("",),
}  # fmt: skip


def check_submission(submission: Mapping[str, Any], tokens: Collection[str]) -> None:
    """Refuses what the official server would refuse, or would score otherwise than meant.

    Args:
        submission: `{"meta": ..., "results": {sample token: [box, ...]}}`, as read from its JSON file.
        tokens: all sample tokens of the split.

    Raises:
        UserError: names the first sample, and the box in it, that breaks a rule.
    """
    meta, results = submission.get("meta"), submission.get("results")
    if not isinstance(meta, Mapping) or any(not isinstance(meta.get(name), bool) for name in META):
        raise _refusal("meta must say true or false of each of " + ", ".join(META), "meta")
    if not isinstance(results, Mapping):
        raise _refusal("results is no mapping from sample token to boxes", "results")
    expected = set(tokens)
    if missing := expected - results.keys():
        raise _refusal(f"{len(missing)} samples of the split are missing", f"sample {min(missing)}")
    if strays := results.keys() - expected:
        raise _refusal(f"{len(strays)} samples are not of the split", f"sample {min(strays)}")
    for token, boxes in results.items():
        if not isinstance(boxes, list):
            raise _refusal("its boxes are no list", f"sample {token}")
        if len(boxes) > MAX_BOXES:
            raise _refusal(f"{len(boxes)} boxes, at most {MAX_BOXES} are allowed", f"sample {token}")
        for number, box in enumerate(boxes):
            if (problem := _problem(box, token)) is not None:
                raise _refusal(problem, f"sample {token}, box {number}")


def _problem(box: Any, token: str) -> str | None:
    """What is wrong with one box."""
    if not isinstance(box, Mapping):
        return "it is no mapping"
    if box.get("sample_token") != token:
        return f"its sample_token is {box.get('sample_token')!r}"
    for name, length in VECTORS.items():
        values = box.get(name)
        if not isinstance(values, list) or len(values) != length or not all(map(_is_finite, values)):
            return f"{name} must be {length} finite numbers, not {values!r}"
    if min(box["size"]) <= 0:
        return f"size must be positive, not {box['size']}"
    if abs(math.hypot(*box["rotation"]) - 1) > 1e-3:
        return f"rotation must be a unit quaternion, not {box['rotation']}"
    label, score = box.get("detection_name"), box.get("detection_score")
    if label not in DETECTION_CLASSES:
        return f"{label!r} is no detection class"
    if not isinstance(score, float) or not 0 <= score <= 1:  # the devkit refuses an int; NaN fails the comparison
        return f"detection_score must be a float in 0..1, not {score!r}"
    if box.get("attribute_name") not in ATTRIBUTES[label]:
        return f"a {label} cannot have the attribute {box.get('attribute_name')!r}"
    return None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refusal(problem: str, where: str) -> UserError:
    return UserError(
        f"the official server would not take this submission: {problem}",
        where=where,
        remedy="run `dvc repro evaluate` again; if it is refused again, index and params belong to different datasets",
    )
