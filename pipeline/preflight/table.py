"""The verdict as a person reads it."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.preflight.verdict import Need, Verdict
from pipeline.training.launch import RESUME_ME


def show(verdict: Verdict, failures: Sequence[str], console: Console) -> None:
    """Prints what every stale stage needs, what is there and what does not fit.

    Args:
        failures: what could not be measured.
    """
    if verdict.needs:
        console.print(_table(verdict))
        console.print("start and report, seconds each, are not counted. Stages run one after the other.", style="dim")
        console.print(
            "A training that gets SIGTERM or Ctrl-C, or uses up runtime.yaml: time_budget, saves its state and ends "
            f"with exit code {RESUME_ME}; `dvc repro` continues it.",
            style="dim",
        )
    else:
        console.print("no stage is stale that takes more than seconds")
    rooms = ", ".join(f"{free / 1e9:.1f} GB free below {folders}" for folders, free in verdict.free.items())
    console.print(f"this machine: {rooms}; {verdict.memory / 1e9:.1f} GB of memory available", soft_wrap=True)
    for failure in failures:
        console.print(f"[yellow]{escape(failure)}[/]", soft_wrap=True)
    if verdict.unknown:
        console.print(
            f"[yellow]unknown: {', '.join(verdict.unknown)} never ran here with these params; "
            "`calico preflight --measure` tries a few steps[/]",
            soft_wrap=True,
        )
    for problem in verdict.problems:
        console.print(f"[red]{escape(problem)}[/]", soft_wrap=True)
    if not verdict.problems:
        console.print("[yellow]nothing known speaks against it[/]" if verdict.unknown else "[green]it fits[/]")


def _table(verdict: Verdict) -> Table:
    table = Table("stale stage", "jobs", "frames", "time", "writes", "memory", title="What dvc repro needs")
    for column in table.columns[1:]:
        column.justify = "right"
    for need in verdict.needs:
        table.add_row(need.stage, str(need.jobs), f"{need.units:,}", *_cost(need))
    known = "at least " if verdict.unknown else ""
    written = sum(need.size or 0 for need in verdict.needs)
    memory = max(need.memory or 0 for need in verdict.needs)
    table.add_section()
    jobs = str(sum(need.jobs for need in verdict.needs))
    table.add_row(
        "all", jobs, "", known + duration(verdict.seconds), f"{written / 1e9:.2f} GB", f"{memory / 1e9:.2f} GB"
    )
    return table


def _cost(need: Need) -> tuple[str, str, str]:
    if need.seconds is None or need.size is None or need.memory is None:
        return ("unknown",) * 3
    return duration(need.seconds), f"{need.size / 1e9:.2f} GB", f"{need.memory / 1e9:.2f} GB"


def duration(seconds: float) -> str:
    """Hours and minutes, or seconds where there are few."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
