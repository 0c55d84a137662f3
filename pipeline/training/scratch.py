"""The folder of a training that is not published yet. Works without torch, whose import takes seconds."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.artifacts.card import dump_json, identity, plain
from pipeline.artifacts.code import code_record
from pipeline.artifacts.publish import publish
from pipeline.training.disk import told_when_full

FINISHED = "finished"  # the whole checkpoint, of a training that ran ahead of its stage


def scratch_folder(stage: str, params: Mapping[str, Any], inputs: Iterable[Path]) -> Path:
    """Where a run keeps its resume state: a name that no other params, inputs or code can arrive at."""
    made_of = {
        "params": plain(params),
        "inputs": [identity(path) for path in inputs],
        "code": code_record(stage, Path.cwd())["digest"],
    }
    return Path("scratch", stage, hashlib.sha256(dump_json(made_of)).hexdigest()[:16])


def publish_finished(scratch: Path, final: Path) -> bool:
    """Publishes the checkpoint that a training ahead left in its scratch folder; False where there is none.

    Raises:
        UserError: there is no room; the finished checkpoint stays in the scratch folder.
    """
    if not (scratch / FINISHED).is_dir():
        return False
    with told_when_full(final, "nothing was published, the finished training is whole"), publish(final) as draft:
        shutil.copytree(scratch / FINISHED, draft, dirs_exist_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)
    return True
