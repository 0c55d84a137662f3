"""`calico replay`: a training step that went wrong, once more. Heavy imports wait until it runs."""

from pathlib import Path
from typing import Annotated

import typer


def replay(path: Annotated[Path, typer.Argument(help="The folder that the error of the training named.")]) -> None:
    """Repeat a pass of a training that met NaN or infinity, on the CPU; needs nothing but the folder.

    Exit code 1 when it goes wrong again, 0 when every tensor is finite here.
    """
    from pipeline.training.replay import replay as repeat

    outcome = repeat(path)
    report = outcome.report
    words, step = " ".join(report["stage"]), report["step"]
    typer.echo(f"{words}, step {step['number']}, frames {', '.join(map(str, step['positions']))}: {report['said']}")
    if outcome.found is None:
        typer.echo(
            "every tensor is finite here: it takes the device, the precision or the other processes of that training"
        )
        raise typer.Exit(0)
    typer.echo(f"again, the first bad tensor is the {outcome.found}")
    raise typer.Exit(1)
