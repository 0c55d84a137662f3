"""What `dvc import` brought in: a .dvc file beside it says from which commit of which repository it came."""

from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.artifacts.lock import parse_yaml
from pipeline.artifacts.view import View, unsafe
from pipeline.errors import UserError


@dataclass(frozen=True)
class Import:
    """One imported artifact.

    Attributes:
        url: the repository as given to `dvc import`; "." is this very one.
        commit: what its revision named when it was imported.
        path: of the artifact in that repository.
        md5: DVC's MD5 of what was brought in.
    """

    url: str
    commit: str
    path: str
    md5: str

    @property
    def origin(self) -> str:
        """Where it came from, as `calico audit` takes it where the repository is this one."""
        return f"{self.path}@{self.commit[:7]}"


def read_import(view: View, path: str) -> Import | None:
    """The origin of what lies at `path`; None where no `dvc import` put it there.

    Raises:
        UserError: there is a .dvc file beside it that does not name a commit.
    """
    record, remedy = f"{path}.dvc", "bring it in with `dvc import`"
    if not view.is_file(record):
        return None
    with view.open(record) as file:
        content = file.read()
    try:
        written: Any = parse_yaml(content)
        (source,), (out,) = written["deps"], written["outs"]
        repository = source["repo"]
        found = Import(str(repository["url"]), str(repository["rev_lock"]), str(source["path"]), str(out["md5"]))
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        problem = f"{record} names no commit of a repository: {' '.join(str(error).split())}"
        raise UserError(problem, where=record, remedy=remedy) from None
    if unsafe(found.path) or not found.commit.isalnum():
        raise UserError("it names a path or commit that cannot be", where=record, remedy=remedy)
    return found
