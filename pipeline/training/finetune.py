"""Fine-tuning with few labels: 3D detection or BEV map segmentation, all parameters train."""

from torch import Tensor

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.objectives.detection import detection_loss
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params import Frames, Networks, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.device import place
from pipeline.training.history import History
from pipeline.training.loop import Run, Step, fit


def finetune(
    loader: FrameLoader,
    run: Run,
    start_weights: dict[str, Tensor],
    networks: Networks,
    frames: Frames,
    modality: str,
    task: str,
    runtime: Runtime,
) -> tuple[dict[str, Tensor], History, dict[str, int | list[str]]]:
    """Trains one cell of the matrix.

    Args:
        loader: gives augmented frames with what the task needs: boxes or map masks, and images for LC.
        run: the run.
        start_weights: `lidar.*` and `camera.*` of pre-trained branches, or `timm.*` of an image backbone; a branch that
            is absent starts at random.
        modality: L or LC.
        task: detection or map.

    Returns:
        Weights of the whole model, the losses, and how many tensors the start weights matched, missed, ….

    Raises:
        UserError: a given branch does not fit the network completely (names the tensors), or the start weights of the
            image backbone are of another one.
    """
    device = place(runtime, run.seed)
    model = BevModel(networks, frames, modality, task)
    transfer = model.load_start(start_weights)
    model.to(device)
    compile_dense(model, runtime, device)

    def load(step: Step) -> FrameBatch:
        return loader.load(step.positions, step.epoch, run.seed, device=device)

    def losses(_: Step, batch: FrameBatch) -> dict[str, Tensor]:
        outputs = model(batch)
        if isinstance(model.head, MapHead):
            assert isinstance(outputs, Tensor)
            assert batch.map_masks is not None
            return {"loss": map_loss(outputs, batch.map_masks)["loss"]}
        assert isinstance(outputs, dict)
        assert batch.boxes is not None
        assert batch.classes is not None
        return detection_loss(outputs, model.head.targets(batch.boxes, batch.classes))

    history = fit(model, load, losses, run, runtime)
    return model.state_dict(), history, transfer.record()
