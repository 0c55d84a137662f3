"""`calico view`: one frame with all that is known of it. Heavy imports wait until it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.completion import complete_arm, complete_corruption

if TYPE_CHECKING:
    from pipeline.frames.labels import Labels
    from pipeline.regions.store import RegionStore

INDEX, LABELS, REGIONS = Path("data/index"), Path("data/labels"), Path("data/regions")
FOLDER = Path("scratch/view")


def view(
    token: Annotated[
        str | None, typer.Argument(help="Sample token of a frame, or its beginning; without it, a typical frame.")
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(help="Whose boxes to show; the last of finetune.arms.", autocompletion=complete_arm),
    ] = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE:SEVERITY",
            help="As the frame looks then, e.g. fog:2; several times for several.",
            autocompletion=complete_corruption,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the corruptions.")] = 0,
    regions: Annotated[bool, typer.Option("--regions", help="Its regions alone, in large.")] = False,
    rerun: Annotated[bool, typer.Option("--rerun", help="Write a recording for the Rerun viewer instead.")] = False,
    scene: Annotated[bool, typer.Option("--scene", help="With --rerun: all key frames of its scene.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".png or .svg, .rrd with --rerun; else scratch/view/TOKEN.png."),
    ] = None,
) -> None:
    """Show one frame: LiDAR, regions, cameras, true and predicted boxes.

    Shows what there is: labels, predictions and images may be missing. Boxes are those of the largest fraction of the
    labels and the first seed; where `evaluate` wrote none, as under a corruption, the model is run.

    \b
    Examples:
      calico view
      calico view 3f2a91 --arm prc-L --out frame.svg
      calico view --corruption fog:2 --corruption calibration_drift:1
      calico view --rerun --scene
    """
    from pipeline.frames.index import FrameIndex
    from pipeline.params import load_params
    from pipeline.viewing.chosen_frame import choose_frame
    from pipeline.viewing.conditions import combine, read_condition
    from pipeline.viewing.predictions import cell_of, choose_arm, predict

    conditions = [read_condition(text) for text in corruption or []]
    _check(regions, rerun, scene, bool(conditions), out)
    params = load_params()
    shown = choose_arm(params, arm)
    index = FrameIndex.open(INDEX, Path(params.dataset.root))
    position = choose_frame(index, token)
    frame = index[position]
    name = "-".join([frame.token, *(condition.name for condition in conditions), *["scene"] * scene])
    kind = "regions" if regions else "view"
    path = out or FOLDER / f"{name}{'-regions' * regions}.{'rrd' if rerun else 'png'}"
