"""Projected gradient descent (Madry et al., arXiv 1706.06083): the strongest first-order attack that knows the model.

It climbs the training loss from a random place within the budget. Every frame is attacked for itself and keeps its best
place, so that the frames that share a batch change nothing (but last bits of sums).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.frames.augmentation import generator
from pipeline.frames.batch import FrameBatch
from pipeline.frames.images import DEVIATION, MEAN
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.objectives.detection import detection_loss
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params.attacks import Pgd

Loss = Callable[[BevModel, FrameBatch], Tensor]

TINY = 1e-30  # keeps a step along no gradient a step of zero


@dataclass(frozen=True)
class Attacked:
    """A batch after an attack.

    Attributes:
        batch: with what was changed.
        clean: float32 [B], loss of each frame without the attack.
        path: float32 [steps + 1, B], loss at the random start and after each step.
        reached: float32 [B], loss of `batch`, the highest of the path.
    """

    batch: FrameBatch
    clean: Tensor
    path: Tensor
    reached: Tensor


def task_losses(model: BevModel, batch: FrameBatch) -> Tensor:
    """The fine-tuning loss of each frame alone, float32 [B]; the batch holds boxes or map masks as the head wants."""
    outputs = model(batch)
    if isinstance(model.head, MapHead):
        assert isinstance(outputs, Tensor)
        assert batch.map_masks is not None
        losses = [map_loss(outputs[b : b + 1], batch.map_masks[b : b + 1])["loss"] for b in range(len(batch))]
    else:
        assert isinstance(outputs, dict)
        assert batch.boxes is not None
        assert batch.classes is not None
        losses = []
        for b in range(len(batch)):
            targets = model.head.targets(batch.boxes[b : b + 1], batch.classes[b : b + 1])
            own = {name: output[b : b + 1] for name, output in outputs.items()}
            losses.append(detection_loss(own, targets)["loss"])
    return torch.stack(losses)


def attack_points(model: BevModel, batch: FrameBatch, loss: Loss, pgd: Pgd, budget: float, seed: int) -> Attacked:
    """Moves every LiDAR point by at most `budget`, in any direction.

    A step goes `pgd.step * budget` along each point's own normalised gradient, the steepest ascent within balls about
    the points; a point outside its ball is pulled back to the surface. In which cell a point lies has no gradient: it
    flows through the features of the points of a cell. A point that leaves the grid is lost to the encoder, and stays.

    Args:
        model: in evaluation mode; its parameters gather no gradient.
        batch: frames with what `loss` needs.
        loss: of each frame, e.g. `task_losses`.
        pgd: steps.
        budget: metres, Euclidean.
        seed: of the random start, uniform in the balls, together with each frame's token.

    Returns:
        The attacked batch; intensities and time lags are untouched.
    """
    place = batch.points[:, :3]
    counts = (batch.offsets[1:] - batch.offsets[:-1]).tolist()
    start = [
        _in_ball(generator(seed, 0, token, "pgd/points"), count) * budget
        for token, count in zip(batch.tokens, counts, strict=True)
    ]
    offset = torch.from_numpy(np.concatenate(start)).to(place)

    def moved(change: Tensor) -> FrameBatch:
        return replace(batch, points=torch.cat([place + change, batch.points[:, 3:]], 1))

    def ascend(change: Tensor, gradient: Tensor) -> Tensor:
        longer = change + pgd.step * budget * torch.nn.functional.normalize(gradient, dim=1, eps=TINY)
        return torch.renorm(longer, 2, 0, budget)

    def choose(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return torch.where(better[batch.frame_of_point, None], new, old)

    return _climb(model, batch, loss, pgd.steps, offset, moved, ascend, choose)


def attack_images(model: BevModel, batch: FrameBatch, loss: Loss, pgd: Pgd, budget: int, seed: int) -> Attacked:
    """Changes every colour of every pixel of the network's input images by at most `budget` of 255.

    A step adds or subtracts `pgd.step * budget` (rounded, at least 1) by the sign of the gradient. Pixels stay whole
    numbers from 0 to 255, so that a camera could have delivered them. Absent cameras stay absent.

    Args:
        model: of modality LC, in evaluation mode.
        batch: as for `attack_points`, with images.
        loss: of each frame.
        pgd: steps.
        budget: whole units of 0..255.
        seed: of the random start, uniform over the whole numbers of the budget.

    Returns:
        The attacked batch.

    Raises:
        ValueError: the batch has no images.
    """
    if batch.images is None or batch.camera_present is None:
        raise ValueError("there is no image to attack")
    images, present = batch.images, batch.camera_present[..., None, None, None]
    mean, deviation = (torch.from_numpy(part.reshape(3, 1, 1)).to(images) for part in (MEAN, DEVIATION))
    pixels = ((images * deviation + mean) * 255).round_()
    step = max(1, round(pgd.step * budget))
    start = [
        generator(seed, 0, token, "pgd/images").integers(-budget, budget + 1, images.shape[1:], np.int16)
        for token in batch.tokens
    ]

    def within(change: Tensor) -> Tensor:
        return (pixels + change.clamp(-budget, budget)).clamp(0, 255) - pixels

    def shown(change: Tensor) -> FrameBatch:
        return replace(batch, images=torch.where(present, ((pixels + change) / 255 - mean) / deviation, images))

    def ascend(change: Tensor, gradient: Tensor) -> Tensor:
        return within(change + step * gradient.sign())

    def choose(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
        return torch.where(better[:, None, None, None, None], new, old)

    offset = within(torch.from_numpy(np.stack(start)).to(images))
    return _climb(model, batch, loss, pgd.steps, offset, shown, ascend, choose)


def _climb(
    model: BevModel,
    batch: FrameBatch,
    loss: Loss,
    steps: int,
    change: Tensor,
    apply: Callable[[Tensor], FrameBatch],
    ascend: Callable[[Tensor, Tensor], Tensor],
    choose: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Attacked:
    """Gradient steps from `change` on; each frame keeps the change of its highest loss."""
    if model.training:
        raise ValueError("an attack wants a model in evaluation mode: batch statistics would mix frames")
    with torch.no_grad():
        clean = loss(model, batch)
    best, reached, path = change, torch.full_like(clean, -torch.inf), []
    for step in range(steps + 1):
        with torch.set_grad_enabled(step < steps):
            losses = loss(model, apply(change.requires_grad_(step < steps)))
        here, change = change, change.detach()
        path.append(losses.detach())
        best, reached = choose(path[-1] > reached, change, best), torch.maximum(reached, path[-1])
        if step < steps:
            (gradient,) = torch.autograd.grad(losses.sum(), here)
            change = ascend(change, gradient)
    return Attacked(apply(best), clean, torch.stack(path), reached)


def _in_ball(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Points uniform in the unit ball, float32 [count, 3]."""
    way = rng.normal(size=(count, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    return np.asarray(way * np.cbrt(rng.random((count, 1))), np.float32)
