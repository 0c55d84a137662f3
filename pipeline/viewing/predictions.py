"""What an arm detects in single frames: as `evaluate` wrote it, or by the fine-tuned model where it wrote nothing."""

from collections.abc import Sequence
from pathlib import Path

import orjson

from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes, read_submission
from pipeline.evaluation.record import SUBMISSION, name_cell
from pipeline.frames.disturbance import Disturbance
from pipeline.frames.index import FrameIndex
from pipeline.params import Params

RESULTS, FINETUNED = Path("data/results"), Path("data/checkpoints/finetune")


def choose_arm(params: Params, arm: str | None) -> str | None:
    """`arm`, or without one the last arm of the params whose detector is here; None where there is none.

    Raises:
        UserError: there is no such arm.
    """
    if arm is None:
        here = [name for name in params.finetune.arms if _finetuned(params, name) or _submission(params, name)]
        return here[-1] if here else None
    if arm not in params.finetune.arms:
        raise UserError(
            f"there is no arm {arm!r}",
            where="command line: --arm",
            remedy=f"choose one of {', '.join(params.finetune.arms)}",
        )
    return arm


def cell_of(params: Params) -> str | None:
    """The cell that is shown: the largest fraction of the labels, the first seed. None without a detection trial."""
    fractions = params.finetune.fractions("detection")
    return name_cell("detection", max(fractions), params.finetune.seeds[0]) if fractions else None


def predict(
    params: Params, arm: str, index: FrameIndex, positions: Sequence[int], disturbance: Disturbance | None = None
) -> dict[str, ScoredBoxes]:
    """The boxes that an arm predicts, in the LiDAR frame.

    Args:
        params: of the project.
        arm: whose detector, see `cell_of`.
        index: the frames.
        positions: which of them.
        disturbance: what the frames go through; submissions are of clean frames, so the model is run then.

    Returns:
        Sample token -> boxes. Without the frames that are in no submission, where there is no model either.

    Raises:
        UserError: the submission, the checkpoint or a sensor file is damaged, or the params fit no such model.
    """
    found: dict[str, ScoredBoxes] = {}
    if disturbance is None and (path := _submission(params, arm)):
        try:
            submission = orjson.loads(path.read_bytes())
            frames = [index[position] for position in positions]
            found = {f.token: read_submission(submission, f) for f in frames if f.token in submission["results"]}
        except (ValueError, KeyError, TypeError) as error:
            problem = f"the submission cannot be read: {error}"
            raise UserError(problem, where=str(path), remedy=f"run `dvc repro evaluate@{arm}`") from error
    rest = [position for position in positions if index[position].token not in found]
    if rest and (checkpoint := _finetuned(params, arm)):
        found |= _run(params, arm, checkpoint, index, rest, disturbance)
    return found


def _run(
    params: Params, arm: str, checkpoint: Path, index: FrameIndex, positions: list[int], disturbance: Disturbance | None
) -> dict[str, ScoredBoxes]:
    import torch

    from pipeline.evaluation.predict import decode_boxes, open_model
    from pipeline.frames.dataset import FrameLoader
    from pipeline.params import load_runtime
    from pipeline.training.device import place

    modality = params.arms[arm].modality
    device = place(load_runtime(), seed=0)
    model = open_model(checkpoint, params.networks, params.frames, modality, "detection", device)
    images = modality == "LC"
    loader = FrameLoader(index, params.frames, params.networks.grid, images=images, disturbance=disturbance)
    found: dict[str, ScoredBoxes] = {}
    with torch.inference_mode():
        for position in positions:
            frames = loader.load([position]).to(device)
            found |= decode_boxes(model, model(frames), frames)
    return found


def _submission(params: Params, arm: str) -> Path | None:
    path = RESULTS / arm / (cell_of(params) or "none") / SUBMISSION
    return path if path.is_file() else None


def _finetuned(params: Params, arm: str) -> Path | None:
    path = FINETUNED / arm / (cell_of(params) or "none")
    return path if path.is_dir() else None
