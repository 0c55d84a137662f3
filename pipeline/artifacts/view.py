"""Where an artifact is read: the files of the workspace, or what git and DVC's cache hold of a revision."""

import fnmatch
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, Protocol

from pipeline.errors import UserError

PIECE = 1 << 20
IGNORED = ("__pycache__", "*.pyc", ".*.draft", ".*.replaced")  # as .dvcignore has them: never part of an output


class View(Protocol):
    """Read-only files by POSIX path relative to the project's root; nothing that is read is ever run."""

    name: str

    def is_file(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        ...

    def files(self, folder: str) -> list[str]:
        """Sorted paths of all files below a folder, relative to it; empty where there is no such folder."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Opens a file to read its bytes.

        Raises:
            OSError: there is none, or its content is not at hand.
        """
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file, None where only reading it would tell. Raises OSError as `open` does."""
        ...


class Workspace:
    """The working directory."""

    name = "workspace"

    def is_file(self, path: str) -> bool:
        """See `View`."""
        return Path(path).is_file()

    def files(self, folder: str) -> list[str]:
        """See `View`."""
        root = Path(folder)
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())

    def open(self, path: str) -> BinaryIO:
        """See `View`."""
        return Path(path).open("rb")

    def size(self, path: str) -> int | None:
        """See `View`."""
        return Path(path).stat().st_size


class Revision:
    """A commit, tag, branch or DVC experiment, read without a checkout; what the cache lacks comes from the remote."""

    def __init__(self, rev: str) -> None:
        """Opens the revision of the repository around the working directory.

        Raises:
            UserError: there is no such revision, or no git and DVC repository here.
        """
        from dvc.api import DVCFileSystem  # type: ignore[import-untyped]
        from dvc.exceptions import DvcException  # type: ignore[import-untyped]
        from dvc.repo import Repo  # type: ignore[import-untyped]
        from dvc_data.index import DataIndexDirError

        self.name = rev
        self._not_at_hand: tuple[type[Exception], ...] = (OSError, DataIndexDirError)
        self._is_file: dict[str, bool] = {}  # a revision never changes, and DVC takes milliseconds for each question
        try:
            self._fs: Any = DVCFileSystem(Repo(str(Path.cwd()), rev=rev))
        except DvcException as error:
            remedy = "name a commit, tag, branch or an experiment that `dvc exp show` lists"
            raise UserError(f"the revision cannot be read: {error}", where=f"@{rev}", remedy=remedy) from None

    def is_file(self, path: str) -> bool:
        """See `View`."""
        if path not in self._is_file:
            try:
                self._is_file[path] = bool(self._fs.isfile(f"/{path}"))
            except self._not_at_hand:
                return False
        return self._is_file[path]

    def files(self, folder: str) -> list[str]:
        """See `View`; a folder whose listing is neither in the cache nor on the remote reads as empty."""
        try:
            found = self._fs.find(f"/{folder}")
        except self._not_at_hand:
            return []
        self._is_file.update((path.removeprefix("/"), True) for path in found)
        inside = (PurePosixPath(path) for path in found)
        return sorted(path.relative_to(f"/{folder}").as_posix() for path in inside if path.is_relative_to(f"/{folder}"))

    def open(self, path: str) -> BinaryIO:
        """See `View`."""
        opened: BinaryIO = self._fs.open(f"/{path}", "rb")
        return opened

    def size(self, path: str) -> int | None:
        """See `View`; the listing of a folder in DVC's cache has no sizes."""
        size: int | None = self._fs.size(f"/{path}")
        return size


class Target(NamedTuple):
    """What a command line names: a path in a view; the whole project where the path is empty."""

    path: str
    view: View


def open_target(text: str, *, whole: bool = False) -> Target:
    """`PATH` or `PATH@rev`; a path that exists as written is never taken apart.

    Args:
        text: as on a command line.
        whole: without an @, what is no path is a revision, and `workspace` is all of the workspace.

    Raises:
        UserError: the revision cannot be read.
    """
    path, at, rev = text.rpartition("@")
    if whole and text == Workspace.name:
        return Target("", Workspace())
    if Path(text).exists() or not (at or whole):
        return Target(text.rstrip("/") or text, Workspace())
    return Target(path.rstrip("/"), Revision(rev))


class Digest(NamedTuple):
    """What one reading of a file gives: SHA-256 as cards have it, MD5 as DVC has it, and its bytes counted."""

    sha256: str
    md5: str
    size: int


class Digests:
    """Digests of the files of a view; every file is read once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._known: dict[str, Digest] = {}

    def of(self, path: str) -> Digest:
        """Of one file. Raises OSError where its content is not at hand."""
        if path not in self._known:
            sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
            with self.view.open(path) as file:
                while piece := file.read(PIECE):
                    sha256.update(piece)
                    md5.update(piece)
                    size += len(piece)
            self._known[path] = Digest(sha256.hexdigest(), md5.hexdigest(), size)
        return self._known[path]


def ignored(name: str) -> bool:
    """Whether DVC leaves a file out of a folder, by its path relative to it."""
    return any(fnmatch.fnmatch(part, pattern) for part in PurePosixPath(name).parts for pattern in IGNORED)


def unsafe(name: str) -> bool:
    """Whether a path from a card or list could lead out of the folder that it is meant for."""
    return not name or "\\" in name or "\0" in name or name.startswith(("/", "~")) or ".." in PurePosixPath(name).parts


def git(*words: str) -> bytes | None:
    """What a git command prints; None where it fails, e.g. outside a repository."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, check=False)  # noqa: S603, S607 - no shell
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def uncommitted() -> Iterator[str]:
    """Files of the workspace that differ from the last commit or are not in it; nothing outside a repository."""
    changed = ("diff", "--name-only", "--relative", "-z", "HEAD")
    for words in (changed, ("ls-files", "--others", "--exclude-standard", "-z")):
        yield from (name.decode(errors="replace") for name in (git(*words) or b"").split(b"\0") if name)
