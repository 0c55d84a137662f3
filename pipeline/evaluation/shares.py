"""Predictions of some frames as plain arrays and back, and the predictions of all frames from several shares."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.map_segmentation import MapCounts, MapPictures
from pipeline.evaluation.team import Arrays

Boxes = dict[str, ScoredBoxes]  # sample token -> boxes
Maps = tuple[dict[str, MapCounts], MapPictures]  # counts by scene, pictures
COUNTED = ("thresholds", "intersection", "predicted", "truth", "cells")  # attributes of MapCounts


def pack_boxes(predictions: Mapping[str, Boxes]) -> Arrays:
    """Cell -> sample token -> boxes, as arrays whose names start with the cell."""
    packed: Arrays = {}
    for cell, frames in predictions.items():
        found = list(frames.values())
        packed |= {
            f"{cell}/tokens": np.array(list(frames), np.str_),
            f"{cell}/numbers": np.array([len(frame.scores) for frame in found], np.int64),
            f"{cell}/boxes": np.concatenate([np.zeros((0, 9), np.float32), *(frame.boxes for frame in found)]),
            f"{cell}/classes": np.concatenate([np.zeros(0, np.int64), *(frame.classes for frame in found)]),
            f"{cell}/scores": np.concatenate([np.zeros(0, np.float32), *(frame.scores for frame in found)]),
        }
    return packed


def join_boxes(shares: Sequence[Arrays], cells: Sequence[str], tokens: Sequence[str]) -> dict[str, Boxes]:
    """What `pack_boxes` packed in all shares, with the frames of `tokens` in their order."""
    joined: dict[str, Boxes] = {}
    for cell in cells:
        found: Boxes = {}
        for share in shares:
            ends = np.cumsum(share[f"{cell}/numbers"])
            parts = [np.split(share[f"{cell}/{name}"], ends[:-1]) for name in ("boxes", "classes", "scores")]
            # np.split of nothing gives one part.
            found |= {str(token): ScoredBoxes(*of) for token, *of in zip(share[f"{cell}/tokens"], *parts, strict=False)}
        joined[cell] = {token: found[token] for token in tokens}
    return joined


def pack_maps(counted: Mapping[str, Maps]) -> Arrays:
    """Cell -> counts by scene and pictures, as arrays whose names start with the cell."""
    packed: Arrays = {}
    for cell, (scenes, pictures) in counted.items():
        packed[f"{cell}/scenes"] = np.array(list(scenes), np.str_)
        for name in COUNTED if scenes else ():
            packed[f"{cell}/{name}"] = np.stack([np.asarray(getattr(counts, name)) for counts in scenes.values()])
        packed[f"{cell}/kept"] = np.array(pictures.tokens, np.str_)
        packed[f"{cell}/kept_predicted"] = pictures.predicted
        packed[f"{cell}/kept_truth"] = pictures.truth
    return packed


def join_maps(shares: Sequence[Arrays], cells: Sequence[str], keep: Sequence[str]) -> dict[str, Maps]:
    """What `pack_maps` packed in all shares: counts by scene, sorted; pictures in the order of `keep`."""
    joined: dict[str, Maps] = {}
    for cell in cells:
        scenes: dict[str, MapCounts] = {}
        kept: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        for share in shares:
            for row, scene in enumerate(share[f"{cell}/scenes"].tolist()):
                counts = _counts(share, cell, row)
                scenes[scene] = scenes[scene] + counts if scene in scenes else counts
            pictures = zip(share[f"{cell}/kept_predicted"], share[f"{cell}/kept_truth"], strict=True)
            kept |= dict(zip(share[f"{cell}/kept"].tolist(), pictures, strict=True))
        ordered = {scene: scenes[scene] for scene in sorted(scenes)}
        joined[cell] = ordered, MapPictures.of({token: kept[token] for token in keep})
    return joined


def _counts(share: Arrays, cell: str, row: int) -> MapCounts:
    thresholds, intersection, predicted, truth, cells = (share[f"{cell}/{name}"][row] for name in COUNTED)
    return MapCounts(thresholds, intersection, predicted, truth, int(cells))
