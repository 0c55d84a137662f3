"""Runs fine-tuned models over validation frames."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts.checkpoint import load_weights
from pipeline.engine import progress_bar
from pipeline.errors import UserError
from pipeline.evaluation.detection import ScoredBoxes
from pipeline.evaluation.map_segmentation import HALF, MapCounts, MapPictures, count_cells
from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.params import Frames, Networks


def open_model(
    checkpoint: Path, networks: Networks, frames: Frames, modality: str, task: str, device: torch.device
) -> BevModel:
    """A fine-tuned model on `device`, in evaluation mode.

    Raises:
        UserError: the checkpoint is missing, damaged, or of a network of another shape.
    """
    shape = cast(Literal["L", "LC"], modality), cast(Literal["detection", "map"], task)  # BevModel refuses others
    model = BevModel(networks, frames, *shape)
    try:
        model.load_state_dict(load_weights(checkpoint))
    except RuntimeError as error:
        raise UserError(
            f"the weights do not fit the network: {str(error)[:400]}",
            where=str(checkpoint),
            remedy="params.yaml changed after the fine-tuning: run `dvc repro`",
        ) from error
    return model.to(device).eval()


def predict_boxes(
    models: Mapping[str, BevModel],
    loader: FrameLoader,
    positions: Sequence[int],
    batch: int,
    device: torch.device,
    *,
    title: str = "predict",
) -> dict[str, dict[str, ScoredBoxes]]:
    """Boxes of every model on every frame.

    Args:
        models: cell -> detection model in evaluation mode, on `device`. The frames are loaded once for all of them.
        loader: gives the frames, without augmentation.
        positions: of the frames in the index.
        batch: frames at a time.
        device: where the models are.
        title: shown before the progress bar.

    Returns:
        cell -> sample token -> boxes in the LiDAR frame.
    """
    predictions: dict[str, dict[str, ScoredBoxes]] = {cell: {} for cell in models}
    for cell, frames, outputs in _run(models, loader, positions, batch, device, title):
        predictions[cell] |= decode_boxes(models[cell], outputs, frames)
    return predictions


def decode_boxes(model: BevModel, outputs: Any, frames: FrameBatch) -> dict[str, ScoredBoxes]:
    """Sample token -> boxes in the BEV frame of the batch, from the outputs of a detection model."""
    if isinstance(model.head, MapHead):
        raise ValueError("a map model gives no boxes")
    return {
        token: ScoredBoxes(
            found.boxes.float().cpu().numpy(), found.classes.cpu().numpy(), found.scores.float().cpu().numpy()
        )
        for token, found in zip(frames.tokens, model.head.decode(outputs), strict=True)
    }


def count_maps(
    models: Mapping[str, BevModel],
    loader: FrameLoader,
    positions: Sequence[int],
    batch: int,
    device: torch.device,
    *,
    thresholds: Sequence[float],
    keep: Sequence[str],
    title: str = "predict",
) -> dict[str, tuple[dict[str, MapCounts], MapPictures]]:
    """Map segmentation counted scene by scene, so that memory does not grow with the number of frames.

    Args:
        models: cell -> map model; see `predict_boxes` for what is not told here.
        thresholds: probabilities from which a cell counts as predicted.
        keep: sample tokens whose maps are kept for figures.
        title: shown before the progress bar.

    Returns:
        cell -> (scene name -> counts over its frames, maps of the kept frames).
    """
    scene_of = scenes_by_token(loader, positions)
    counts: dict[str, dict[str, MapCounts]] = {cell: {} for cell in models}
    kept: dict[str, dict[str, tuple[Any, Any]]] = {cell: {} for cell in models}
    for cell, frames, outputs in _run(models, loader, positions, batch, device, title):
        probabilities, truth = count_frames(counts[cell], scene_of, outputs, frames, thresholds)
        for row, token in enumerate(frames.tokens):
            if token in keep:
                kept[cell][token] = probabilities[row] >= HALF, truth[row]
    return {cell: (counts[cell], MapPictures.of(kept[cell])) for cell in models}


def count_frames(
    counts: dict[str, MapCounts],
    scene_of: Mapping[str, str],
    outputs: Tensor,
    frames: FrameBatch,
    thresholds: Sequence[float],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Adds the cells of each frame to `counts` of its scene.

    Args:
        counts: scene name -> counts so far; a scene's first frame enters it.
        scene_of: sample token -> scene name.
        outputs: [B, C, S, S], logits of a map model.
        frames: with map masks.
        thresholds: probabilities from which a cell counts as predicted.

    Returns:
        Probabilities and truth, [B, C, S, S] each.
    """
    if frames.map_masks is None:
        raise ValueError("the loader gives no map masks")
    probabilities = torch.sigmoid(outputs.float()).cpu().numpy()
    truth = frames.map_masks.cpu().numpy() > HALF
    for row, token in enumerate(frames.tokens):
        counted, scene = count_cells(probabilities[[row]], truth[[row]], thresholds), scene_of[token]
        counts[scene] = counts[scene] + counted if scene in counts else counted
    return probabilities, truth


def scenes_by_token(loader: FrameLoader, positions: Sequence[int]) -> dict[str, str]:
    """Sample token -> scene name of the frames at `positions`."""
    tokens, names = loader.index.tokens, loader.index.scenes
    return {tokens[position]: names[position] for position in positions}


def _run(
    models: Mapping[str, BevModel],
    loader: FrameLoader,
    positions: Sequence[int],
    batch: int,
    device: torch.device,
    title: str,
) -> Iterator[tuple[str, FrameBatch, Any]]:
    """Yields (cell, frames, outputs); `loader` does not augment, so the BEV frame is the LiDAR frame."""
    starts = range(0, len(positions), batch)
    with progress_bar() as bar, torch.inference_mode():
        for start in bar.track(starts, description=title):
            frames = loader.load(list(positions[start : start + batch])).to(device)
            for cell, model in models.items():
                yield cell, frames, model(frames)
