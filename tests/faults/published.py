"""What the training stages publish, compared with the undisturbed run."""

from pathlib import Path

from pipeline.artifacts.publish import strays
from tests.small_trainings import CELL

# Words of each stage and its out.
COMMANDS = {
    "pretrain_lidar": (["pretrain_lidar", "prc"], "data/checkpoints/pretrain_lidar/prc"),
    "distill_camera": (["distill_camera", "rad"], "data/checkpoints/distill_camera/rad"),
    "finetune": (["finetune", *CELL, "0"], f"data/checkpoints/finetune/{CELL[0]}/{CELL[1]}-0"),
}


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_published(project: Path, template: Path, out: str) -> None:
    """The artifact is that of the undisturbed run, and nothing else lies around."""
    assert content(project / out) == content(template / out)
    assert not any(stray.exists() for stray in strays(project / out))
    assert list((project / "scratch").glob("*/*")) == []
