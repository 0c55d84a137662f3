"""`python -m tests.training.constant_norms`: PRC whose batch norms keep running statistics, but normalise by constants.

What a frame becomes then does not depend on the frames beside it in a forward pass, as it does with the batch
statistics of a CPU's process. So devices that share a pass can be held against one that does all of it.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.networks.layers import NORM_EPS
from pipeline.networks.pillars import PointLayer
from stages import pretrain_lidar

own, own_affine = _BatchNorm.forward, PointLayer.affine


def by_constants(norm: nn.Module, features: Tensor) -> Tensor:
    assert isinstance(norm, _BatchNorm) and norm.running_mean is not None
    own(norm, features.detach())  # for the running statistics
    zero = norm.running_mean.new_zeros(norm.num_features)
    return batch_norm(features, zero, zero + 1, norm.weight, norm.bias, training=False, eps=norm.eps)


def affine_by_constants(layer: PointLayer, *arguments: Any) -> tuple[Tensor, Tensor]:
    own_affine(layer, *arguments)
    return layer.norm.weight / (1 + NORM_EPS) ** 0.5, layer.norm.bias


if __name__ == "__main__":
    _BatchNorm.forward = by_constants  # type: ignore[method-assign,assignment]
    PointLayer.affine = affine_by_constants  # type: ignore[method-assign,assignment]
    pretrain_lidar.main("prc")
