"""The pre-trainings that params list, and what lies there of each."""

from pathlib import Path

from pipeline.params import Params


def folders_of_methods(params: Params, root: Path, file: str) -> list[Path]:
    """Folders `root`/<stage>/<method> that hold `file`, LiDAR first, in the order of `params`.

    What an earlier choice of methods or networks left below `root` is not among them.
    """
    folders = [root / "pretrain_lidar" / method for method in params.pretrain_lidar.methods]
    folders += [root / "distill_camera" / method for method in params.distill_camera.methods]
    return [folder for folder in folders if (folder / file).is_file()]


def method_name(folder: Path) -> str:
    """Stage and method of such a folder, e.g. pretrain_lidar/prc."""
    return "/".join(folder.parts[-2:])
