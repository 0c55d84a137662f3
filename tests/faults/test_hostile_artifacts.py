"""Artifacts from strangers are data: every attempt to run something, to leave the folder or to mislead is refused."""

import io
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from pipeline.artifacts.audit import audit
from pipeline.artifacts.card import CARD, WEIGHTS, dump_json, read_card, seal, write_card
from pipeline.artifacts.checkpoint import load_weights
from pipeline.artifacts.publish import publish
from pipeline.artifacts.start import branch_weights
from pipeline.errors import UserError
from pipeline.evaluation.predict import open_model
from pipeline.networks.model import BevModel
from pipeline.regions import manifest as manifests
from pipeline.regions.manifest import Manifest
from pipeline.regions.repair import repair_store
from pipeline.regions.verification import verify_store
from tests.small_networks import small_frames, small_networks

TRAVERSING = ["/etc/passwd", "../../outside", "a/../../outside", "~/outside", "..\\outside", "", "a\0b"]


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture(autouse=True)
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good checkpoint folder in a project."""
    monkeypatch.chdir(tmp_path)
    Path("stages").mkdir()
    Path("stages/make.py").write_text("")
    return plant(save({"lidar.w": torch.ones(2)}))


def plant(content: bytes) -> Path:
    """A checkpoint with a card that fits, whatever its content."""
    folder = Path("data/checkpoint")
    with publish(folder) as draft:
        (draft / WEIGHTS).write_bytes(content)
        write_card(draft, kind="checkpoint", stage="make", params={}, inputs=[])
    return folder


def forge(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edits a card and seals it again."""
    card = json.loads((folder / CARD).read_bytes())
    change(card)
    card["seal"] = seal(card)
    (folder / CARD).write_bytes(dump_json(card))


READERS = [load_weights, lambda folder: branch_weights(folder, "lidar")]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_is_refused_and_no_audit_runs_it(form: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    trace, buffer = tmp_path / "trace", io.BytesIO()
    if form == "pickle":
        pickle.dump(Evil(trace), buffer)
    else:
        torch.save({"lidar.w": Evil(trace)}, buffer)
    folder = plant(buffer.getvalue())
    with pytest.raises(UserError, match="not a safetensors file"):
        read(folder)
    assert audit(folder, deep=True).ok  # whole, as its card says; the audit has nothing to unpickle
    assert not trace.exists()
    pickle.loads(pickle.dumps(Evil(trace)))
    assert trace.exists()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("size", [1 << 60, 100_000_001, 10_000])
def test_an_oversized_header_is_refused_before_the_file_is_read(size: int, read: Callable[[Path], object]) -> None:
    folder = plant(struct.pack("<Q", size) + b"{}")
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(1 << 33)  # a sparse file of 8 GiB: reading it would be noticed
    if size == 10_000:
        os.truncate(folder / WEIGHTS, 10)
    with pytest.raises(UserError, match="header does not fit"):
        read(folder)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float, read: Callable[[Path], object]) -> None:
    with pytest.raises(UserError, match=r"lidar\.w holds NaN or infinity"):
        read(plant(save({"lidar.w": torch.tensor([1.0, value])})))


@pytest.mark.parametrize("read", READERS)
def test_weights_that_were_exchanged_under_their_card_are_refused(read: Callable[[Path], object]) -> None:
    folder = plant(save({"lidar.w": torch.ones(2)}))
    read(folder)
    (folder / WEIGHTS).write_bytes(save({"lidar.w": torch.zeros(2)}))
    with pytest.raises(UserError, match="not those on the card"):
        read(folder)


def test_weights_of_another_shape_are_refused_by_whoever_takes_them() -> None:
    networks, frames, cpu = small_networks(), small_frames(), torch.device("cpu")
    model = BevModel(networks, frames, "L", "map")
    good = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    open_model(plant(save(good)), networks, frames, "L", "map", cpu)
    name = next(name for name in good if name.startswith("lidar.") and good[name].dim() > 1)
    bad = {**good, name: torch.zeros(3, 3)}
    with pytest.raises(UserError, match="do not fit the network") as caught:
        open_model(plant(save(bad)), networks, frames, "L", "map", cpu)
    assert name in str(caught.value) and "dvc repro" in caught.value.remedy
    with pytest.raises(UserError, match="do not fit branch 'lidar'"):
        model.load_start({key: tensor for key, tensor in bad.items() if key.startswith("lidar.")})


@pytest.mark.parametrize("name", TRAVERSING)
@pytest.mark.parametrize(
    "place",
    [
        lambda card, name: card["files"].update({name: "0" * 64}),
        lambda card, name: card["inputs"].append({"path": name, "identity": "0" * 64}),
        lambda card, name: card["code"]["files"].update({name: "0" * 64}),
    ],
)
def test_a_card_cannot_lead_out_of_the_project(
    name: str, place: Callable[[dict[str, Any], str], object], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(checkpoint, lambda card: place(card, name))
    opened: list[str] = []
    real = Path.open

    def watch(path: Path, *arguments: Any, **more: Any) -> Any:
        opened.append(str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", watch)
    link = audit(checkpoint, deep=True)
    assert any("outside" in problem for problem in link.problems)
    assert opened and not [path for path in opened if "passwd" in path or "outside" in path]


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(files=["a"]),
        lambda card: card["files"].update({WEIGHTS: 3}),
        lambda card: card.update(inputs=["data/regions"]),
        lambda card: card["inputs"].append({"path": None, "identity": {}}),
        lambda card: card.update(code={"files": "all"}),
        lambda card: card.update(labels=None),
        lambda card: card.update(kind=["checkpoint"]),
    ],
)
def test_a_card_of_another_form_is_refused(change: Callable[[dict[str, Any]], object], checkpoint: Path) -> None:
    forge(checkpoint, change)
    with pytest.raises(UserError, match="lacks a part"):
        read_card(checkpoint)
    assert "lacks a part" in audit(checkpoint).problems[0]


def test_a_card_that_is_nested_without_end_is_refused(checkpoint: Path) -> None:
    (checkpoint / CARD).write_text("[" * 100_000)
    assert "cannot be read" in audit(checkpoint).problems[0]


@pytest.mark.parametrize("name", ["/etc/passwd", "../../outside", "ids.zarr/c/0/../../../../outside", "ids.zarr/c/9/0"])
def test_a_region_manifest_cannot_lead_out_of_its_store(name: str, region_project: Path) -> None:
    """Not when it is opened or verified, and not when a repair writes."""
    store = Path("data/regions")
    content = json.loads((store / manifests.FILE).read_text())
    content["shards"][0]["file"] = name
    head = (store / manifests.FILE).read_text().rpartition(manifests.SEAL)[0]
    old = json.dumps(json.loads((store / manifests.FILE).read_text())["shards"], sort_keys=True)
    assert old in head
    text = head.replace(old, json.dumps(content["shards"], sort_keys=True))
    (store / manifests.FILE).write_text(f"{text}{manifests.SEAL}{json.dumps(manifests._seal(text))}\n}}\n")
    for read in (Manifest.load, verify_store, lambda path: repair_store(path, [], None, identity="", runtime=None)):  # type: ignore[arg-type]
        with pytest.raises(UserError, match="manifest is damaged.*names the file"):
            read(store)
    assert not Path("outside").exists() and not Path("../outside").exists()
