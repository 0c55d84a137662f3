"""One colour and one mark for every arm, the same in all figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


def arm_legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """One legend below all panels, with every arm that any of them shows."""
    handles = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=min(len(handles), 6), fontsize=9,
        frameon=False,
    )  # fmt: skip
