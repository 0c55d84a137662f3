"""`calico audit`: where an artifact comes from, proven. Heavy imports wait until it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.tree import Tree

    from pipeline.artifacts.audit import Link

PLACE = "A folder or file, e.g. data/regions; PATH@rev reads a commit, tag or DVC experiment without a checkout."


def audit(
    path: Annotated[str, typer.Argument(metavar="PATH[@REV]", help=PLACE)],
    deep: Annotated[bool, typer.Option("--deep", help="Hash shards and raw sensor files, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole tree as JSON.")] = False,
) -> None:
    """Check an artifact and all it was made from, back to the raw data. Exit code 1 when anything does not fit.

    Every link is hashed again and held against its card, dvc.lock, params.yaml and the code.
    """
    from dataclasses import asdict

    from rich.console import Console

    from pipeline.artifacts.audit import audit as check
    from pipeline.artifacts.card import dump_json
    from pipeline.artifacts.view import open_target

    target = open_target(path)
    here = target.view.name == "workspace"
    link = check(target.path, target.view, deep=deep, sensor_files=_sensor_files if here else tuple)
    if json:
        typer.echo(dump_json(asdict(link)).decode(), nl=False)
    else:
        console = Console()
        console.print(_tree(link, set()))
        console.print(_verdict(link))
    raise typer.Exit(0 if link.ok else 1)


def _sensor_files() -> "Iterator[str]":
    """What `calico check` finds."""
    from pipeline.frames.verification import verify_files
    from pipeline.params import load_params

    verdict = verify_files(Path("data/index"), Path(load_params().dataset.root), deep=False, threads=8)
    yield from (f"sensor file {fault.problem}: {fault.path}" for fault in verdict.findings.faults)


def _verdict(link: "Link") -> str:
    links: dict[str, bool] = {}
    _collect(link, links, set())
    bad = sorted(path for path, sound in links.items() if not sound)
    if bad:
        return f"[red]something does not fit[/] in {len(bad)} of {len(links)} links: {', '.join(bad)}"
    return f"[green]every link fits[/] ({len(links)} links)"


def _collect(link: "Link", links: dict[str, bool], visited: set[int]) -> None:
    """Whether each path is sound wherever it is met: one reader may have read what another found swapped."""
    links[link.path] = links.get(link.path, True) and not link.problems
    if id(link) not in visited:
        visited.add(id(link))
        for source in link.inputs:
            _collect(source, links, visited)


def _tree(link: "Link", shown: set[str]) -> "Tree":
    """A link in green or red with its problems, notes and inputs; an artifact is unfolded where it is met first."""
    from rich.markup import escape
    from rich.tree import Tree

    colour = "red" if link.problems else "green"
    tree = Tree(f"[{colour}]{escape(link.path)}[/] {escape(link.kind)} {link.identity[:12]}")
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
