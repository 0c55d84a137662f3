"""`calico view`: one frame with all that is known of it. Heavy imports wait until it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.completion import complete_arm, complete_corruption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.viewing.viewed_frame import ViewedFrame
    from pipeline.viewing.viewer import Viewer

FOLDER = Path("scratch/view")


def view(
    token: Annotated[
        str | None, typer.Argument(help="Sample token of a frame, or its beginning; without it, a typical frame.")
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(help="Whose boxes to show; else the last of finetune.arms.", autocompletion=complete_arm),
    ] = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE:SEVERITY",
            help="As the frame looks then, e.g. fog:2; may be given several times.",
            autocompletion=complete_corruption,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the corruptions.")] = 0,
    regions: Annotated[bool, typer.Option("--regions", help="Its regions alone, large.")] = False,
    rerun: Annotated[bool, typer.Option("--rerun", help="Write a recording for the Rerun viewer instead.")] = False,
    scene: Annotated[bool, typer.Option("--scene", help="With --rerun: all key frames of its scene.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".png or .svg, with --rerun .rrd; else scratch/view/TOKEN.png."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was drawn as JSON.")] = False,
) -> None:
    """Show one frame: LiDAR, regions, cameras, true and predicted boxes.

    Labels, predictions and images may be missing. The detector is that of the largest fraction of the labels and the
    first seed; where `evaluate` wrote nothing, as under a corruption, it is run.

    \b
    Examples:
      calico view
      calico view 3f2a91 --arm prc-L --out frame.svg
      calico view --corruption fog:2 --corruption calibration_drift:1
      calico view --rerun --scene
    """
    from pipeline.artifacts.card import dump_json
    from pipeline.params import load_params
    from pipeline.viewing.chosen_frame import choose_frame
    from pipeline.viewing.conditions import read_condition
    from pipeline.viewing.viewer import Viewer

    conditions = [read_condition(text) for text in corruption or []]
    _check(regions, rerun, scene, bool(conditions), out)
    viewer = Viewer.open(load_params(), arm, conditions, seed)
    position = choose_frame(viewer.index, token, viewer.validation)
    words = [viewer.index[position].token, *(one.name for one in conditions), *(["scene"] if scene else [])]
    path = out or FOLDER / f"{'-'.join([*words, *(['regions'] if regions else [])])}.{'rrd' if rerun else 'png'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if rerun:
        from pipeline.viewing.recording import write_recording

        positions = viewer.scene_of(position) if scene else [position]
        count = write_recording(viewer.look(positions), "-".join(words), viewer.predictor, path)
        told: dict[str, Any] = {"frames": count}
    else:
        from pipeline.reporting.picture import save_figure

        [viewed] = viewer.look([position])
        title = "   ".join([viewed.frame.scene, viewed.frame.token, viewer.split_of(position), *words[1:]])
        save_figure(_draw(viewed, viewer, title, regions), path)
        told = _counts(viewed)
    if json:
        told = {"token": words[0], "scene": viewer.index[position].scene, "wrote": str(path), **told}
        typer.echo(dump_json(told).decode(), nl=False)
    else:
        typer.echo(
            f"wrote {path}: " + ", ".join(f"{count} {what}" for what, count in told.items() if count is not None)
        )


def _check(regions: bool, rerun: bool, scene: bool, corrupted: bool, out: Path | None) -> None:
    """Raises UserError where options do not go together."""
    from pipeline.errors import UserError

    if scene and not rerun:
        raise UserError("--scene is for recordings", where="command line: --scene", remedy="add --rerun")
    if regions and (rerun or corrupted):
        problem = "--regions draws the regions of a clean sweep, and nothing else"
        raise UserError(problem, where="command line: --regions", remedy="leave --rerun and --corruption out")
    suffixes = (".rrd",) if rerun else (".png", ".svg")
    if out is not None and out.suffix not in suffixes:
        problem = f"the file cannot be written as {out.suffix or 'a file without a suffix'}"
        raise UserError(
            problem, where="command line: --out", remedy=f"name a file that ends with {' or '.join(suffixes)}"
        )


def _draw(viewed: "ViewedFrame", viewer: "Viewer", title: str, regions: bool) -> "Figure":
    from pipeline.errors import UserError
    from pipeline.reporting.regions import draw_regions
    from pipeline.viewing.sheet import draw_sheet

    if not regions:
        return draw_sheet(viewed, title, viewer.predictor, viewer.params.networks.grid.reach)
    if viewed.regions is None:
        raise UserError("the frame has no regions", where="data/regions", remedy="run `dvc repro regions`")
    return draw_regions(viewed.points, viewed.regions)


def _counts(viewed: "ViewedFrame") -> dict[str, int | None]:
    """How much of each there is; None where it is missing altogether."""
    return {
        "points": len(viewed.points),
        "regions": None if viewed.regions is None else len({*viewed.regions[viewed.regions >= 0].tolist()}),
        "images": len(viewed.images),
        "true boxes": None if viewed.truth is None else len(viewed.truth.boxes),
        "predicted boxes": None if viewed.predicted is None else len(viewed.predicted.boxes),
    }
