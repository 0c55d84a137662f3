"""DVC stage: the start weights of an arm, a row of the results table, gathered from its pre-trained branches."""

import sys
from pathlib import Path

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.artifacts.start import branch_weights, save_start
from pipeline.artifacts.weight_source import labels_seen
from pipeline.errors import user_errors
from pipeline.params import load_params


def main(name: str) -> None:
    arm = load_params().arms[name]
    sources = {"lidar": Path(arm.lidar), "camera": Path(arm.camera)}
    weights = {
        tensor: value for branch, source in sources.items() for tensor, value in branch_weights(source, branch).items()
    }
    shapes = {tensor: list(value.shape) for tensor, value in weights.items()}
    with publish(Path("data/checkpoints/start", name)) as draft:
        save_start(draft, weights)
        write_card(
            draft, kind="start weights", stage="start", params={f"arms.{name}": arm},
            inputs=sorted({*sources.values()}), details={"shapes": shapes},
            outside_labels=[label for source in sources.values() for label in labels_seen(source)],
        )  # fmt: skip


if __name__ == "__main__":
    with user_errors():
        main(sys.argv[1])
