"""Start weights of an arm. Works on NumPy arrays, since gathering tensors needs no deep-learning framework."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pipeline.artifacts.card import WEIGHTS
from pipeline.artifacts.publish import write_file
from pipeline.errors import UserError

Weights = dict[str, NDArray[np.generic]]


def branch_weights(source: Path, branch: str) -> Weights:
    """Tensors of one branch of a checkpoint.

    Args:
        source: a checkpoint folder, or a YAML file such as conf/weights/random.yaml that stands for no weights.
        branch: "lidar" or "camera"; tensors named `<branch>.*` are taken, projectors stay behind.

    Returns:
        Tensors by name; empty for a YAML file.

    Raises:
        UserError: the folder holds no readable weights, or none of this branch.
    """
    if source.suffix == ".yaml":
        return {}
    remedy = "name a checkpoint folder of this branch or conf/weights/random.yaml under `arms` in params.yaml"
    try:
        weights = load((source / WEIGHTS).read_bytes())
    except (OSError, SafetensorError) as error:
        raise UserError(f"the start weights cannot be read: {error}", where=str(source), remedy=remedy) from None
    of_branch = {name: tensor for name, tensor in weights.items() if name.startswith(f"{branch}.")}
    if not of_branch:
        raise UserError(f"the checkpoint holds no {branch} weights", where=str(source), remedy=remedy)
    return of_branch


def save_start(folder: Path, weights: Weights) -> None:
    """Writes `folder/weights.safetensors`; equal tensors give equal bytes."""
    write_file(folder / WEIGHTS, save({name: weights[name] for name in sorted(weights)}))
