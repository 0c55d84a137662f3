"""An artifact folder appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def publish(final: Path) -> Iterator[Path]:
    """A draft folder beside `final` that takes its place when the block ends well.

    The draft is flushed to disk before the rename, so a crash or kill at any moment leaves the old artifact or the new
    one, never a mixture; the draft of a killed run is removed by the next one. Two processes must not publish the
    same artifact at once (DVC's lock sees to it).

    Args:
        final: the artifact's folder; an old one is replaced.

    Yields:
        An empty folder to write into.
    """
    draft, replaced = strays(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    if replaced.exists() and not final.exists():  # killed between the two renames below
        replaced.rename(final)
    for stray in (draft, replaced):
        _remove(stray)
    draft.mkdir()
    try:
        yield draft
        _flush(draft)
        if final.exists() or final.is_symlink():
            final.rename(replaced)
        draft.rename(final)
        _flush_folder(final.parent)
        _remove(replaced)
    except BaseException:
        _remove(draft)
        if replaced.exists() and not final.exists():
            replaced.rename(final)
        raise


def strays(final: Path) -> tuple[Path, Path]:
    """Where `publish` keeps the draft and, for a moment, the artifact it replaces."""
    return final.with_name(f".{final.name}.draft"), final.with_name(f".{final.name}.replaced")


def write_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: temporary sibling, flush, rename."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _flush(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            _flush_folder(Path(root, name))
        _flush_folder(Path(root))


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
