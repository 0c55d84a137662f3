"""card.json: what an artifact is made of, so that every result can be traced back to its inputs and checked.

A card lists the SHA-256 of every other file of its folder and the identity of every input. The identity of an artifact
is the SHA-256 of its card, so cards form a Merkle chain: whoever knows one identity can check everything above it.
Nothing in a card depends on the time, the machine's name or where the project lies.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.artifacts.code import code_record
from pipeline.artifacts.environment import environment
from pipeline.artifacts.publish import write_file
from pipeline.errors import UserError

CARD = "card.json"
WEIGHTS = "weights.safetensors"
REMEDY = "make the artifact again with dvc repro"
PARTS = {"kind": str, "stage": str, "files": dict, "inputs": list, "params": dict, "code": dict, "labels": dict}
OUTSIDE = "outside:"  # prefix of a path that is not below the project's root; only its last part is kept


def write_card(
    folder: Path,
    *,
    kind: str,
    stage: str,
    params: Mapping[str, Any],
    inputs: Iterable[Path],
    seeds: Iterable[int] = (),
    labelled: Iterable[str] = (),
    outside_labels: Iterable[str] = (),
    metrics: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> str:
    """Writes `folder/card.json`, after every other file of the folder; the working directory is the project's root.

    Args:
        folder: a folder that is about to be published.
        kind: what it is, e.g. "regions" or "checkpoint".
        stage: name of the stage: the import closure of stages/<stage>.py is recorded as its code.
        params: resolved values that made it; dataclasses are taken apart.
        inputs: artifact folders, other folders or single files that were read.
        seeds: seeds that the stage drew from.
        labelled: tokens of the samples whose annotations influenced it; those behind its inputs are added.
        outside_labels: names of label sets outside the data set that influenced it, e.g. "ImageNet-1k"; the same.
        metrics: numbers worth reading beside the artifact; NaN and infinity become null.
        details: anything else, e.g. tensor shapes.
        device: class of the device that computed it, e.g. "cpu" or "NVIDIA H200".

    Returns:
        The artifact's identity.

    Raises:
        UserError: an input does not exist, or its card is not readable.
    """
    sources = [(portable(str(path)), path) for path in inputs]
    card = {
        "kind": kind,
        "stage": stage,
        "files": file_digests(folder),
        "inputs": [{"path": name, "identity": identity(path)} for name, path in sorted(sources)],
        "params": params,
        "code": code_record(stage, Path.cwd()),
        "seeds": sorted(set(seeds)),
        "labels": label_ledger(labelled, [path for _, path in sources], outside_labels),
        "environment": digested(environment(device)),
        "metrics": metrics or {},
        "details": details or {},
    }
    sealed = plain(card)
    sealed["seal"] = seal(sealed)
    content = dump_json(sealed)
    write_file(folder / CARD, content)
    return hashlib.sha256(content).hexdigest()


def read_card(folder: Path) -> dict[str, Any]:
    """The card of an artifact folder.

    Raises:
        UserError: there is none, it is not JSON, it lacks a part, or it was edited after it was written.
    """
    path = folder / CARD
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError("the artifact has no card", where=str(path), remedy=REMEDY) from None
    except OSError as error:
        raise UserError(f"the card cannot be read: {error}", where=str(path), remedy=REMEDY) from None
    return parse_card(content, str(path))


def parse_card(content: bytes, where: str) -> dict[str, Any]:
    """A card from its bytes, wherever they come from; `where` names them in errors, which are those of `read_card`."""
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the card cannot be read: {error}", where=where, remedy=REMEDY) from None
    if not isinstance(card, dict) or any(not isinstance(card.get(part), form) for part, form in PARTS.items()):
        raise UserError("the card lacks a part", where=where, remedy=REMEDY)
    digests = [card["files"], card["code"].get("files"), *card["inputs"]]
    if not all(isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values()) for entry in digests):
        raise UserError(
            "the card lacks a part: files, inputs and code are names with digests", where=where, remedy=REMEDY
        )
    if card.get("seal") != seal(card):
        raise UserError("the card was edited: its seal does not fit", where=where, remedy=REMEDY)
    return card


def identity(path: Path) -> str:
    """SHA-256 of the card; of a folder without one: over the names and digests of its files; of a file: its bytes.

    Raises:
        UserError: there is nothing at `path`.
    """
    if (path / CARD).is_file():
        return _digest(path / CARD)
    if path.is_dir():
        listing = "".join(f"{name} {digest}\n" for name, digest in file_digests(path).items())
        return hashlib.sha256(listing.encode()).hexdigest()
    if path.is_file():
        return _digest(path)
    raise UserError("the input does not exist", where=str(path), remedy="make it with dvc repro, or check the path")


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder but its card, by sorted POSIX path relative to it."""
    files = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())
    return {name: _digest(path) for name, path in files if name != CARD}


def carded(path: Path) -> list[Path]:
    """The artifacts at or below a path: the folder itself, or where it has no card every folder below that has one."""
    return [path] if (path / CARD).is_file() else sorted(card.parent for card in path.rglob(CARD))


def label_ledger(labelled: Iterable[str], inputs: Iterable[Path], outside: Iterable[str] = ()) -> dict[str, Any]:
    """Which annotations influenced an artifact: its own samples and, as `inherited`, those behind its inputs.

    A ledger entry is `{"count", "sha256"}` over the sorted tokens, one a line. Labels of other data sets, which start
    weights may have seen, are named under `outside`; a ledger without that key knows of none.
    """
    tokens = sorted(set(labelled))
    ledgers = [read_card(folder)["labels"] for path in inputs for folder in carded(path)]
    entries = {(entry["sha256"], entry["count"]) for ledger in ledgers for entry in [ledger, *ledger["inherited"]]}
    inherited = [{"count": count, "sha256": digest} for digest, count in sorted(entries) if count]
    digest = hashlib.sha256("".join(f"{token}\n" for token in tokens).encode()).hexdigest()
    named = sorted({*outside, *(name for ledger in ledgers for name in ledger.get("outside", []))})
    ledger = {"count": len(tokens), "sha256": digest, "inherited": inherited}
    return {**ledger, "outside": named} if named else ledger


def digested(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its own SHA-256 under `digest`, so that two of them are compared at a glance."""
    return {"digest": hashlib.sha256(dump_json(plain(record))).hexdigest(), **record}


def seal(card: Mapping[str, Any]) -> str:
    """SHA-256 over a card without its seal: tells an edited card even where nothing was made from it yet."""
    return hashlib.sha256(dump_json({key: value for key, value in card.items() if key != "seal"})).hexdigest()


def dump_json(content: Mapping[str, Any]) -> bytes:
    """The one JSON form of this project's records: sorted keys, two spaces, no NaN, a final newline."""
    return (json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain(value: Any) -> Any:
    """Plain JSON values; paths outside the project are cut to their last part, since they differ between machines."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) and (value.startswith("/") or value.split("/")[0] == ".."):
        return portable(value)
    if isinstance(value, Path):
        return portable(str(value))
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a card cannot hold {type(value).__name__}")


def portable(path: str) -> str:
    """A path relative to the project's root (the working directory); outside of it, `OUTSIDE` and its last part."""
    absolute = Path(path).absolute()
    pure = PurePosixPath(path)
    if ".." not in pure.parts and absolute.is_relative_to(Path.cwd()):
        return absolute.relative_to(Path.cwd()).as_posix()
    return OUTSIDE + pure.name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
