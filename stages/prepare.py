"""DVC stage: dataset tables -> data/index (frames and maps, no labels) and data/labels (boxes, label fractions)."""

from pathlib import Path

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import user_errors
from pipeline.frames.index import FrameIndex
from pipeline.frames.index_building import build_index
from pipeline.frames.label_lists import committed_lists
from pipeline.frames.labels import Labels, build_labels
from pipeline.frames.map_drawing import build_maps
from pipeline.params import load_params
from pipeline.throughput import measured
from pipeline.work import prepare_work

INDEX, LABELS = Path("data/index"), Path("data/labels")


def main() -> None:
    """Publishes both."""
    params = load_params()
    dataset, root = params.dataset, Path(params.dataset.root)
    tables = root / dataset.version
    # Labels are built inside the publishing of the index, so that an error in either leaves both as they were.
    with measured(prepare_work(params), INDEX, LABELS) as work, publish(LABELS) as labels:
        with publish(INDEX) as draft:
            build_index(dataset, draft)
            index = FrameIndex.open(draft, root)
            work.units = len(index)
            has_maps = build_maps(root, params.prepare.map_resolution, index, draft)
            build_labels(dataset, params.prepare, index, labels)
            write_card(
                draft, kind="index", stage="prepare",
                params={"dataset": dataset, "prepare.map_resolution": params.prepare.map_resolution},
                inputs=[tables], metrics={"frames": len(index), "maps": has_maps},
            )  # fmt: skip
        # No labelled tokens here: what a model has seen is decided by the fraction it is fine-tuned on.
        write_card(
            labels, kind="labels", stage="prepare", params={"dataset": dataset, "prepare": params.prepare},
            inputs=[INDEX, tables, *filter(None, [committed_lists(dataset)])],
            details={"label lists": Labels.open(labels).ledger()},
        )  # fmt: skip


if __name__ == "__main__":
    with user_errors():
        main()
