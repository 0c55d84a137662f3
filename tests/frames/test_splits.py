from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.frames.splits import fraction_scenes, scenes_by_split
from tests.frames.tiny_dataset import VERSION, dataset_at

SCENES = [f"scene-{number:04d}" for number in range(700)]


def test_splits_come_from_params_before_the_file(tiny_root: Path) -> None:
    splits = scenes_by_split(dataset_at(tiny_root, splits={"val": ["scene-b"]}))
    assert splits == {"train": ["scene-a", "scene-b", "scene-d"], "val": ["scene-b"]}


def test_splits_of_the_devkit(tmp_path: Path) -> None:
    splits = scenes_by_split(dataset_at(tmp_path))
    assert (len(splits["train"]), len(splits["val"]), len(splits["mini_train"])) == (700, 150, 8)


def test_unknown_split_names_key_and_known_ones(tiny_root: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)'valid'.*dataset\.val_split.*train, .*val"):
        scenes_by_split(dataset_at(tiny_root, val_split="valid"))


def test_broken_split_file(tiny_copy: Path) -> None:
    (tiny_copy / VERSION / "splits.json").write_text('["scene-a"]')
    with pytest.raises(UserError, match=r"splits\.json"):
        scenes_by_split(dataset_at(tiny_copy))


@pytest.mark.parametrize(("fraction", "count"), [(0.05, 35), (0.1, 70), (0.2, 140), (0.5, 350), (1.0, 700)])
def test_fractions_of_the_paper(fraction: float, count: int) -> None:
    kept = fraction_scenes(SCENES[::-1], fraction)
    assert kept == SCENES[:: 700 // count]
    assert len(kept) == count


@pytest.mark.parametrize("fraction", [0.3, 0.0, -0.5, 1.5, 0.15, 0.001, 0.1 + 1e-6])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(UserError, match=r"prepare\.fractions"):
        fraction_scenes(SCENES, fraction)


def test_impossible_fraction_names_the_nearest_ones() -> None:
    with pytest.raises(UserError, match=r"1/4 = 0\.25 and 1/3 = 0\.333"):
        fraction_scenes(SCENES, 0.3)
    with pytest.raises(UserError, match=r"1/5 = 0\.2$"):
        fraction_scenes(SCENES[:5], 0.05)
