"""`calico model`: the network that the params describe. Heavy imports wait until it runs."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.completion import complete_arm

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.networks.summary import Part
    from pipeline.params import Params


def model(
    scale: Annotated[str | None, typer.Option(metavar="NAME", help="A file of conf/scale instead.")] = None,
    arm: Annotated[
        str | None,
        typer.Option(help="Of params.yaml: arms; the first one with both sensors.", autocompletion=complete_arm),
    ] = None,
    task: Annotated[str, typer.Option(help="detection or map.")] = "detection",
    step: Annotated[bool, typer.Option("--step/--no-step", help="Measure the memory of a training step.")] = True,
    batch: Annotated[int, typer.Option(min=1, help="Frames of that step.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Show a network: shapes, parameters, GFLOPs, memory.

    The memory is the peak of a training step, measured in a process of its own.

    \b
    Examples:
      calico model
      calico model --scale paper --arm calico --task map
    """
    from dataclasses import asdict

    from rich.console import Console

    from pipeline.configure import params_at

    params = params_at(scale)
    chosen, modality = _choose(params, arm, task)  # wrong words are told before anything heavy

    from pipeline.artifacts.card import dump_json
    from pipeline.preflight.training_step import measure_in_process

    parts, projectors, parameters = _summarise(params, modality, task)
    memory = measure_in_process(scale, modality, task, batch) if step else None
    if json:
        outcome = {
            "arm": chosen,
            "task": task,
            "parts": [asdict(part) for part in parts],
            "parameters": parameters,
            "projectors": [asdict(part) for part in projectors],
            "step": asdict(memory) if memory else None,
        }
        typer.echo(dump_json(outcome).decode(), nl=False)
        return
    console = Console(width=max(Console().width, 100))
    console.print(_table(f"{chosen} ({modality}), {task}", parts, projectors))
    console.print(
        "One frame, forward. A multiplication and its addition are two operations; only products count: convolutions, "
        "linear maps, attention. The projectors belong to the pre-trainings.",
        style="dim",
    )
    if memory:
        peak = f"{memory.megabytes:,.0f} MB at its peak on {memory.device}"
        console.print(f"a training step of {memory.batch} frame(s) takes {peak}", highlight=False)


def _choose(params: "Params", arm: str | None, task: str) -> tuple[str, str]:
    """The arm's name and modality."""
    from pipeline.errors import UserError

    if task not in ("detection", "map"):
        raise UserError(
            f"there is no task {task!r}", where="command line: --task", remedy="write --task detection or --task map"
        )
    both = [name for name, one in params.arms.items() if one.modality == "LC"]
    name = arm or next(iter([*both, *params.arms]))
    if name not in params.arms:
        raise UserError(
            f"there is no arm {name!r}", where="command line: --arm", remedy=f"choose one of {', '.join(params.arms)}"
        )
    return name, params.arms[name].modality


def _summarise(params: "Params", modality: str, task: str) -> "tuple[list[Part], list[Part], int]":
    """Parts of the model, projectors of its branches, and the model's parameters."""
    from pipeline.networks.model import BevModel
    from pipeline.networks.summary import count_parameters, summarise, summarise_projector
    from pipeline.networks.synthetic import make_batch
    from pipeline.params import load_runtime
    from pipeline.preflight.training_step import sweep_points
    from pipeline.training.device import place

    device = place(load_runtime(), seed=0)
    network = BevModel(params.networks, params.frames, modality, task).to(device)
    inputs = make_batch(params.frames, sweep_points(params), images=modality == "LC", batch=1, device=device)
    embedding, drawn = params.networks.embedding, params.pretrain_lidar.rich + params.pretrain_lidar.less
    projectors = [summarise_projector("LiDAR projector", network.lidar.out_channels, embedding, drawn, device)]
    if network.camera is not None:
        channels, drawn = network.camera.out_channels, params.distill_camera.rich + params.distill_camera.less
        projectors.append(summarise_projector("camera projector", channels, embedding, drawn, device))
    return summarise(network, inputs), projectors, count_parameters(network)


def _table(title: str, parts: "list[Part]", projectors: "list[Part]") -> "Table":
    from rich.table import Table

    table = Table("part", "output", "parameters", "GFLOPs", title=title)
    for column in table.columns[2:]:
        column.justify = "right"
    for part in parts:
        table.add_row(*_row(part))
    table.add_section()
    counted = sum(part.gflops for part in parts if part.gflops is not None)
    least = "" if all(part.gflops is not None for part in parts) else "at least "
    table.add_row("all", "", f"{sum(part.parameters for part in parts):,}", f"{least}{counted:,.3f}")
    table.add_section()
    for part in projectors:
        table.add_row(*_row(part))
    return table


def _row(part: "Part") -> list[str]:
    shapes = [
        ("" if name.isdigit() else f"{name} ") + " x ".join(map(str, shape)) for name, shape in part.outputs.items()
    ]
    gflops = "not counted" if part.gflops is None else f"{part.gflops:,.3f}"
    return [part.name, "\n".join(shapes), f"{part.parameters:,}", gflops]
