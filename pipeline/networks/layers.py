"""The few building blocks every convolutional part shares."""

import math

import torch
from torch import Tensor, nn

# eps is upstream's (BEVFusion, second.pytorch). Its momentum of 0.01 needs thousands of steps until the running
# statistics mean anything; with schedules of a few hundred steps 0.1 is right, and with long ones it does no harm.
NORM_EPS = 1e-3
NORM_MOMENTUM = 0.1


def norm_2d(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation of [B, channels, H, W] with this project's eps and momentum."""
    return nn.BatchNorm2d(channels, eps=NORM_EPS, momentum=NORM_MOMENTUM)


def conv_block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU: [B, inputs, H, W] to [B, outputs, ceil(H / stride), ceil(W / stride)].

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: odd side of the kernel; zero padding keeps the size.
        stride: step of the kernel.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        norm_2d(outputs),
        nn.ReLU(inplace=True),
    )


def used_zero(module: nn.Module) -> Tensor:
    """A zero that depends on every parameter: added to the result of an empty batch, none of them lacks a gradient."""
    return torch.stack([parameter.sum() for parameter in module.parameters()]).sum() * 0


def to_channels_last(module: nn.Module) -> None:
    """Lays convolution weights out channels-last, in place; on CPU the convolutions are then the faster ones."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def start_at_prior(layer: nn.Conv2d | nn.Linear, prior: float) -> None:
    """Sets the bias of an output layer so that its scores start at `prior` (focal loss, arXiv 1708.02002, 3.3)."""
    assert layer.bias is not None
    nn.init.constant_(layer.bias, math.log(prior / (1 - prior)))
