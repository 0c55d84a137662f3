"""What a check says."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the outcome.

    Attributes:
        subject: what was looked at.
        said: what was found.
        status: ok; warning: it works, but not as it should; problem: `dvc repro` cannot work.
        remedy: what to do about it; empty where all is well.
    """

    subject: str
    said: str
    status: Status = "ok"
    remedy: str = ""
