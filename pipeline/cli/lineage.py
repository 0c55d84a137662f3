"""`calico audit | diff | lineage | ls | export`: where artifacts come from. Heavy imports wait until they run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.completion import complete_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table
    from rich.tree import Tree

    from pipeline.artifacts.audit import Link
    from pipeline.artifacts.difference import Difference
    from pipeline.artifacts.listing import Row

SCREEN = 15  # rows of a table, so that the answer stays on one screen
PLAIN: "dict[str, Any]" = {"box": None, "title_justify": "left", "pad_edge": False}  # tables without lines
HEADLINES = ("NDS", "mAP", "mIoU_best", "mIoU_at_half")  # of a scored checkpoint; of another one, its last loss
PLACE = "A folder or file, e.g. data/regions; PATH@rev reads a commit, tag or DVC experiment without a checkout."


def audit(
    path: Annotated[str, typer.Argument(metavar="PATH[@REV]", help=PLACE, autocompletion=complete_artifact)],
    deep: Annotated[bool, typer.Option("--deep", help="Hash shards and raw sensor files, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole tree as JSON.")] = False,
) -> None:
    """Check an artifact and all it was made from.

    Back to the raw data: every link is hashed again and held against its card, dvc.lock, params.yaml and the code.
    Exit code 1 when anything does not fit.

    \b
    Examples:
      calico audit data/results/calico
      calico audit reports@HEAD --deep
    """
    from rich.console import Console

    from pipeline.artifacts.audit import audit as check
    from pipeline.artifacts.card import dump_json
    from pipeline.artifacts.view import open_target

    target = open_target(path)
    here = target.view.name == "workspace"
    link = check(target.path, target.view, deep=deep, sensor_files=_sensor_files if here else tuple)
    if json:
        typer.echo(dump_json(link.to_json()).decode(), nl=False)
    else:
        console = Console()
        console.print(_tree(link, set()))
        console.print(_verdict(link))
    raise typer.Exit(0 if link.ok else 1)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="An artifact, PATH or PATH@rev; a revision; an experiment.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; `workspace` is what lies here.")] = "workspace",
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Explain why two artifacts or revisions differ.

    Of experiments, too. Exit code 1 when they differ.

    \b
    Examples:
      calico diff HEAD
      calico diff data/regions@HEAD~1 data/regions
    """
    from rich.console import Console

    from pipeline.artifacts.card import dump_json, plain
    from pipeline.artifacts.difference import compare
    from pipeline.artifacts.view import open_target

    one = open_target(a, whole=True)
    other = one._replace(view=open_target(b, whole=True).view) if b == "workspace" else open_target(b, whole=True)
    found = compare(one, other)
    if json:
        typer.echo(dump_json(plain(found.to_json())).decode(), nl=False)
    else:
        _show_difference(found, a, b, Console(width=max(Console().width, 100)))
    raise typer.Exit(1 if found.causes else 0)


def lineage(
    path: Annotated[str, typer.Argument(metavar="PATH[@REV]", help=PLACE, autocompletion=complete_artifact)],
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one page, graph and cards.")
    ] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid flowchart; without --html, too.")] = False,
) -> None:
    """Draw what an artifact was made from.

    Links that do not fit are red.

    \b
    Examples:
      calico lineage data/results/calico --html lineage.html
      calico lineage data/checkpoints/pretrain_lidar/prc --mermaid
    """
    from pipeline.artifacts.audit import audit as check
    from pipeline.artifacts.graph import to_html, to_mermaid
    from pipeline.artifacts.view import open_target

    target = open_target(path)
    link = check(target.path, target.view)
    if page is not None:
        page.write_text(to_html(link), encoding="utf-8")
        typer.echo(f"wrote {page}", err=True)
    if mermaid or page is None:
        typer.echo(to_mermaid(link), nl=False)


def ls(json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """List checkpoints, here and in all DVC experiments.

    With arm, labelled frames, scores, and the params that differ from the committed params.yaml. Of an experiment only
    what is not listed above it.

    \b
    Example:
      calico ls
    """
    from dataclasses import asdict

    from rich.console import Console

    from pipeline.artifacts.card import dump_json, plain
    from pipeline.artifacts.listing import list_checkpoints

    rows = list_checkpoints()
    if json:
        typer.echo(dump_json({"checkpoints": [plain(asdict(row)) for row in rows]}).decode(), nl=False)
    elif not rows:
        typer.echo("no checkpoint yet: `dvc repro` makes them, `dvc pull` brings them")
    else:
        Console(width=max(Console().width, 140)).print(_listing(rows))


def export(
    path: Annotated[str, typer.Argument(metavar="PATH[@REV]", help=PLACE, autocompletion=complete_artifact)],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that does not exist yet.")],
    data: Annotated[bool, typer.Option("--data", help="With files of raw data, index, labels and regions.")] = False,
) -> None:
    """Write an artifact with its lineage as an RO-Crate.

    A Workflow Run RO-Crate, e.g. to deposit with a paper.

    \b
    Example:
      calico export data/results/calico --to crate
    """
    from pipeline.artifacts.crate import export as write
    from pipeline.artifacts.view import open_target

    count = write(open_target(path), to, data=data)
    typer.echo(f"wrote {to}: {count} files and ro-crate-metadata.json")


def _show_difference(found: "Difference", a: str, b: str, console: "Console") -> None:
    """Causes with the artifacts they touch, what follows from them, and metrics, all on one screen."""
    from rich.markup import escape
    from rich.table import Table

    # Long names are told once and stand as A and B in the tables.
    for letter, name in (("A", a), ("B", b)):
        console.print(f"{letter}  {name}", markup=False, highlight=False, soft_wrap=True)
    if found.causes:
        table = Table("what", "name", "A", "B", "of its own in", title="Causes", **PLAIN)
        for cause, places in list(found.causes.items())[:SCREEN]:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            table.add_row(*map(escape, (cause.kind, cause.name, cause.a, cause.b, f"{places[0]}{more}")))
        console.print(table)
        _say_rest(len(found.causes), console)
    if found.metrics:
        table = Table("metric", "A", "B", "change", title="Metrics", **PLAIN)
        place = ""
        # Results come last, and the end of a training says more than its start.
        backwards = list(reversed(found.metrics.items()))
        telling = sorted(backwards, key=lambda item: item[0].endswith("_start"))
        for name, (one, other) in telling[:SCREEN]:
            numbers = [value for value in (one, other) if isinstance(value, int | float)]
            change = f"{numbers[1] - numbers[0]:+.4g}" if len(numbers) == 2 else ""
            shown = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in (one, other)]
            last, (place, _, metric) = place, name.rpartition(": ")
            if place != last:
                table.add_row(f"[dim]{escape(place)}[/]")
            table.add_row(*map(escape, (f"  {metric}", *shown, change)))
        console.print(table)
        _say_rest(len(found.metrics), console)
    follows = f"; {len(found.followers)} follow from what is upstream" if found.followers else ""
    console.print(f"{len(found.compared)} artifacts compared, {len(found.equal)} equal{follows}", highlight=False)
    if found.same_bytes:
        console.print(f"equal bytes under another card: {', '.join(found.same_bytes)}", highlight=False)
    console.print(found.verdict, style="yellow" if found.causes or found.missing else "green", highlight=False)


def _say_rest(count: int, console: "Console") -> None:
    if count > SCREEN:
        console.print(f"and {count - SCREEN} more: --json names all", style="dim")


def _listing(rows: "list[Row]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table("where", "checkpoint", "arm", "task", "labels", "seed", "metrics", "params that differ", box=None)
    for row in rows:
        found = row.metrics or {}
        shown = [name for name in HEADLINES if name in found] or [name for name in ("loss_end",) if name in found]
        metrics = ", ".join(f"{name} {found[name]:.4g}" for name in shown)
        share = f" ({row.fraction:.0%})" if row.fraction is not None else ""
        cells = (
            row.where,
            row.path.removeprefix("data/checkpoints/"),
            row.arm,
            row.task,
            row.problem or (" + ".join(map(str, row.labels)) or "0") + share,
            ", ".join(map(str, row.seeds)),
            metrics,
            ", ".join(f"{key}={value}" for key, value in (row.changed or {}).items()),
        )
        table.add_row(*map(escape, cells))
    return table


def _sensor_files() -> "Iterator[str]":
    """What `calico check` finds."""
    from pipeline.frames.verification import verify_files
    from pipeline.params import load_params

    verdict = verify_files(Path("data/index"), Path(load_params().dataset.root), deep=False, threads=8)
    yield from (f"sensor file {fault.problem}: {fault.path}" for fault in verdict.findings.faults)


def _verdict(link: "Link") -> str:
    from pipeline.artifacts.audit import chain

    links = chain(link)
    bad = sorted(path for path, one in links.items() if one.problems)
    if bad:
        return f"[red]something does not fit[/] in {len(bad)} of {len(links)} links: {', '.join(bad)}"
    return f"[green]every link fits[/] ({len(links)} links)"


def _tree(link: "Link", shown: set[str]) -> "Tree":
    """A link in green or red with its problems, notes and inputs; an artifact is unfolded where it is met first."""
    from rich.markup import escape
    from rich.tree import Tree

    colour = "red" if link.problems else "green"
    origin = f" imported from {escape(link.origin)}" if link.origin else ""
    tree = Tree(f"[{colour}]{escape(link.path)}[/] {escape(link.kind)} {link.identity[:12]}{origin}")
    for problem in link.problems:
        tree.add(f"[red]{escape(problem)}[/]")
    if link.path in shown:
        if link.inputs:
            tree.add("[dim]shown above[/]")
        return tree
    shown.add(link.path)
    for note in link.notes:
        tree.add(f"[yellow]{escape(note)}[/]")
    for source in link.inputs:
        tree.add(_tree(source, shown))
    return tree
