"""Builds the index of a dataset. Nothing that trains imports it: an edit of a table reader makes no training stale."""

import json
from pathlib import Path

from pipeline.errors import UserError
from pipeline.frames.argoverse import ArgoverseLogs
from pipeline.frames.index import FORMAT
from pipeline.frames.index_tables import write_frames
from pipeline.frames.manifest import write_manifest
from pipeline.frames.recording import Recording
from pipeline.frames.source import FrameSource
from pipeline.frames.splits import scenes_by_split
from pipeline.params import Dataset


def open_source(dataset: Dataset) -> FrameSource:
    """The recording that a dataset's params name.

    Raises:
        UserError: it is missing or broken.
    """
    if dataset.format == "argoverse2":
        return ArgoverseLogs(Path(dataset.root), dataset.version)
    return Recording(Path(dataset.root), dataset.version)


def build_index(dataset: Dataset, out: Path) -> None:
    """Writes the key frames of a dataset, some at a time, and the manifest of the sensor files that they name.

    Args:
        dataset: root, table directory and splits.
        out: an existing directory; holds frames.feather, sweeps.feather, cameras.feather, manifest.feather and
            index.json afterwards.

    Raises:
        UserError: the root, a table, a link, a split or a key-frame file is missing or broken.
    """
    splits = scenes_by_split(dataset)
    source = open_source(dataset)
    written = write_frames(source.frames(), out)
    if not written.frames:
        raise UserError(
            "the dataset has no sample",
            where=f"{dataset.root}/{dataset.version}",
            remedy="choose another dataset.version",
        )
    for note in source.notes():
        print(f"index: {note}")
    present = written.scenes
    for key in ("pretrain_split", "train_split", "val_split"):
        name = getattr(dataset, key)
        if present.isdisjoint(splits[name]):
            raise UserError(
                f"the split {name!r} has no scene in this dataset",
                where=f"dataset.{key}",
                remedy=f"choose a split of these scenes: {', '.join(sorted(present)[:8])}",
            )
    header = {
        "format": FORMAT,
        "frames": written.frames,
        "missing_sweeps": source.missing_sweeps,
        "splits": {name: kept for name, scenes in splits.items() if (kept := [s for s in scenes if s in present])},
        "version": dataset.version,
    }
    write_manifest(Path(dataset.root), written.paths, out)
    (out / "index.json").write_text(json.dumps(header, indent=1, sort_keys=True) + "\n", encoding="utf-8")
