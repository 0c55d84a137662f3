"""Start weights gathered from checkpoints as the trainings write them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.artifacts.card import WEIGHTS
from pipeline.artifacts.checkpoint import load_weights, save_weights
from pipeline.artifacts.start import branch_weights, save_start
from pipeline.errors import UserError

LIDAR = {
    "lidar.conv.weight": torch.arange(6.0).reshape(2, 3),
    "lidar.norm.num_batches_tracked": torch.tensor(7),
    "lidar_projector.weight": torch.ones(2),
}
CAMERA = {"camera.conv.weight": torch.full((2,), 0.5), "camera_projector.weight": torch.ones(2)}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    for name, weights in (("prc", LIDAR), ("rad", CAMERA)):
        (tmp_path / name).mkdir()
        save_weights(tmp_path / name, weights)
    return tmp_path


def test_a_branch_without_its_projector(checkpoints: Path) -> None:
    weights = branch_weights(checkpoints / "prc", "lidar")
    assert set(weights) == {"lidar.conv.weight", "lidar.norm.num_batches_tracked"}
    np.testing.assert_array_equal(weights["lidar.conv.weight"], LIDAR["lidar.conv.weight"].numpy())


def test_both_branches_open_as_a_checkpoint(checkpoints: Path) -> None:
    weights = branch_weights(checkpoints / "prc", "lidar") | branch_weights(checkpoints / "rad", "camera")
    save_start(checkpoints, weights)
    opened = load_weights(checkpoints)
    assert set(opened) == {*(name for name in LIDAR if name.startswith("lidar.")), "camera.conv.weight"}
    for name, tensor in opened.items():
        given = (LIDAR | CAMERA)[name]
        assert tensor.dtype == given.dtype
        assert torch.equal(tensor, given)


def test_equal_weights_give_equal_bytes_in_any_order(checkpoints: Path) -> None:
    weights = branch_weights(checkpoints / "prc", "lidar")
    save_start(checkpoints, weights)
    first = (checkpoints / WEIGHTS).read_bytes()
    save_start(checkpoints, dict(reversed(weights.items())))
    assert (checkpoints / WEIGHTS).read_bytes() == first


def test_random_start_has_no_weights(tmp_path: Path) -> None:
    assert branch_weights(Path("conf/weights/random.yaml"), "lidar") == {}
    save_start(tmp_path, {})
    assert load_weights(tmp_path) == {}


def test_a_checkpoint_of_the_other_branch_is_refused(checkpoints: Path) -> None:
    with pytest.raises(UserError, match="no camera weights") as caught:
        branch_weights(checkpoints / "prc", "camera")
    assert "arms" in caught.value.remedy


@pytest.mark.parametrize("content", [None, b"", b"\x10\0\0\0\0\0\0\0not safetensors!"])
def test_a_missing_or_broken_checkpoint_is_named(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(UserError, match="has no weights|header does not fit|cannot be read") as caught:
        branch_weights(tmp_path, "lidar")
    assert str(tmp_path) in caught.value.where
