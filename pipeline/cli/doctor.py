"""`calico doctor`: can this installation and this project work? Heavy imports wait until it runs."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.doctor.finding import Finding

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False) -> None:
    """Check installation, GPU, DVC, disk and dataset.

    Each line is ok, a warning or a problem, the latter two with what to do. Exit code 1 when there is a problem.

    \b
    Examples:
      calico doctor
      calico doctor --json
    """
    from pipeline.doctor.diagnosis import diagnose

    found = diagnose()
    healthy = all(finding.status != "problem" for finding in found)
    if json:
        from pipeline.artifacts.card import dump_json

        told = {"healthy": healthy, "findings": [vars(finding) for finding in found]}
        typer.echo(dump_json(told).decode(), nl=False)
    else:
        from rich.console import Console

        console = Console(width=max(Console().width, 100))
        console.print(_table(found))
        console.print(_verdict(found), highlight=False)
    raise typer.Exit(0 if healthy else 1)


def _table(found: "list[Finding]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in found:
        remedy = f"\n[dim]->[/] {escape(finding.remedy)}" if finding.remedy else ""
        status = f"[{COLOURS[finding.status]}]{finding.status}[/]"
        table.add_row(status, finding.subject, escape(finding.said) + remedy)
    return table


def _verdict(found: "list[Finding]") -> str:
    counts = {status: sum(one.status == status for one in found) for status in ("problem", "warning")}
    told = [f"{count} {status}{'' if count == 1 else 's'}" for status, count in counts.items()]
    return f"{len(found)} checks, {', '.join(told)}"
