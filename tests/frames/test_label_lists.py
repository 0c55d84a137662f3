"""Committed label lists: rebuilt from the devkit's split names, and refused where a data set does not fit them."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.frames import label_lists
from pipeline.frames.index import FrameIndex
from pipeline.frames.label_lists import check_lists, committed_lists, describe_lists, digest, ledger
from pipeline.frames.labels import LEDGER, Labels, build_labels
from pipeline.frames.splits import fraction_scenes, scenes_by_split
from pipeline.params import Prepare
from tests.frames.tiny_dataset import VERSION, dataset_at

ROOT = Path(__file__).parents[2]
TRAINVAL = ROOT / "conf/labels/nuscenes_trainval.json"
COUNTS = {"0.05": 35, "0.1": 70, "0.2": 140, "0.5": 350}


@pytest.fixture(scope="module")
def train() -> list[str]:
    """The devkit's split, without any data."""
    from nuscenes.utils.splits import create_splits_scenes

    return sorted(create_splits_scenes()["train"])


def test_committed_file_is_what_the_devkit_and_the_rule_give(train: list[str]) -> None:
    assert TRAINVAL.read_text() == describe_lists("v1.0-trainval", "train", train[::-1])


def test_committed_lists_hold_the_papers_counts_and_their_own_digests(train: list[str]) -> None:
    content = json.loads(TRAINVAL.read_bytes())
    assert {name: own["count"] for name, own in content["fractions"].items()} == COUNTS
    for name, own in content["fractions"].items():
        assert own["scenes"] == train[:: round(1 / float(name))]
        assert own["sha256"] == hashlib.sha256(("\n".join(own["scenes"]) + "\n").encode()).hexdigest()
    kept = [set(own["scenes"]) for own in content["fractions"].values()]
    assert kept[0] < kept[1] < kept[2] and kept[1] < kept[3]
    assert len(kept[2] & kept[3]) == 70  # every fifth and every second scene meet in every tenth alone


def test_they_belong_to_the_devkits_split_of_trainval_alone(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path, version="v1.0-trainval", splits={})
    assert committed_lists(dataset) == Path("conf/labels/nuscenes_trainval.json")
    assert committed_lists(replace(dataset, version="v1.0-mini")) is None
    assert committed_lists(replace(dataset, train_split="mine")) is None
    assert committed_lists(replace(dataset, format="argoverse2")) is None
    names = scenes_by_split(dataset)["train"]
    check_lists(TRAINVAL, "train", names, {share: fraction_scenes(names, share) for share in (0.05, 0.1, 0.25, 1.0)})


def test_an_incomplete_or_other_split_is_refused(train: list[str]) -> None:
    with pytest.raises(UserError, match="699 scenes, which are not the devkit's 700") as caught:
        check_lists(TRAINVAL, "train", train[1:], {})
    assert str(TRAINVAL) in caught.value.where and "dataset.train_split" in caught.value.where
    assert "another name in dataset.splits" in caught.value.remedy


def test_other_scenes_of_a_fraction_are_refused(train: list[str]) -> None:
    with pytest.raises(UserError, match=r"fraction 0\.1 differ from the committed ones \(70 scenes\)") as caught:
        check_lists(TRAINVAL, "train", train, {0.05: train[::20], 0.1: train[1::10]})
    assert caught.value.where == str(TRAINVAL) and "git checkout" in caught.value.remedy


@pytest.mark.parametrize("edit", ["scene", "digest", "cut", "shape", "missing"])
def test_an_edited_file_is_refused(edit: str, tmp_path: Path, train: list[str]) -> None:
    path = Path(shutil.copy(TRAINVAL, tmp_path))
    content: dict[str, Any] = json.loads(path.read_bytes())
    if edit == "scene":
        content["fractions"]["0.1"]["scenes"][3] = "scene-9999"
    elif edit == "digest":
        content["fractions"]["0.1"]["sha256"] = "0" * 64
    elif edit == "shape":
        content["fractions"] = []
    path.write_text(json.dumps(content)[: 100 if edit == "cut" else None])
    if edit == "missing":
        path.unlink()
    with pytest.raises(UserError, match="committed label lists cannot be used") as caught:
        check_lists(path, "train", train, {})
    assert caught.value.remedy == f"git checkout {path}"


def test_prepare_refuses_other_lists_and_writes_none(
    tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny data set with committed lists of its own: the right ones, then those of another choice of scenes."""
    dataset, prepare, path = dataset_at(tiny_root), Prepare(map_resolution=0.2, fractions=[0.5, 1.0]), tmp_path / "own"
    monkeypatch.setitem(label_lists.COMMITTED, (VERSION, "train"), path)
    monkeypatch.setattr(label_lists, "PAPER_FRACTIONS", (0.5,))
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    path.write_text(describe_lists(VERSION, "train", tiny_index.split_scenes("train")))
    build_labels(dataset, prepare, tiny_index, good)
    assert (good / LEDGER).is_file()
    content = json.loads(path.read_text())
    content["fractions"]["0.5"] = {"count": 1, "sha256": digest(["scene-b"]), "scenes": ["scene-b"]}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"fraction 0\.5 differ"):
        build_labels(dataset, prepare, tiny_index, bad)
    assert not list(bad.iterdir())


def test_ledger_tells_scenes_frames_and_digests(tiny_root: Path, tiny_index: FrameIndex, tmp_path: Path) -> None:
    build_labels(dataset_at(tiny_root), Prepare(0.2, [0.5, 1.0]), tiny_index, tmp_path)
    labels = Labels.open(tmp_path)
    found = labels.ledger()
    assert set(found) == {"0.5", "1"}
    assert (found["0.5"]["scenes"], found["0.5"]["frames"]) == (2, 4)
    assert found["0.5"]["scenes_sha256"] == digest(["scene-d", "scene-a"])
    tokens = sorted(labels.fraction(0.5))
    assert found["0.5"]["sha256"] == hashlib.sha256("".join(f"{token}\n" for token in tokens).encode()).hexdigest()
    assert found == ledger(
        {0.5: ["scene-a", "scene-d"], 1.0: ["scene-a", "scene-b", "scene-d"]},
        {0.5: labels.fraction(0.5), 1.0: labels.fraction(1.0)},
    )
    (tmp_path / LEDGER).unlink()
    with pytest.raises(UserError, match="dvc repro prepare"):
        labels.ledger()
