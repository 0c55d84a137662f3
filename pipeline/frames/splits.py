"""Which scenes belong to a split, and which of them a label fraction keeps."""

import json
import math
from pathlib import Path

from pipeline.errors import UserError
from pipeline.frames.argoverse_survey import SPLITS, not_surveyed
from pipeline.params import Dataset


def scenes_by_split(dataset: Dataset) -> dict[str, list[str]]:
    """Every split that is known for this dataset: name -> sorted scene names.

    `dataset.splits` wins over `<root>/<version>/splits.json`, which wins over the splits of the devkit. The devkit is
    only asked about nuScenes, and where the first two do not name every split that `dataset` uses: its import takes
    seconds.

    Raises:
        UserError: splits.json is broken or, for Argoverse 2, missing; or a split that `dataset` uses is not defined.
    """
    path = Path(dataset.root) / dataset.version / SPLITS
    if dataset.format == "argoverse2" and not path.is_file():
        raise not_surveyed(path)
    splits = {**_read_splits(path), **dataset.splits}
    used = (dataset.pretrain_split, dataset.train_split, dataset.val_split)
    if dataset.format == "nuscenes" and not all(name in splits for name in used):
        from nuscenes.utils.splits import create_splits_scenes

        splits = {**create_splits_scenes(), **splits}
    for name, key in zip(used, ("pretrain_split", "train_split", "val_split"), strict=True):
        if name not in splits:
            raise unknown_split(name, list(splits), where=f"dataset.{key}")
    return {name: sorted(set(scenes)) for name, scenes in sorted(splits.items())}


def unknown_split(name: str, known: list[str], *, where: str) -> UserError:
    """The error for a split that nobody defines."""
    return UserError(
        f"there is no split {name!r}",
        where=where,
        remedy=f"use one of {', '.join(sorted(known))}, or define it under dataset.splits",
    )


def fraction_scenes(scenes: list[str], fraction: float) -> list[str]:
    """The scenes whose labels a fraction keeps: every (1 / fraction)-th one of the sorted list, from the first.

    Of 700 training scenes 5, 10, 20, 50 % keep 35, 70, 140, 350, as in the public prototype of the paper's author.

    Args:
        scenes: names of the training scenes, any order.
        fraction: in (0, 1].

    Raises:
        UserError: 1 / fraction is no whole number, or larger than the number of scenes.
    """
    ordered = sorted(scenes)
    step = round(1 / fraction) if 0 < fraction <= 1 else 0
    if step == 0 or abs(1 / fraction - step) > 1e-9 * step or step > len(ordered):
        raise UserError(
            f"no choice of every k-th of {len(ordered)} training scenes is a share of {fraction:g}",
            where="prepare.fractions",
            remedy=f"nearest possible shares: {_nearest_shares(fraction, len(ordered))}",
        )
    return ordered[::step]


def _nearest_shares(fraction: float, scenes: int) -> str:
    if scenes == 0:
        return "none, the training split has no scene in this dataset"
    inverse = 1 / fraction if fraction > 0 else scenes
    steps = {min(max(step, 1), scenes) for step in (math.floor(inverse), math.ceil(inverse))}
    return " and ".join(f"1/{step} = {1 / step:.12g}" for step in sorted(steps, reverse=True))


def _read_splits(path: Path) -> dict[str, list[str]]:
    if not path.is_file():
        return {}
    try:
        splits = json.loads(path.read_bytes())
        if not isinstance(splits, dict) or not all(isinstance(scenes, list) for scenes in splits.values()):
            raise ValueError("not a mapping from split to scenes")
    except ValueError as error:
        raise UserError(
            f"the split file is broken ({error})",
            where=str(path),
            remedy='write it as {"train": ["scene-0001"], "val": ["scene-0002"]}',
        ) from error
    return splits
