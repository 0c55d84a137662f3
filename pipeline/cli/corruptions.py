"""`calico corruptions`: what the corruptions look like. Heavy imports wait until it runs."""

from pathlib import Path
from typing import Annotated

import typer

LABELS = Path("data/labels")


def corruptions(
    token: Annotated[
        str | None,
        typer.Argument(metavar="TOKEN", help="Sample token of a frame, or its beginning; without it, a typical frame."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for lidar.png, camera.png and rig.png.")] = Path(
        "scratch/corruptions"
    ),
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
) -> None:
    """Draw every corruption at every severity on one frame.

    Those that strike moving objects only if there are labels. `calico view --corruption` draws one in large.

    \b
    Examples:
      calico corruptions
      calico corruptions 3f2a91 --out scratch/weather
    """
    from pipeline.frames.index import FrameIndex
    from pipeline.frames.labels import Labels
    from pipeline.params import load_params
    from pipeline.reporting.figures.corruptions import draw_corruptions
    from pipeline.viewing.chosen_frame import choose_frame

    index = FrameIndex.open(Path("data/index"), Path(load_params().dataset.root))
    position = choose_frame(index, token)
    labels = Labels.open(LABELS) if LABELS.is_dir() else None
    for path in draw_corruptions(index, position, seed, out, labels):
        typer.echo(f"wrote {path}")
