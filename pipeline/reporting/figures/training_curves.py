"""How the trainings went: losses of the pre-trainings and of the fine-tunings over their steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.errors import UserError
from pipeline.reporting.figures.arm_styles import ArmStyle, arm_legend
from pipeline.reporting.figures.picture import Picture, save_picture
from pipeline.reporting.methods import method_name

HISTORY = "history.csv"
SPHERE = ("alignment", "uniformity")  # where the embeddings lie, watched beside the losses
BESIDE = ("step", "lr", "gradient_norm", *SPHERE)  # columns that are no loss
WINDOW = 20  # a curve is smoothed over this part of its steps
MOST_COLUMNS = 3

Cells = Mapping[str, Mapping[str, Sequence[Path]]]  # trial -> arm -> checkpoints of its seeds


def draw_pretrainings(folders: Sequence[Path], out: Path) -> list[Picture]:
    """The picture of `plot_pretrainings` in `out`; none without a pre-training."""
    caption = f"Pre-training over its steps: pale every step, strong the mean of the last 1/{WINDOW} of them."
    return [save_picture(plot_pretrainings(folders), out, "pretraining", caption)] if folders else []


def plot_pretrainings(folders: Sequence[Path]) -> Figure:
    """A row per pre-training: its losses, and alignment and uniformity of its embeddings.

    Args:
        folders: of the pre-trainings, at least one.

    Raises:
        UserError: a history cannot be read.
    """
    figure = Figure(figsize=(9, 2.7 * len(folders)), layout="constrained")
    for (losses, sphere), folder in zip(figure.subplots(len(folders), 2, squeeze=False), folders, strict=True):
        history, name = read_history(folder), method_name(folder)
        _draw_terms(losses, history, [column for column in history.columns if column not in BESIDE])
        _draw_terms(sphere, history, [column for column in SPHERE if column in history])
        losses.set_title(f"{name}: losses", fontsize=9)
        sphere.set_title(f"{name}: embeddings", fontsize=9)
        if not sphere.lines:  # maps were compared, no embeddings
            sphere.remove()
    return figure


def draw_finetunings(cells: Cells, styles: Mapping[str, ArmStyle], out: Path) -> list[Picture]:
    """The picture of `plot_finetunings` in `out`; none where nothing was trained."""
    figure = plot_finetunings(cells, styles)
    caption = (
        f"Loss of fine-tuning, mean over seeds and over the last 1/{WINDOW} of the steps, by task and label share."
    )
    return [save_picture(figure, out, "finetuning", caption)] if figure else []


def plot_finetunings(cells: Cells, styles: Mapping[str, ArmStyle]) -> Figure | None:
    """A panel per trial with the loss of every arm, mean over seeds; None where nothing was trained.

    Args:
        cells: trial -> arm -> the checkpoints of its seeds; those that are not there are left out.
        styles: of every arm.

    Raises:
        UserError: a history cannot be read.
    """
    curves = {trial: {arm: _mean_loss(folders) for arm, folders in arms.items()} for trial, arms in cells.items()}
    shown = {trial: own for trial, arms in curves.items() if (own := {a: c for a, c in arms.items() if c is not None})}
    if not shown:
        return None
    rows = -(-len(shown) // MOST_COLUMNS)
    columns = -(-len(shown) // rows)
    figure = Figure(figsize=(3.7 * columns, 2.9 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (trial, arms) in zip(panels, shown.items(), strict=False):
        for arm, curve in arms.items():
            panel.plot(curve.index, curve, color=styles[arm].colour, linewidth=1.3, label=arm)
        _finish(panel, trial)
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    arm_legend(figure, panels)
    return figure


def read_history(folder: Path) -> pd.DataFrame:
    """The numbers of every step of a training, in the order of the file.

    Raises:
        UserError: the file is missing or not a table of numbers.
    """
    path = folder / HISTORY
    try:
        history = pd.read_csv(path, dtype=float)
        if "step" not in history or history.empty:
            raise ValueError("no steps")
    except (OSError, ValueError) as error:
        raise UserError(f"a history cannot be read: {error}", where=str(path), remedy="run `dvc repro`") from error
    return history


def smooth(values: "pd.Series[float]") -> "pd.Series[float]":
    """The mean over the last steps at each step, over one `WINDOW`-th of all; over those there are at the start."""
    return values.rolling(max(1, len(values) // WINDOW), min_periods=1).mean()


def _mean_loss(folders: Sequence[Path]) -> "pd.Series[float] | None":
    """Smoothed loss by step, mean over the checkpoints that are there; None where none is."""
    found = [read_history(folder).set_index("step")["loss"] for folder in folders if (folder / HISTORY).exists()]
    return smooth(pd.concat(found, axis=1).mean(axis=1)) if found else None


def _draw_terms(panel: Axes, history: pd.DataFrame, terms: Sequence[str]) -> None:
    for number, term in enumerate(terms):
        panel.plot(history["step"], history[term], color=f"C{number}", linewidth=0.8, alpha=0.3)
        panel.plot(history["step"], smooth(history[term]), color=f"C{number}", linewidth=1.5, label=term)
    _finish(panel, "")
    if terms:
        panel.legend(fontsize=8)


def _finish(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("step", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(color="#e3e6ea", linewidth=0.8)
    panel.set_axisbelow(True)
