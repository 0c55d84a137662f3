"""`calico configure | survey | check | preflight`: before a run. Heavy imports wait until they run."""

from pathlib import Path
from typing import Annotated

import typer


def configure(
    assignments: Annotated[list[str] | None, typer.Argument(metavar="GROUP=CHOICE | KEY=VALUE")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Choose data set, scale or single values in params.yaml.

    Rewrites conf/config.yaml, which holds the choice, and params.yaml, which is composed from it.

    \b
    Examples:
      calico configure dataset=nuscenes scale=paper dataset.root=/data/nuscenes
      calico configure regions.eps=0.6
    """
    from pipeline.artifacts.card import dump_json
    from pipeline.configure import configure as change

    changed = change(assignments or [])
    if json:
        typer.echo(dump_json({"changed": changed}).decode(), nl=False)
        return
    typer.echo(f"changed {' and '.join(changed)}; now run dvc repro" if changed else "nothing to change")


def survey() -> None:
    """List the logs of an Argoverse 2 root for DVC to watch.

    Writes a small folder into params.yaml: dataset.root; once after the download, and again when logs were added.

    \b
    Example:
      calico configure dataset=argoverse2 dataset.root=/data/av2 && calico survey
    """
    from pipeline.errors import UserError
    from pipeline.frames.argoverse_survey import survey as look
    from pipeline.params import load_params

    dataset = load_params().dataset
    if dataset.format != "argoverse2":
        raise UserError(
            f"{dataset.format} has tables of its own and needs no survey",
            where="params.yaml: dataset.format",
            remedy="run `calico configure dataset=argoverse2 dataset.root=PATH` first",
        )
    logs = look(Path(dataset.root), dataset.version)
    sweeps = sum(len(log.sweeps) for log in logs.values())
    typer.echo(f"{len(logs)} logs with {sweeps} sweeps in {Path(dataset.root, dataset.version)}; now run dvc repro")


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image and read every sweep, too.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Files that are looked at side by side.")] = 8,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Compare every sensor file with the index's manifest.

    Exit code 1 when one is missing or damaged.

    \b
    Examples:
      calico check
      calico check --deep --workers 16
    """
    from pipeline.artifacts.card import dump_json
    from pipeline.frames.verification import verify_files
    from pipeline.params import load_params

    verdict = verify_files(Path("data/index"), Path(load_params().dataset.root), deep=deep, threads=workers)
    typer.echo(dump_json(verdict.to_json()).decode() if json else "\n".join(verdict.lines()), nl=not json)
    raise typer.Exit(1 if verdict.findings.faults else 0)


def preflight(
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Measure stages that never ran here by a few steps of them; takes minutes."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Tell hours, disk, memory and missing files of `dvc repro`.

    Of the stages that are stale now and all that follow from them. Exit code 1 when it cannot fit.

    \b
    Examples:
      calico preflight
      calico preflight --measure --json
    """
    from rich.console import Console

    from pipeline.artifacts.card import dump_json
    from pipeline.params import load_params, load_runtime
    from pipeline.preflight.calibration import calibrate_unknown
    from pipeline.preflight.jobs import stale_jobs
    from pipeline.preflight.table import show
    from pipeline.preflight.verdict import judge
    from pipeline.throughput import read_notes

    params, runtime, jobs = load_params(), load_runtime(), stale_jobs(Path())
    failures = calibrate_unknown(jobs, params, runtime) if measure else []
    verdict = judge(jobs, params, runtime, read_notes())
    if json:
        typer.echo(dump_json(verdict.to_json()).decode(), nl=False)
    else:
        show(verdict, failures, Console(width=max(Console().width, 100)))
    raise typer.Exit(1 if verdict.problems else 0)
