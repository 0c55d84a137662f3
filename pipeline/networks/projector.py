"""Projection of point features to the embedding in which contrast is measured."""

from torch import Tensor, nn
from torch.nn import functional


class Projector(nn.Module):
    """Two linear layers with a ReLU between, then unit length.

    No batch norm: a single point must pass too, and a frozen teacher must give what it gave in training.

    Args:
        inputs: channels of the BEV map.
        embedding: size of the embedding.
    """

    def __init__(self, inputs: int, embedding: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, inputs), nn.ReLU(inplace=True), nn.Linear(inputs, embedding))

    def forward(self, features: Tensor) -> Tensor:
        """[P, inputs] sampled from a BEV map to unit vectors float32 [P, embedding]."""
        return functional.normalize(self.layers(features).float(), dim=-1)
