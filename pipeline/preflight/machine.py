"""What this machine has left."""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

FreeDisk = Callable[[Path], int]


@dataclass(frozen=True)
class Disk:
    """Folders of the project on one disk, and the bytes that are free there."""

    folders: tuple[Path, ...]
    free: int


def free_disk(path: Path) -> int:
    """Free bytes where `path` lies or would lie."""
    return shutil.disk_usage(_existing(path)).free


def find_disks(folders: Iterable[Path], free: FreeDisk = free_disk) -> list[Disk]:
    """The disks that these folders, existing or not, lie on."""
    by_device: dict[int, list[Path]] = {}
    for folder in folders:
        by_device.setdefault(os.stat(_existing(folder)).st_dev, []).append(folder)  # noqa: PTH116
    return [Disk(tuple(paths), free(paths[0])) for paths in by_device.values()]


def available_memory() -> int:
    """Bytes that new processes can take without swapping."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _existing(path: Path) -> Path:
    absolute = path.absolute()
    return next(folder for folder in (absolute, *absolute.parents) if folder.exists())
