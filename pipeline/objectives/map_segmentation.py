"""BEV map segmentation loss, and the focal loss that it shares with TransFusion."""

import torch
from torch import Tensor
from torch.nn import functional


def sigmoid_focal_loss(logits: Tensor, masks: Tensor, gamma: float = 2.0, alpha: float | None = None) -> Tensor:
    """Focal loss, per element (Lin et al., arXiv 1708.02002).

    Args:
        logits: float, any shape.
        masks: 0 or 1, same shape.
        gamma: focusing exponent.
        alpha: weight of the ones, 1 - alpha that of the zeros; by default both 1 (BEVFusion's map head).

    Returns:
        float32, same shape.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits.float(), masks.float(), reduction="none")
    # exp(-cross entropy) is the probability given to the true label; its complement never loses digits as 1 - exp.
    loss = (-torch.expm1(-cross_entropy)) ** gamma * cross_entropy
    return loss if alpha is None else loss * torch.where(masks > 0, alpha, 1 - alpha)


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
