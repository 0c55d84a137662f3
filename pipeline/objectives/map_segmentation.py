"""BEV map segmentation loss."""

import torch
from torch import Tensor
from torch.nn import functional


def sigmoid_focal_loss(logits: Tensor, masks: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss without class weighting, per element (Lin et al., arXiv 1708.02002; BEVFusion uses alpha = none).

    Args:
        logits: float, any shape.
        masks: 0 or 1, same shape.
        gamma: focusing exponent.

    Returns:
        float32, same shape.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits.float(), masks.float(), reduction="none")
    # exp(-cross entropy) is the probability given to the true label; its complement never loses digits as 1 - exp.
    return (-torch.expm1(-cross_entropy)) ** gamma * cross_entropy


def map_loss(logits: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Focal loss per map class.

    Args:
        logits: [B, classes, T, T].
        masks: float32 [B, classes, T, T], 0 or 1.

    Returns:
        `per_class` float32 [classes], means over cells and frames, and their sum `loss`, as in BEVFusion.
    """
    per_class = sigmoid_focal_loss(logits, masks).mean((0, 2, 3))
    return {"per_class": per_class, "loss": per_class.sum()}
