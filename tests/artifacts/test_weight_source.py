"""Files of conf/weights, and the weights that they stand for."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from pipeline.artifacts.start import branch_weights
from pipeline.artifacts.weight_source import labels_seen, read_source
from pipeline.errors import UserError

ROOT = Path(__file__).parents[2]
CONTENT = save({"conv1.weight": np.arange(6, dtype=np.float32).reshape(2, 3)})
DIGEST = hashlib.sha256(CONTENT).hexdigest()
MODEL = "swin_tiny_patch4_window7_224.ms_in1k"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A YAML file beside the weights it names."""
    (tmp_path / "model.safetensors").write_bytes(CONTENT)
    return describe(
        tmp_path, f"source: file\nfile: {tmp_path}/model.safetensors\nsha256: {DIGEST}\nlabels: ImageNet-1k\n"
    )


def describe(folder: Path, text: str) -> Path:
    path = folder / "weights.yaml"
    path.write_text(text)
    return path


def test_a_local_file_starts_the_camera_under_timms_names(weights: Path) -> None:
    loaded = branch_weights(weights, "camera")
    assert list(loaded) == ["timm.conv1.weight"]
    np.testing.assert_array_equal(loaded["timm.conv1.weight"], np.arange(6).reshape(2, 3))
    assert labels_seen(weights) == ["ImageNet-1k"]
    assert labels_seen(ROOT / "conf/weights/random.yaml") == []
    with pytest.raises(UserError, match="cannot start the lidar branch"):
        branch_weights(weights, "lidar")


@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        ((DIGEST, "f" * 64), "another file", f"write sha256: {DIGEST}"),
        ((f"sha256: {DIGEST}\n", ""), "not pinned", f"write sha256: {DIGEST}"),
        (("model.safetensors", "nowhere.safetensors"), "cannot be read", "put the file there"),
        (("labels: ImageNet-1k\n", ""), "missing", "add it"),
        (("source: file", "source: random"), "takes neither", "correct the value"),
        (("file: ", "model: x\nfile: "), "takes file", "correct the value"),
        (("source: file", "source: url"), "expected random or file or timm", "file"),
    ],
)
def test_a_wrong_description_is_refused(weights: Path, change: tuple[str, str], problem: str, remedy: str) -> None:
    weights.write_text(weights.read_text().replace(*change))
    with pytest.raises(UserError, match=problem) as caught:
        branch_weights(weights, "camera")
    assert remedy in caught.value.remedy


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"pickle")
    digest = hashlib.sha256(b"pickle").hexdigest()
    path = describe(tmp_path, f"source: file\nfile: {tmp_path}/model.pth\nsha256: {digest}\nlabels: none\n")
    with pytest.raises(UserError, match="no safetensors"):
        branch_weights(path, "camera")


def test_timm_weights_come_from_the_local_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(file_download, "HF_HUB_CACHE", str(tmp_path), raising=False)
    path = describe(tmp_path, f"source: timm\nmodel: {MODEL}\nsha256: {DIGEST}\nlabels: ImageNet-1k\n")
    with pytest.raises(UserError, match="never downloads") as caught:
        branch_weights(path, "camera")
    assert f"hf download timm/{MODEL} model.safetensors" in caught.value.remedy
    repository = tmp_path / f"models--timm--{MODEL}"
    snapshot = repository / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(CONTENT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    assert list(branch_weights(path, "camera")) == ["timm.conv1.weight"]


def test_every_file_of_the_project_is_valid() -> None:
    files = sorted((ROOT / "conf/weights").glob("*.yaml"))
    assert {read_source(path).source for path in files} == {"random", "timm"}
