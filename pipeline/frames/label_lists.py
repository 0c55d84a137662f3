"""Which labels a low-label experiment may use, by name and digest, so that two experiments can be compared.

The scenes of nuScenes' training split follow from the devkit's split names alone and are committed. Sample tokens stand
in the data set's tables only: their lists are written by `prepare`, and their digests recorded beside them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.frames.splits import fraction_scenes
from pipeline.params import Dataset

COMMITTED = {("v1.0-trainval", "train"): Path("conf/labels/nuscenes_trainval.json")}
PAPER_FRACTIONS = (0.05, 0.1, 0.2, 0.5)
RULE = "every (1 / fraction)-th scene of the sorted names, from the first"
DIGEST = "SHA-256 of the sorted names, each followed by a newline"


def digest(names: Iterable[str]) -> str:
    """SHA-256 of the sorted names, one a line: as on cards, and as `sort | sha256sum` gives it."""
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(names)).encode()).hexdigest()


def committed_lists(dataset: Dataset) -> Path | None:
    """Where the lists of the training split are committed, below the project's root; None if they are not."""
    return COMMITTED.get((dataset.version, dataset.train_split)) if dataset.format == "nuscenes" else None


def describe_lists(version: str, split: str, scenes: list[str]) -> str:
    """The content of a committed file.

    Args:
        version: of the tables, e.g. v1.0-trainval.
        split: name of the training split.
        scenes: all of it, any order.
    """
    kept = {f"{fraction:g}": fraction_scenes(scenes, fraction) for fraction in PAPER_FRACTIONS}
    content = {
        "dataset": f"nuScenes {version}",
        "rule": RULE,
        "digest": DIGEST,
        "split": {"name": split, "count": len(scenes), "sha256": digest(scenes)},
        "fractions": {
            name: {"count": len(own), "sha256": digest(own), "scenes": own} for name, own in kept.items()
        },
    }  # fmt: skip
    return json.dumps(content, indent=1) + "\n"


def check_lists(path: Path, split: str, scenes: list[str], kept: Mapping[float, Iterable[str]]) -> None:
    """Refuses lists that are not the committed ones.

    Args:
        path: the committed file.
        split: name of the training split.
        scenes: of the split, as the data set holds it.
        kept: fraction -> scenes about to be written.

    Raises:
        UserError: the file is missing or broken, the split is another one, or a fraction keeps other scenes.
    """
    content = _read(path)
    if digest(scenes) != content["split"]["sha256"]:
        problem = (
            f"the split {split!r} has {len(scenes)} scenes, which are not the devkit's {content['split']['count']}"
        )
        remedy = "complete the data set, or give a training split of your own another name in dataset.splits"
        raise UserError(problem, where=f"dataset.train_split, compared with {path}", remedy=remedy)
    for fraction, own in kept.items():
        known = content["fractions"].get(f"{fraction:g}")
        if known and digest(own) != known["sha256"]:
            problem = (
                f"the scenes of the fraction {fraction:g} differ from the committed ones ({known['count']} scenes)"
            )
            raise UserError(problem, where=str(path), remedy=f"git checkout {path} pipeline/frames/splits.py")


def ledger(kept: Mapping[float, Iterable[str]], tokens: Mapping[float, list[str]]) -> dict[str, dict[str, Any]]:
    """What each fraction may use: {fraction: {"scenes", "scenes_sha256", "frames", "sha256" of the sample tokens}}."""
    return {
        f"{fraction:g}": {
            "scenes": len(set(own)), "scenes_sha256": digest(own), "frames": len(tokens[fraction]),
            "sha256": digest(tokens[fraction]),
        }
        for fraction, own in kept.items()
    }  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        for name, own in content["fractions"].items():
            if digest(own["scenes"]) != own["sha256"] or len(own["scenes"]) != own["count"]:
                raise ValueError(f"the scenes of {name} do not have the digest that stands beside them")
        _ = content["split"]["sha256"], content["split"]["count"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"the committed label lists cannot be used: {error}"
        raise UserError(problem, where=str(path), remedy=f"git checkout {path}") from error
    return content
