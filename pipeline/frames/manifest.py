"""The manifest of an index: path and size of every sensor file that it names. Raw files are never hashed."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from pipeline.errors import UserError

MANIFEST = "manifest.feather"
MISSING = -1  # the size of a file that is not there
_THREADS = 16  # asking a network disk for sizes is waiting, on few cores as well
_CHUNK = 4096  # files a thread asks for at a time


def file_sizes(root: Path, paths: Sequence[str]) -> NDArray[np.int64]:
    """Sizes in bytes of files below `root`, int64 [len(paths)]; `MISSING` where there is none."""
    chunks = [paths[first : first + _CHUNK] for first in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(lambda chunk: [_size(f"{root}/{path}") for path in chunk], chunks))
    return np.array([size for chunk in sizes for size in chunk], np.int64)


def missing_files(root: Path, paths: Iterable[str]) -> list[str]:
    """Those of `paths` below `root` that do not exist; lists each folder once instead of asking for every file."""
    names: dict[str, set[str]] = {}
    lost = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in names:
            names[folder] = set(os.listdir(root / folder)) if (root / folder).is_dir() else set()  # noqa: PTH208
        if name not in names[folder]:
            lost.append(path)
    return lost


def write_manifest(root: Path, paths: Iterable[str], out: Path) -> None:
    """Writes `out`/manifest.feather: the columns path and bytes, sorted by path.

    Args:
        root: the dataset root.
        paths: relative to it, each once; the files exist.
    """
    ordered = sorted(paths)
    table = pa.table({"path": pa.array(ordered, pa.string()), "bytes": pa.array(file_sizes(root, ordered))})
    feather.write_feather(table, out / MANIFEST, compression="uncompressed", chunksize=max(1, len(ordered)))


def read_manifest(index: Path) -> pa.Table:
    """The manifest in an index directory, memory-mapped: path (text), bytes (int64).

    Raises:
        UserError: there is none.
    """
    path = index / MANIFEST
    if not path.is_file():
        raise UserError("the index has no manifest of sensor files", where=str(path), remedy="run `dvc repro prepare`")
    return feather.read_table(path, memory_map=True)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a million files: building Path objects takes longer than asking
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
