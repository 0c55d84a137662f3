"""From a finished training run to a published checkpoint."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.artifacts.card import dump_json, write_card
from pipeline.artifacts.checkpoint import SNAPSHOTS, save_weights
from pipeline.artifacts.publish import publish, write_file
from pipeline.training.disk import told_when_full
from pipeline.training.history import History
from pipeline.training.launch import rank
from pipeline.training.scratch import FINISHED


def publish_checkpoint(
    final: Path,
    weights: dict[str, Tensor],
    history: History,
    scratch: Path,
    *,
    stage: str,
    params: Mapping[str, Any],
    inputs: Iterable[Path],
    seed: int,
    device: str,
    labelled: Iterable[str] = (),
    outside_labels: Iterable[str] = (),
    details: Mapping[str, Any] | None = None,
    ahead: bool = False,
) -> None:
    """Publishes weights, snapshots, history.csv, metrics.json and card.json as `final`; removes the scratch folder.

    Of the processes of a training the first one does, the others have nothing to do. A training `ahead` of its stage
    leaves all of it in the scratch folder, for `scratch.publish_finished`.

    Raises:
        UserError: there is no room; the finished state stays in the scratch folder.
    """
    if rank() != 0:
        return
    if ahead:
        final = scratch / FINISHED
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    with told_when_full(final, "nothing was published, the finished training is whole"), publish(final) as draft:
        save_weights(draft, weights)
        if (scratch / SNAPSHOTS).is_dir():
            shutil.copytree(scratch / SNAPSHOTS, draft / SNAPSHOTS)
        history.write(draft / "history.csv")
        write_file(draft / "metrics.json", dump_json(history.summary()))
        write_card(
            draft,
            kind="checkpoint",
            stage=stage,
            params=params,
            inputs=inputs,
            seeds=[seed],
            labelled=labelled,
            outside_labels=outside_labels,
            metrics=history.summary(),
            details={"steps": len(history.rows), "shapes": shapes, **(details or {})},
            device=device,
        )
    if not ahead:
        shutil.rmtree(scratch, ignore_errors=True)
