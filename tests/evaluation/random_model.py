"""A checkpoint that nobody trained, for tests of what follows."""

from pathlib import Path

import torch

from pipeline.artifacts.card import write_card
from pipeline.artifacts.checkpoint import save_weights
from pipeline.networks.model import BevModel
from pipeline.params import load_params


def save_random_model() -> None:
    """Writes the detection model of the arm scratch-L with all labels and seed 0 where `evaluate` looks for it."""
    params = load_params()
    torch.manual_seed(0)
    model = BevModel(params.networks, params.frames, "L", "detection")
    cell = Path("data/checkpoints/finetune/scratch-L/detection-1.0-0")
    cell.mkdir(parents=True)
    save_weights(cell, model.state_dict())
    write_card(cell, kind="checkpoint", stage="finetune", params={}, inputs=[])
