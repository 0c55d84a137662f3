"""Which frame a command means: a sample token, the beginning of one, or a typical frame."""

from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.frames.index import FrameIndex

SHORTEST = 6  # characters of a token that are taken for its beginning


def choose_frame(index: FrameIndex, token: str | None, among: Sequence[int] | None = None) -> int:
    """Where the frame is in the index.

    Args:
        index: the frames.
        token: a sample token, or at least `SHORTEST` characters that only one begins with; None for a typical frame.
        among: positions that a typical frame is taken from; all without it.

    Raises:
        UserError: no frame has this token, or several begin so.
    """
    if token is None:
        return typical_frame(index, range(len(index)) if among is None else among)
    try:
        return index.position(token)
    except KeyError:
        pass
    begins = [other for other in index.tokens if other.startswith(token)] if len(token) >= SHORTEST else []
    if len(begins) == 1:
        return index.position(begins[0])
    several = f"{len(begins)} frames have a sample token that begins with {token!r}"
    raise UserError(
        several if begins else f"no frame has the sample token {token!r}",
        where=str(index.path),
        remedy=f"write more of it, e.g. {begins[0]}" if begins else f"take another one, e.g. {index[0].token}, or none",
    )


def typical_frame(index: FrameIndex, among: Sequence[int]) -> int:
    """The first frame with images after another of its scene; else the first with images; else the first of `among`."""
    first, before = None, None
    for position in among:
        frame = index[position]
        if not frame.cameras:
            before = None
            continue
        if before == frame.scene:
            return position
        first = position if first is None else first
        before = frame.scene
    return among[0] if first is None else first
