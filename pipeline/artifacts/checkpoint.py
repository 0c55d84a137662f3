"""Network weights on disk: one safetensors file, which cannot run code when it is read."""

import hashlib
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

from pipeline.artifacts.card import CARD, WEIGHTS, read_card
from pipeline.artifacts.publish import write_file
from pipeline.errors import UserError

SNAPSHOTS = "snapshots"  # folder of the weights that a training kept on its way
_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


def save_weights(folder: Path, weights: dict[str, Tensor], file: str = WEIGHTS) -> None:
    """Writes `folder/weights.safetensors`; equal tensors give equal bytes.

    Args:
        folder: an existing folder.
        weights: dotted names to tensors of any shape and type, on any device.
        file: another name below `folder`.

    Raises:
        ValueError: a name is not dotted words, or a tensor holds NaN or infinity.
    """
    if problem := _problem(weights):
        raise ValueError(problem)
    apart = {name: weights[name].detach().to("cpu").contiguous().clone() for name in sorted(weights)}
    write_file(folder / file, format_tensors(apart))


def load_weights(folder: Path, file: str = WEIGHTS) -> dict[str, Tensor]:
    """Reads `folder/weights.safetensors` on the CPU and, where the folder has a card, checks the bytes against it.

    Args:
        folder: of the checkpoint.
        file: another name below `folder`, see `snapshot_file`.

    Raises:
        UserError: the file is missing, no safetensors file, not the one on the card, or holds a bad name or number.
    """
    path = folder / file
    remedy = "make the checkpoint again with dvc repro"
    if not path.is_file():
        raise UserError("the checkpoint has no weights", where=str(path), remedy=remedy)
    content = path.read_bytes()
    if (folder / CARD).is_file():
        _check_digest(folder, file, content, remedy)
    try:
        weights = parse_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        problem = f"not a safetensors file ({error}); other formats can run code and are refused"
        raise UserError(problem, where=str(path), remedy=remedy) from None
    if refused := _problem(weights):
        raise UserError(refused, where=str(path), remedy=remedy)
    return weights


def snapshot_file(step: int) -> str:
    """The name, below a checkpoint's folder, of the weights after `step` steps."""
    return f"{SNAPSHOTS}/{step:07d}.safetensors"


def load_snapshots(folder: Path) -> dict[int, dict[str, Tensor]]:
    """The weights that a training kept on its way and those of its end, by number of steps, ascending.

    Raises:
        UserError: as `load_weights`; or the checkpoint has no card.
    """
    kept = sorted(int(path.stem) for path in (folder / SNAPSHOTS).glob("*.safetensors"))
    files = {step: snapshot_file(step) for step in kept} | {int(read_card(folder)["details"]["steps"]): WEIGHTS}
    return {step: load_weights(folder, file) for step, file in files.items()}


def _check_digest(folder: Path, file: str, content: bytes, remedy: str) -> None:
    expected = read_card(folder)["files"].get(file)
    if hashlib.sha256(content).hexdigest() != expected:
        raise UserError("the weights are not those on the card", where=str(folder / file), remedy=remedy)


def _problem(weights: dict[str, Tensor]) -> str | None:
    for name, tensor in weights.items():
        if not _NAME.fullmatch(name):
            return f"tensor name {name!r} is not dotted words"
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"tensor {name} holds NaN or infinity"
    return None
