"""The `calico` command. Heavy imports wait until a subcommand needs them, so that --help is instant."""

from collections.abc import Callable
from typing import Annotated

import typer

from pipeline.cli.corruptions import corruptions
from pipeline.cli.doctor import doctor
from pipeline.cli.help import EPILOG, Sections
from pipeline.cli.lineage import audit, diff, export, lineage, ls
from pipeline.cli.model import model
from pipeline.cli.prepare import check, configure, preflight, survey
from pipeline.cli.regions import regions
from pipeline.cli.replay import replay
from pipeline.cli.view import view
from pipeline.errors import user_errors

SECTIONS: dict[str, tuple[Callable[..., None], ...]] = {
    "Prepare and run": (doctor, configure, survey, check, preflight),
    "Look": (view, corruptions, model, ls),
    "Audit": (audit, diff, lineage, export),
    "Repair": (replay,),
}

# Without rich: its help is framed, takes brackets for markup, and costs a third of the start.
app = typer.Typer(
    cls=Sections, epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)
for section, commands in SECTIONS.items():
    for command in commands:
        app.command(rich_help_panel=section)(command)
app.add_typer(regions, name="regions", rich_help_panel="Repair")


def say_version(wanted: bool) -> None:
    """Prints the version and ends."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"calico {version('calico')}")
        raise typer.Exit


@app.callback()
def calico(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=say_version, is_eager=True)
    ] = False,
) -> None:
    """Label-free camera-LiDAR pre-training for bird's-eye-view perception."""


def main() -> None:
    """Entry point: bad input ends with one screen on stderr and exit code 2."""
    with user_errors():
        app()
