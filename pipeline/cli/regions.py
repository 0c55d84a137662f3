"""`calico regions …`: checks and mends the region store, measures params.

Heavy imports wait until a subcommand needs them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.evaluation.region_grid import Axes, Row

regions = typer.Typer(no_args_is_help=True, help="Check, mend and compare regions.", rich_markup_mode=None)

Store = Annotated[Path, typer.Argument(metavar="PATH", help="The folder of the store.")]
DEFAULT = Path("data/regions")
INDEX = Path("data/index")


@regions.command()
def verify(
    path: Store = DEFAULT, json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False
) -> None:
    """Hash every file of the store again.

    Exit code 1 when one is damaged or missing, with the command that rebuilds only these.

    \b
    Example:
      calico regions verify
    """
    from pipeline.artifacts.card import dump_json
    from pipeline.regions.verification import verify_store

    verdict = verify_store(path)
    typer.echo(dump_json(verdict.to_json()).decode() if json else "\n".join(verdict.lines()), nl=not json)
    raise typer.Exit(1 if verdict.damages else 0)


@regions.command()
def repair(
    path: Store = DEFAULT, json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False
) -> None:
    """Rebuild only the damaged or missing files.

    From the store's own params; none is put back that differs from what the manifest says.

    \b
    Example:
      calico regions repair data/regions
    """
    from pipeline.artifacts.card import dump_json, identity
    from pipeline.frames.index import FrameIndex
    from pipeline.frames.points import read_points
    from pipeline.params import load_params, load_runtime
    from pipeline.regions.repair import repair_store

    index = FrameIndex.open(INDEX, Path(load_params().dataset.root))
    made = repair_store(path, index.key_sweeps, read_points, identity=identity(INDEX), runtime=load_runtime())
    if json:
        typer.echo(dump_json({"rebuilt": list(made)}).decode(), nl=False)
        return
    for file in made:
        typer.echo(f"rebuilt: {path / file}")
    typer.echo(f"{path}: {'every file is sound now' if made else 'nothing to repair'}")


@regions.command()
def grid(
    values: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE,VALUE,...")] = None,
    split: Annotated[str | None, typer.Option(help="Only frames of this split.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="So many frames, evenly spread; all without it.")] = None,
    experiments: Annotated[bool, typer.Option("--experiments", help="Collect DVC experiments, compute none.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for grid.csv and heatmap.png.")] = Path("scratch/region_grid"),
) -> None:
    """Compare values of params `regions` with the truth.

    A table and heat maps of every combination; with --experiments of what DVC experiments have measured.

    \b
    Examples:
      calico regions grid eps=0.5,0.75,1.0 min_samples=3,5 dims=2,3
      dvc exp run --queue -S 'regions.eps=0.5,0.75' region_quality
      dvc queue start
      calico regions grid --experiments
    """
    from rich.console import Console

    from pipeline.evaluation.region_audit import write_csv
    from pipeline.evaluation.region_grid import parse_axes
    from pipeline.reporting.figures.region_heatmap import draw_heatmaps, grid_table
    from pipeline.reporting.page.report import print_tables
    from pipeline.reporting.tables.table import Table

    if experiments:
        axes, rows, note = _collected(values or [])
    else:
        axes = parse_axes(values or [])
        rows, note = _measured(axes, split, frames)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(out / "grid.csv", [{**row.place, **row.numbers} for row in rows])
    draw_heatmaps(axes, rows, out / "heatmap.png")
    header, lines = grid_table(axes, rows)
    print_tables(
        [Table("Sensitivity of the regions", note, header, lines)], [], Console(width=max(Console().width, 140))
    )
    typer.echo(f"wrote {out / 'grid.csv'} and {out / 'heatmap.png'}")


def _measured(axes: "Axes", split: str | None, frames: int | None) -> "tuple[list[Row], str]":
    """Rows of the grid over frames of the index, and what they are."""
    from pipeline.evaluation.record import spread
    from pipeline.evaluation.region_grid import build_cells, run_grid
    from pipeline.evaluation.region_truth import collect_cases
    from pipeline.frames.index import FrameIndex
    from pipeline.params import load_params, load_runtime

    params = load_params()
    build_cells(params.regions, axes)  # a wrong value is told before the tables are read
    index = FrameIndex.open(INDEX, Path(params.dataset.root))
    positions = index.split(split) if split else list(range(len(index)))
    positions = spread(positions, frames or len(positions))
    cases = collect_cases(index, params.dataset, params.region_quality.point_labels, positions)
    return run_grid(params.regions, axes, cases, load_runtime()), f"{params.dataset.name}, {len(cases)} frames."


def _collected(values: list[str]) -> "tuple[Axes, list[Row], str]":
    """Axes and rows of the DVC experiments of the current commit, and what they are."""
    from dvc.api import exp_show  # type: ignore[import-untyped]

    from pipeline.evaluation.region_grid import collect_experiments, parse_axes

    axes, rows, unfinished = collect_experiments(exp_show(), parse_axes(values) if values else {})
    return axes, rows, f"{len(rows)} DVC experiments, {unfinished} without metrics."
