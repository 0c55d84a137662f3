"""Fine-tuning with few labels: 3D detection or BEV map segmentation."""

from dataclasses import replace

from torch import Tensor, nn

from pipeline.frames.batch import FrameBatch
from pipeline.frames.dataset import FrameLoader
from pipeline.networks.heads.map import MapHead
from pipeline.networks.model import BevModel
from pipeline.networks.transfer import freeze
from pipeline.objectives.detection import detection_loss
from pipeline.objectives.map_segmentation import map_loss
from pipeline.params import Frames, Networks, Runtime
from pipeline.training.compilation import compile_dense
from pipeline.training.fabric import open_fabric
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
    *,
    pretrained_lr: float = 1.0,
) -> tuple[dict[str, Tensor], History, dict[str, int | list[str]]]:
    """Trains one cell of the matrix.

    Args:
        loader: gives augmented frames with what the task needs: boxes or map masks, and images for LC.
        run: the run.
        start_weights: `lidar.*` and `camera.*` of pre-trained branches, or `timm.*` of an image backbone; a branch that
            is absent starts at random.
        modality: L or LC.
        task: detection or map.
        pretrained_lr: factor on the learning rate of the tensors that start weights were given for; 0 freezes them. A
            model from scratch has none, and trains all of its parameters at the full rate.

    Returns:
        Weights of the whole model, the losses, and how many tensors the start weights matched, missed, ….

    Raises:
        UserError: a given branch does not fit the network completely (names the tensors), or the start weights of the
            image backbone are of another one.
    """
    fabric = open_fabric(runtime, run.schedule.precision, run.seed)
    model = BevModel(networks, frames, modality, task)
    transfer = model.load_start(start_weights)
    model.to(fabric.device)
    if pretrained_lr == 0:
        freeze(model, set(transfer.matched))
    run = replace(run, lr_factors=dict.fromkeys(transfer.matched, pretrained_lr))
    compile_dense(model, runtime, fabric.device)

    def load(step: Step) -> FrameBatch:
        return loader.load(step.positions, step.epoch, run.seed, device=fabric.device)

    def losses(network: nn.Module, _: Step, batch: FrameBatch) -> dict[str, Tensor]:
        outputs = network(batch)
        if isinstance(model.head, MapHead):
            assert isinstance(outputs, Tensor)
            assert batch.map_masks is not None
            return {"loss": map_loss(outputs, batch.map_masks)["loss"]}
        assert isinstance(outputs, dict)
        assert batch.boxes is not None
        assert batch.classes is not None
        return detection_loss(outputs, model.head.targets(batch.boxes, batch.classes))

    history = fit(fabric, model, load, losses, run, runtime)
    return model.state_dict(), history, transfer.record()
