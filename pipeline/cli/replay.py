"""`calico replay`: a training step that went wrong, once more. Heavy imports wait until it runs."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    path: Annotated[Path, typer.Argument(help="The folder that the error of the training named.")],
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Repeat a training step that met NaN or infinity.

    On the CPU; needs nothing but the folder. Exit code 1 when it goes wrong again, 0 when every tensor is finite here.

    \b
    Example:
      calico replay scratch/pretrain_lidar/KEY/fault
    """
    from pipeline.artifacts.card import dump_json
    from pipeline.training.replay import replay as repeat

    outcome = repeat(path)
    report = outcome.report
    if json:
        typer.echo(dump_json({"report": report, "first bad tensor": outcome.found}).decode(), nl=False)
        raise typer.Exit(0 if outcome.found is None else 1)
    words, step = " ".join(report["stage"]), report["step"]
    typer.echo(f"{words}, step {step['number']}, frames {', '.join(map(str, step['positions']))}: {report['said']}")
    if outcome.found is None:
        typer.echo(
            "every tensor is finite here: it takes the device, the precision or the other processes of that training"
        )
        raise typer.Exit(0)
    typer.echo(f"again, the first bad tensor is the {outcome.found}")
    raise typer.Exit(1)
