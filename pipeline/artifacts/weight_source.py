"""Weights that no stage of this project made: conf/weights/*.yaml says where they lie and which labels they saw."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.strict_yaml import read_model

NO_LABELS = "none"


@dataclass(frozen=True)
class WeightSource:
    """One file of conf/weights.

    Attributes:
        source: random = drawn from the seed of the run; file = a safetensors file on this machine; timm = what the
            local cache of the Hugging Face hub holds of a timm model. Nothing is ever downloaded.
        labels: which labels the weights saw, e.g. "ImageNet-1k", or "none".
        file: path of the file, from the project's root.
        model: timm name with its tag, e.g. swin_tiny_patch4_window7_224.ms_in1k.
        sha256: of the file, so that a card that knows this YAML file knows the weights.
    """

    source: Literal["random", "file", "timm"]
    labels: str
    file: str | None = None
    model: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        wanted = {"random": None, "file": "file", "timm": "model"}[self.source]
        for name in ("file", "model"):
            if (getattr(self, name) is not None) != (name == wanted):
                raise ValueError(f"source: {self.source} takes {wanted or 'neither file nor model'}, and no other")
        if self.source == "random" and (self.labels, self.sha256) != (NO_LABELS, None):
            raise ValueError("random weights saw no labels and have no sha256")
        if not self.labels:
            raise ValueError("labels names what the weights saw, or none")


def read_source(path: Path) -> WeightSource:
    """Reads a file of conf/weights.

    Raises:
        UserError: it is missing, or no `WeightSource`.
    """
    return read_model(WeightSource, path)


def labels_seen(path: Path) -> list[str]:
    """Labels outside this project behind a start: of a YAML file what it says; a folder's card is read anyway."""
    return [label for label in [read_source(path).labels] if label != NO_LABELS] if path.suffix == ".yaml" else []


def read_weights_file(path: Path) -> bytes:
    """The checked content of the file that a YAML file of conf/weights stands for; empty for random weights.

    Raises:
        UserError: the file is not there, its digest is not given, or it is another one.
    """
    source = read_source(path)
    if source.source == "random":
        return b""
    file = Path(source.file) if source.file is not None else _cached(str(source.model), path)
    try:
        content = file.read_bytes()
    except OSError as error:
        remedy = f"put the file there, or correct `file` in {path}"
        raise UserError(f"the start weights cannot be read: {error.strerror}", where=str(file), remedy=remedy) from None
    digest = hashlib.sha256(content).hexdigest()
    if source.sha256 is None:
        raise UserError("the start weights are not pinned", where=f"{path}: sha256", remedy=f"write sha256: {digest}")
    if source.sha256 != digest:
        remedy = f"bring back the file of that digest, or, if this one is meant, write sha256: {digest} into {path}"
        raise UserError("the start weights are another file than the one named", where=str(file), remedy=remedy)
    return content


def _cached(model: str, path: Path) -> Path:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(f"timm/{model}", "model.safetensors")
    if not isinstance(found, str):
        raise UserError(
            f"the local cache of the Hugging Face hub does not hold timm/{model}; a stage never downloads",
            where=f"{path}: model",
            remedy=f"run `hf download timm/{model} model.safetensors` once, or name a local file with source: file",
        )
    return Path(found)
