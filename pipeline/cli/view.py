"""`calico view`: one frame with all that is known of it. Heavy imports wait until it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.completion import complete_arm, complete_corruption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.viewing.viewer import Viewer

FOLDER = Path("scratch/view")


def view(
    token: Annotated[
        str | None,
        typer.Argument(metavar="TOKEN", help="Sample token of a frame, or its beginning; without it, a typical frame."),
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
    regions: Annotated[bool, typer.Option("--regions", help="Its regions alone, and why others are none.")] = False,
    embedding: Annotated[bool, typer.Option("--embedding", help="What pre-trained networks see of it.")] = False,
    rerun: Annotated[bool, typer.Option("--rerun", help="Write a recording for the Rerun viewer instead.")] = False,
    scene: Annotated[bool, typer.Option("--scene", help="With --rerun: all key frames of its scene.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=".png or .svg, with --rerun .rrd; else scratch/view/TOKEN.png."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was drawn as JSON.")] = False,
) -> None:
    """Show one frame: LiDAR, regions, cameras and boxes.

    Boxes are true and predicted ones; labels, predictions and images may be missing. The detector is that of the
    largest fraction of the labels and the first seed; where `evaluate` wrote nothing, as under a corruption, it is run.

    \b
    Examples:
      calico view
      calico view 3f2a91 --arm prc-L --out frame.svg
      calico view --corruption fog:2 --corruption calibration_drift:1
      calico view --embedding
      calico view --rerun --scene
    """
    from pipeline.artifacts.card import dump_json
    from pipeline.params import load_params
    from pipeline.viewing.chosen_frame import choose_frame
    from pipeline.viewing.conditions import read_condition
    from pipeline.viewing.viewer import Viewer

    conditions = [read_condition(text) for text in corruption or []]
    kinds = {"regions": regions, "embedding": embedding, "rerun": rerun}
    kind = next((kind for kind, wanted in kinds.items() if wanted), "sheet")
    _check(sum(kinds.values()), kind, scene, bool(conditions), out)
    viewer = Viewer.open(load_params(), arm, conditions, seed)
    position = choose_frame(viewer.index, token, viewer.validation)
    frame = viewer.index[position]
    words = [condition.name for condition in conditions] + ["scene"] * scene
    suffix = ".rrd" if kind == "rerun" else ".png"
    path = out or FOLDER / ("-".join([frame.token, *words, *([kind] if regions or embedding else [])]) + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "rerun":
        from pipeline.viewing.recording import write_recording

        positions = viewer.scene_of(position) if scene else [position]
        name = "-".join([frame.token, *words])
        told: dict[str, Any] = {"frames": write_recording(viewer.look(positions), name, viewer.predictor, path)}
    else:
        from pipeline.reporting.figures.picture import save_figure

        figure, told = _draw(kind, viewer, position, words)
        save_figure(figure, path)
    if json:
        typer.echo(
            dump_json({"token": frame.token, "scene": frame.scene, "wrote": str(path), **told}).decode(), nl=False
        )
    else:
        counts = ", ".join(f"{count} {what}" for what, count in told.items() if count is not None)
        typer.echo(f"wrote {path}: {counts}")


def _check(kinds: int, kind: str, scene: bool, corrupted: bool, out: Path | None) -> None:
    """Raises UserError where options do not go together."""
    from pipeline.errors import UserError

    if kinds > 1:
        problem, remedy = "these are pictures of their own", "choose one of --regions, --embedding and --rerun"
        raise UserError(problem, where="command line", remedy=remedy)
    if scene and kind != "rerun":
        raise UserError("--scene is for recordings", where="command line: --scene", remedy="add --rerun")
    if corrupted and kind in ("regions", "embedding"):
        problem = f"--{kind} shows what was made of clean frames"
        raise UserError(problem, where=f"command line: --{kind}", remedy="leave --corruption out")
    suffixes = (".rrd",) if kind == "rerun" else (".png", ".svg")
    if out is not None and out.suffix not in suffixes:
        remedy = f"name a file that ends with {' or '.join(suffixes)}"
        raise UserError(f"{out} cannot be written", where="command line: --out", remedy=remedy)


def _draw(kind: str, viewer: "Viewer", position: int, words: list[str]) -> "tuple[Figure, dict[str, Any]]":
    """The picture and the counts that are told of it; None where something is missing altogether."""
    from pipeline.viewing.pictures import draw_frame_embeddings, draw_frame_regions
    from pipeline.viewing.sheet import draw_sheet

    if kind != "sheet":
        return {"regions": draw_frame_regions, "embedding": draw_frame_embeddings}[kind](viewer, position)
    [viewed] = viewer.look([position])
    title = "   ".join([viewed.frame.scene, viewed.frame.token, viewer.split_of(position), *words])
    counts = {
        "points": len(viewed.points),
        "regions": None if viewed.regions is None else len({*viewed.regions[viewed.regions >= 0].tolist()}),
        "images": len(viewed.images),
        "true boxes": None if viewed.truth is None else len(viewed.truth.boxes),
        "predicted boxes": None if viewed.predicted is None else len(viewed.predicted.boxes),
    }
    return draw_sheet(viewed, title, viewer.predictor, viewer.params.networks.grid.reach), counts
