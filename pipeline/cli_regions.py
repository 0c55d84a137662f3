"""`calico regions …`: checks and mends the region store. Heavy imports wait until a subcommand needs them."""

from pathlib import Path
from typing import Annotated

import typer

regions = typer.Typer(no_args_is_help=True, help="Check and mend the region store.", rich_markup_mode=None)

Store = Annotated[Path, typer.Argument(metavar="[PATH]", help="The folder of the store.")]
DEFAULT = Path("data/regions")
INDEX = Path("data/index")


@regions.command()
def verify(
    path: Store = DEFAULT, json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False
) -> None:
    """Hash every file again. Exit code 1 when one is damaged or missing, with the command that rebuilds only these."""
    from pipeline.artifacts.card import dump_json
    from pipeline.regions.verification import verify_store

    verdict = verify_store(path)
    typer.echo(dump_json(verdict.to_json()).decode() if json else "\n".join(verdict.lines()), nl=not json)
    raise typer.Exit(1 if verdict.damages else 0)


@regions.command()
def repair(path: Store = DEFAULT) -> None:
    """Rebuild only the damaged or missing files, from the store's own params, and put none back that differs."""
    from pipeline.artifacts.card import identity
    from pipeline.frames.index import FrameIndex
    from pipeline.frames.points import read_points
    from pipeline.params import load_params, load_runtime
    from pipeline.regions.repair import repair_store

    index = FrameIndex.open(INDEX, Path(load_params().dataset.root))
    made = repair_store(path, index.key_sweeps, read_points, identity=identity(INDEX), runtime=load_runtime())
    for file in made:
        typer.echo(f"rebuilt: {path / file}")
    typer.echo(f"{path}: {'every file is sound now' if made else 'nothing to repair'}")
