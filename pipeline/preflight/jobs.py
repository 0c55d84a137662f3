"""The stages that `dvc repro` would run, asked of DVC."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError


@dataclass(frozen=True)
class Job:
    """One stage that DVC would run.

    Attributes:
        name: as DVC has it, e.g. finetune@calico-map-1.0-0.
        stage: the file below stages/ that it runs.
        words: the arguments that this file gets.
    """

    name: str
    stage: str
    words: tuple[str, ...]


def stale_jobs(project: Path) -> list[Job]:
    """Every stage that changed, and all that follow from one, in the order of dvc.yaml. Runs nothing.

    What follows may turn out to be fresh, where a stage writes the same bytes again: this is the most that can run.

    Raises:
        UserError: DVC cannot read the graph, or is at work in this project.
    """
    import networkx  # type: ignore[import-untyped]
    from dvc.exceptions import DvcException  # type: ignore[import-untyped]
    from dvc.lock import LockError  # type: ignore[import-untyped]
    from dvc.repo import Repo  # type: ignore[import-untyped]

    try:
        with Repo(str(project)) as repo:
            stages, graph = list(repo.index.stages), repo.index.graph
            changed = repo.status()
    except LockError as error:
        raise UserError(
            "DVC is at work in this project",
            where=str(project),
            remedy="wait for it, then run `calico preflight` again",
        ) from error
    except DvcException as error:
        raise UserError(
            f"DVC cannot tell what is stale ({error})", where="dvc.yaml", remedy="run `dvc status`"
        ) from error
    stale = {stage for stage in stages if stage.addressing in changed}
    stale |= {later for stage in stale for later in networkx.ancestors(graph, stage)}  # edges lead to what is needed
    return [_job(stage.addressing, stage.cmd) for stage in stages if stage in stale]


def _job(name: str, command: str) -> Job:
    module, *words = command.removeprefix("python -m ").split()
    return Job(name, module.removeprefix("stages."), tuple(words))
