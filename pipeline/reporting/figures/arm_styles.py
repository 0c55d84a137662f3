"""One colour and one mark for every arm, the same in all figures."""

from collections.abc import Sequence
from dataclasses import dataclass

# Okabe and Ito, "Color Universal Design" (2008): told apart with any kind of colour vision. Their yellow is left out,
# which is too faint on white.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "h")  # another length than that of the colours: pairs repeat late


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn: colour as #rrggbb, mark as matplotlib names it."""

    colour: str
    mark: str


def arm_styles(arms: Sequence[str]) -> dict[str, ArmStyle]:
    """The styles of arms by their place in the list; give the whole list of an experiment, not the arms of a figure."""
    return {arm: ArmStyle(COLOURS[k % len(COLOURS)], MARKS[k % len(MARKS)]) for k, arm in enumerate(arms)}
