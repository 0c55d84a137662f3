"""Start weights of an arm. Works on NumPy arrays, since gathering tensors needs no deep-learning framework."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pipeline.artifacts.card import WEIGHTS
from pipeline.artifacts.publish import write_file
from pipeline.artifacts.weight_file import NAME, read_weight_file
from pipeline.artifacts.weight_source import read_weights_file
from pipeline.errors import UserError

Weights = dict[str, NDArray[np.generic]]
TIMM = "timm."  # prefix of the tensors of a timm model, under timm's own names; `pipeline.networks.transfer` reads it


def branch_weights(source: Path, branch: str) -> Weights:
    """Tensors of one branch.

    Args:
        source: a checkpoint folder, or a file of conf/weights: no weights (random.yaml) or those of a timm model.
        branch: "lidar" or "camera"; tensors named `<branch>.*` are taken, projectors stay behind.

    Returns:
        Tensors by name; those of a timm model as `timm.<its own name>`; empty for random weights.

    Raises:
        UserError: there are no readable weights, or none of this branch.
    """
    remedy = "name a checkpoint folder of this branch or a file of conf/weights, under `arms` or `distill_camera.start`"
    if source.suffix == ".yaml":
        content = read_weights_file(source)
        if not content:
            return {}
        if branch != "camera":
            raise UserError(f"image weights cannot start the {branch} branch", where=str(source), remedy=remedy)
        return {f"{TIMM}{name}": tensor for name, tensor in _parse(content, source, remedy).items()}
    content = read_weight_file(source)
    of_branch = {
        name: tensor for name, tensor in _parse(content, source, remedy).items() if name.startswith(f"{branch}.")
    }
    if not of_branch:
        raise UserError(f"the checkpoint holds no {branch} weights", where=str(source), remedy=remedy)
    return of_branch


def save_start(folder: Path, weights: Weights) -> None:
    """Writes `folder/weights.safetensors`; equal tensors give equal bytes."""
    write_file(folder / WEIGHTS, save({name: weights[name] for name in sorted(weights)}))


def _parse(content: bytes, source: Path, remedy: str) -> Weights:
    try:
        weights: Weights = load(content)
    except (SafetensorError, KeyError, ValueError) as error:
        problem = f"the start weights cannot be read: no safetensors of NumPy's types ({error})"
        raise UserError(problem, where=str(source), remedy=remedy) from None
    for name, tensor in weights.items():
        if not NAME.fullmatch(name):
            raise UserError(f"tensor name {name!r} is not dotted words", where=str(source), remedy=remedy)
        if np.issubdtype(tensor.dtype, np.floating) and not np.isfinite(tensor).all():
            raise UserError(f"tensor {name} holds NaN or infinity", where=str(source), remedy=remedy)
    return weights
