"""Curves of trainings: the mean over seeds, smoothed, of what the histories hold."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.reporting.figures.arm_styles import arm_styles
from pipeline.reporting.figures.training_curves import (
    WINDOW,
    draw_finetunings,
    draw_pretrainings,
    plot_finetunings,
    plot_pretrainings,
    read_history,
)
from pipeline.training.history import History

STEPS = 3 * WINDOW


def write_history(folder: Path, slope: float, *more: str) -> Path:
    folder.mkdir(parents=True)
    rows = [
        {"loss": slope * step, **dict.fromkeys(more, 1.0), "lr": 0.1, "gradient_norm": 1.0} for step in range(STEPS)
    ]
    History(rows).write(folder / "history.csv")
    return folder


def test_pretraining_shows_losses_apart_from_what_is_watched(tmp_path: Path) -> None:
    folders = [
        write_history(tmp_path / "pretrain_lidar/prc", 1.0, "plrc", "rapc", "alignment", "uniformity"),
        write_history(tmp_path / "distill_camera/bev_distill", 2.0),
    ]
    figure = plot_pretrainings(folders)
    shown = {panel.get_title(): set(panel.get_legend_handles_labels()[1]) for panel in figure.axes}
    assert shown == {
        "pretrain_lidar/prc: losses": {"loss", "plrc", "rapc"},
        "pretrain_lidar/prc: embeddings": {"alignment", "uniformity"},
        "distill_camera/bev_distill: losses": {"loss"},
    }
    raw, smoothed = (np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines[:2])
    assert raw == pytest.approx(np.arange(STEPS))
    assert smoothed[:3] == pytest.approx([0, 0.5, 1])
    assert smoothed[3:] == pytest.approx(np.arange(3, STEPS) - 1)  # the mean of three steps
    first, again = (draw_pretrainings(folders, tmp_path / name) for name in "ab")
    assert first == again and len(first) == 1
    assert draw_pretrainings([], tmp_path) == []


def test_finetuning_is_the_mean_over_the_seeds_that_are_there(tmp_path: Path) -> None:
    for arm, slopes in {"scratch-L": (1.0, 3.0), "calico": (4.0,)}.items():
        for seed, slope in enumerate(slopes):
            write_history(tmp_path / arm / f"detection-0.1-{seed}", slope)
    arms = ["scratch-L", "calico"]
    cells = {
        trial: {arm: [tmp_path / arm / f"{trial}-{seed}" for seed in range(2)] for arm in arms}
        for trial in ("detection-0.1", "map-1.0")
    }
    figure = plot_finetunings(cells, arm_styles(arms))
    assert figure is not None
    (panel,) = figure.axes  # nothing was trained for map-1.0
    assert panel.get_title() == "detection-0.1"
    ends = {line.get_label(): np.asarray(line.get_ydata(), float)[-1] for line in panel.lines}
    assert ends == pytest.approx({"scratch-L": 2.0 * (STEPS - 2), "calico": 4.0 * (STEPS - 2)})
    (picture,) = draw_finetunings(cells, arm_styles(arms), tmp_path)
    assert (tmp_path / f"{picture.name}.svg").stat().st_size > 5000
    assert draw_finetunings({"map-1.0": cells["map-1.0"]}, arm_styles(arms), tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"loss\n1\n", b"step,loss\n0,much\n", b"step,loss\n"])
def test_a_broken_history_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(UserError, match="history cannot be read"):
        read_history(tmp_path)
