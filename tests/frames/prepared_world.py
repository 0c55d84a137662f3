"""Index, maps and labels of the small simulated world, as stage `prepare` writes them."""

from pathlib import Path

from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.map_drawing import build_maps
from pipeline.params import Prepare
from tests.frames.tiny_dataset import dataset_at


def prepare_world(world: Path, folder: Path, prepare: Prepare) -> tuple[FrameIndex, Labels]:
    """Writes both into `folder` and opens them."""
    out, labels = folder / "index", folder / "labels"
    out.mkdir()
    labels.mkdir()
    train, val = "embedded_train", "embedded_val"
    dataset = dataset_at(world, version="v1.0-embedded", pretrain_split=train, train_split=train, val_split=val)
    build_index(dataset, out)
    index = FrameIndex.open(out, world)
    assert build_maps(world, prepare.map_resolution, index, out)
    build_labels(dataset, prepare, index, labels)
    return index, Labels.open(labels)
