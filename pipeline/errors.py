"""The one exception a user is meant to read, and how it is shown."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input. Says what is wrong, where it came from and what to do about it.

    Args:
        problem: what is wrong, in one sentence.
        where: the file, directory or params key it came from.
        remedy: what the user can do now.
    """

    def __init__(self, problem: str, *, where: str, remedy: str) -> None:
        super().__init__(problem, where, remedy)
        self.problem, self.where, self.remedy = problem, where, remedy

    def __reduce__(self) -> tuple[Callable[..., "UserError"], tuple[str, ...]]:
        """Crosses process borders: by default Python would rebuild it from positional arguments alone."""
        return _rebuild, (self.problem, self.where, self.remedy)

    def __str__(self) -> str:
        return f"{self.problem}\n  where:  {self.where}\n  remedy: {self.remedy}"


def _rebuild(problem: str, where: str, remedy: str) -> UserError:
    return UserError(problem, where=where, remedy=remedy)


@contextmanager
def user_errors() -> Iterator[None]:
    """Around the main function of a command: a UserError ends the process with one screen on stderr and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
