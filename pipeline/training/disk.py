"""A full disk is told in one screen."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import UserError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up", errno.EFBIG: "the file is too big"}


@contextmanager
def told_when_full(path: Path, kept: str) -> Iterator[None]:
    """Around the writing of `path`.

    Args:
        path: what is written, for the message.
        kept: what the user still has.

    Raises:
        UserError: the disk or the quota has no room, or the file system takes no file of this size.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"{FULL[error.errno]}: {kept}",
            where=str(path.absolute()),
            remedy="make room there (`calico preflight` says how much is needed); the same command continues",
        ) from error
