"""How often spoofing succeeds, by the same rule with and without the attack."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.predict import predict_boxes
from pipeline.frames.dataset import FrameLoader
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.frames.reader import LabelSource
from pipeline.networks.model import BevModel
from pipeline.params.attacks import Spoofing
from pipeline.robustness.spoofing import Spoofed, SpoofedVehicle, is_spoofed
from pipeline.robustness.traces import Trace

NORMAL_95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal distribution


@dataclass(frozen=True)
class SpoofingRate:
    """One model under the attacks of one count.

    Attributes:
        count: points spoofed a frame.
        frames: all that were looked at; the next three add up to it.
        left_out: frames where no trace with enough rays fits beside the annotated objects.
        false_alarms: frames where the model sees a vehicle there without any attack.
        attacked: the others.
        fooled: attacked frames where the model sees a vehicle there.
    """

    count: int
    frames: int
    left_out: int
    false_alarms: int
    attacked: int
    fooled: int

    def record(self) -> dict[str, Any]:
        """All of it as plain numbers, with `success_rate` = fooled / attacked, the ends of its 95 % Wilson interval,
        and `control_rate`, the share of the free places where the rule is fulfilled without an attack; None = 0 / 0."""
        low, high = wilson_interval(self.fooled, self.attacked)
        free = self.attacked + self.false_alarms
        return vars(self) | {
            "success_rate": self.fooled / self.attacked if self.attacked else None,
            "success_low": low,
            "success_high": high,
            "control_rate": self.false_alarms / free if free else None,
        }


def spoofing_rates(
    models: Mapping[str, BevModel],
    open_loader: Callable[[Disturbance | None], FrameLoader],
    index: FrameIndex,
    labels: LabelSource,
    positions: Sequence[int],
    traces: Sequence[Trace],
    spoofing: Spoofing,
    *,
    seed: int,
    batch: int,
    device: torch.device,
) -> dict[str, list[SpoofingRate]]:
    """Attacks every frame once per count; all models see the same attacks.

    Args:
        models: cell -> detection model in evaluation mode, on `device`.
        open_loader: gives the frames under a disturbance, without augmentation.
        index: the frames.
        labels: their boxes.
        positions: validation frames.
        traces: of `collect_traces`, from training frames.
        spoofing: counts and success rule.
        seed: of the choice of traces and places.
        batch: frames at a time.
        device: where the models are.

    Returns:
        cell -> one entry per count, in the order of `spoofing.counts`.

    Raises:
        UserError: no trace has as many points as a count.
    """
    attackers = [SpoofedVehicle(traces, labels, spoofing, count, seed) for count in spoofing.counts]
    tokens = [index[position].token for position in positions]
    clean = predict_boxes(models, open_loader(None), positions, batch, device)
    rates: dict[str, list[SpoofingRate]] = {cell: [] for cell in models}
    for count, attacker in zip(spoofing.counts, attackers, strict=True):
        tries = {token: attacker.attack(token) for token in tokens}
        free = {token: spoofed for token, spoofed in tries.items() if spoofed is not None}
        wanted = [position for position, token in zip(positions, tokens, strict=True) if token in free]
        attacked = predict_boxes(models, open_loader(attacker), wanted, batch, device)
        for cell in models:
            before = fooled_frames(clean[cell], free, spoofing)
            after = fooled_frames(attacked[cell], free, spoofing) - before
            rates[cell].append(
                SpoofingRate(
                    count=count,
                    frames=len(tokens),
                    left_out=len(tokens) - len(free),
                    false_alarms=len(before),
                    attacked=len(free) - len(before),
                    fooled=len(after),
                )
            )
    return rates


def fooled_frames(found: Mapping[str, ScoredBoxes], attacks: Mapping[str, Spoofed], spoofing: Spoofing) -> set[str]:
    """Tokens of the frames where a model sees the vehicle of `attacks`."""
    return {token for token, spoofed in attacks.items() if is_spoofed(found[token], spoofed.box, spoofing)}


def wilson_interval(successes: int, trials: int) -> tuple[float | None, float | None]:
    """95 % interval of a binomial share (Wilson, JASA 1927, 22: 209-212); None, None without a trial."""
    if trials == 0:
        return None, None
    share, square = successes / trials, NORMAL_95**2
    middle = share + square / (2 * trials)
    spread = NORMAL_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    scale = 1 + square / trials
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
