"""Runs fine-tuned models over validation frames."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch

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
        head = models[cell].head
        if isinstance(head, MapHead):
            raise ValueError(f"{cell} is no detection model")
        for token, found in zip(frames.tokens, head.decode(outputs), strict=True):
            predictions[cell][token] = ScoredBoxes(
                found.boxes.float().cpu().numpy(), found.classes.cpu().numpy(), found.scores.float().cpu().numpy()
            )
    return predictions


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
    tokens, names = loader.index.tokens, loader.index.scenes
    scene_of = {tokens[position]: names[position] for position in positions}
    counts: dict[str, dict[str, MapCounts]] = {cell: {} for cell in models}
    kept: dict[str, dict[str, tuple[Any, Any]]] = {cell: {} for cell in models}
    for cell, frames, outputs in _run(models, loader, positions, batch, device, title):
        if frames.map_masks is None:
            raise ValueError("the loader gives no map masks")
        probabilities = torch.sigmoid(outputs.float()).cpu().numpy()
        truth = frames.map_masks.cpu().numpy() > HALF
        for row, token in enumerate(frames.tokens):
            counted = count_cells(probabilities[row : row + 1], truth[row : row + 1], thresholds)
            before = counts[cell].get(scene_of[token])
            counts[cell][scene_of[token]] = before + counted if before else counted
            if token in keep:
                kept[cell][token] = probabilities[row] >= HALF, truth[row]
    return {cell: (counts[cell], MapPictures.of(kept[cell])) for cell in models}


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
