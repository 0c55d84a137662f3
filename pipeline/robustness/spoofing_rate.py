"""How often spoofing succeeds, by the same rule with and without the attack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.detection import ScoredBoxes
from pipeline.params.attacks import Spoofing
from pipeline.robustness.bench import Bench, Scores
from pipeline.robustness.conditions import Condition
from pipeline.robustness.interval import wilson_interval
from pipeline.robustness.spoofing import Spoofed, SpoofedVehicle, is_spoofed


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


def try_spoofing(condition: Condition, bench: Bench, title: str) -> Scores:
    """Spoofs `condition.severity` points into every frame where they fit.

    The traces are those of the training split, and all models see the same attacks.

    Returns:
        cell -> scores over all frames; those of a detector hold `spoofing`, the record of its `SpoofingRate`.

    Raises:
        UserError: no trace has so many points.
    """
    params, own = bench.params, bench.params.stress.spoofing
    attacker = SpoofedVehicle(bench.traces, bench.labels, own, condition.severity, params.stress.seed)
    attacks = {token: attacker.attack(token) for token in (bench.index[at].token for at in bench.positions)}
    clean, spoofed = bench.clean_boxes, bench.detect(attacker, title)
    scores: Scores = {}
    for cell, boxes in spoofed.items():
        rate = spoofing_rate(condition.severity, attacks, clean[cell], boxes, own)
        scores[cell] = bench.score_boxes(boxes) | {"spoofing": rate.record() | {"traces": len(bench.traces)}}
    return scores | bench.score_maps(attacker, title)


def spoofing_rate(
    count: int,
    attacks: Mapping[str, Spoofed | None],
    clean: Mapping[str, ScoredBoxes],
    spoofed: Mapping[str, ScoredBoxes],
    spoofing: Spoofing,
) -> SpoofingRate:
    """Counts by the success rule.

    Args:
        count: points of each attack.
        attacks: sample token -> what is spoofed, None where the frame is left out.
        clean: sample token -> a model's boxes without attack.
        spoofed: likewise, under attack.
        spoofing: the rule.
    """
    places = {token: attack.box for token, attack in attacks.items() if attack is not None}
    before = {token for token, box in places.items() if is_spoofed(clean[token], box, spoofing)}
    fooled = {token for token, box in places.items() if is_spoofed(spoofed[token], box, spoofing)} - before
    return SpoofingRate(
        count=count,
        frames=len(attacks),
        left_out=len(attacks) - len(places),
        false_alarms=len(before),
        attacked=len(places) - len(before),
        fooled=len(fooled),
    )
