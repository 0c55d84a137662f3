"""Fusion of the BEV maps of both sensors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.layers import conv_block, to_channels_last


class ConvFuser(nn.Module):
    """Concatenation and one 3x3 convolution with batch norm and ReLU (ConvFuser of BEVFusion, arXiv 2205.13542).

    With a single map it is that convolution alone, so heads see the same channels for every modality.

    Args:
        inputs: channels of each map.
        outputs: channels of the result.
    """

    def __init__(self, inputs: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.convolution = conv_block(sum(inputs), outputs)
        self.out_channels = outputs
        to_channels_last(self)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps [B, inputs[i], S, S] of one grid to [B, outputs, S, S]."""
        result: Tensor = self.convolution(torch.cat(list(maps), 1))
        return result
