"""Which project files a stage runs: its import closure, found without running anything."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def import_closure(entry: Path, root: Path) -> tuple[str, ...]:
    """Every project file that `entry` imports, directly or not, `entry` included.

    Imports inside functions count, `if TYPE_CHECKING:` blocks do not; the `__init__.py` of every package on the way
    counts, since Python runs it.

    Args:
        entry: a Python file below `root`.
        root: the project's root; modules that are not found below it belong to other packages.

    Returns:
        Sorted POSIX paths relative to `root`.
    """
    found: set[Path] = set()
    waiting = [entry.resolve()]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for module in _imported(file, root.resolve()):
            waiting.extend(_files(module, root.resolve()))
    return tuple(sorted(file.relative_to(root.resolve()).as_posix() for file in found))


def code_record(stage: str, root: Path) -> dict[str, Any]:
    """Digests of the code of a stage: `{"digest", "files": {path: SHA-256}}`; no files when there is no such stage."""
    entry = root / "stages" / f"{stage}.py"
    closure = import_closure(entry, root) if entry.is_file() else ()
    files = {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in closure}
    whole = hashlib.sha256("".join(f"{path} {digest}\n" for path, digest in files.items()).encode())
    return {"digest": whole.hexdigest(), "files": files}


def _imported(file: Path, root: Path) -> Iterator[str]:
    """Dotted names of what a file imports; `from a import b` gives both a and a.b, since b may be a module."""
    package = file.relative_to(root).parent.parts
    for node in _running(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but the bodies of `if TYPE_CHECKING:`."""
    yield node
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children = list(node.orelse)
    for child in children:
        yield from _running(child)


def _files(module: str, root: Path) -> Iterator[Path]:
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if candidate.is_file():
                yield candidate
                break
