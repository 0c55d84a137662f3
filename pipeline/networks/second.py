"""SECOND's 2D backbone and its feature pyramid, generic over lists."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.networks.layers import conv_block, norm_2d


class Second(nn.Module):
    """Stages of 3x3 convolutions (Yan et al., SECOND, Sensors 2018; as in mmdetection3d).

    Args:
        inputs: channels of the pillar map.
        channels: channels of each stage.
        layers: convolutions of each stage after its first, strided one.
        strides: stride of each stage.

    Raises:
        ValueError: the lists differ in length.
    """

    def __init__(self, inputs: int, channels: Sequence[int], layers: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        if not channels or not len(channels) == len(layers) == len(strides):
            raise ValueError(
                f"block_channels, block_layers and block_strides differ in length: {channels}, {layers}, {strides}"
            )
        self.stages = nn.ModuleList(
            nn.Sequential(conv_block(before, width, stride=stride), *[conv_block(width, width) for _ in range(depth)])
            for (before, width), depth, stride in zip(
                itertools.pairwise([inputs, *channels]), layers, strides, strict=True
            )
        )

    def forward(self, bev: Tensor) -> list[Tensor]:
        """[B, inputs, S, S] to one map per stage, each at its own stride."""
        maps = []
        for stage in self.stages:
            bev = stage(bev)
            maps.append(bev)
        return maps


class SecondFpn(nn.Module):
    """Brings every stage to one stride and concatenates (SECONDFPN of mmdetection3d).

    Args:
        inputs: channels of each stage.
        strides: stride of each stage against the pillar map (cumulative).
        outputs: channels each stage contributes.
        stride: stride of the output against the pillar map.

    Raises:
        ValueError: a stage's stride is neither a multiple nor a divisor of `stride`, or the lists differ in length.
    """

    def __init__(self, inputs: Sequence[int], strides: Sequence[int], outputs: Sequence[int], stride: int) -> None:
        super().__init__()
        if len(inputs) != len(outputs):
            raise ValueError(f"neck_channels {outputs} must have one entry per block of {inputs}")
        self.branches = nn.ModuleList(
            nn.Sequential(_resize(width, out, own, stride), norm_2d(out), nn.ReLU(inplace=True))
            for width, own, out in zip(inputs, strides, outputs, strict=True)
        )
        self.out_channels = sum(outputs)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of all stages to [B, sum(outputs), S / stride, S / stride]."""
        return torch.cat([branch(bev) for branch, bev in zip(self.branches, maps, strict=True)], 1)


def _resize(inputs: int, outputs: int, own: int, wanted: int) -> nn.Module:
    if own % wanted == 0 and own > wanted:
        return nn.ConvTranspose2d(inputs, outputs, own // wanted, own // wanted, bias=False)
    if wanted % own == 0:
        return nn.Conv2d(inputs, outputs, wanted // own, wanted // own, bias=False)
    raise ValueError(f"a map at stride {own} cannot be brought to stride {wanted}")
