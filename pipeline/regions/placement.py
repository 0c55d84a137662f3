"""A file appears whole, flushed and under its final name, or not at all; any number of processes may place the same."""

import os
from pathlib import Path
from uuid import uuid4


def place_file(path: Path, content: bytes, drafts: Path | None = None) -> None:
    """Writes a file of a name that nobody else uses, flushes it and renames it to `path`.

    What lay at `path` is replaced, never written to: it may be a read-only hard link into a cache. No folder is made:
    a worker that outlived its build must not bring a removed draft back.

    Args:
        path: where the file appears.
        content: all of it.
        drafts: folder of the unfinished file, on the same file system; None = beside `path`.
    """
    beside = (drafts or path.parent) / f".{path.name}.{uuid4().hex}.partial"
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)  # without it a power cut may take the new name back


def flush_folder(path: Path) -> None:
    """Writes a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
