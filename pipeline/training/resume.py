"""The state of an unfinished training in one file: what a killed run continues from, to the bit."""

import io
import os
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.training.disk import told_when_full
from pipeline.training.history import History


class Part(Protocol):
    """A module, an optimiser, a schedule, a precision with its gradient scaler, averaged weights, …"""

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the training goes on."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Takes it back."""


class ResumeState:
    """Parts of a training with a state, random states, and the history, whose length is the position."""

    def __init__(self, path: Path, **parts: Part | None) -> None:
        """Reads and writes nothing yet.

        Args:
            path: the file; its folder is that of this run alone (`scratch.scratch_folder`).
            parts: by the name under which the file holds them; None for what this training does without.
        """
        self.path = path
        self.parts = {name: part for name, part in parts.items() if part is not None}

    def save(self, history: History) -> None:
        """Replaces the file: written beside it, flushed to the disk and renamed, so that a kill, a crash or a full disk
        leaves the old state or the new one.

        Raises:
            UserError: there is no room; the old state is still there.
        """
        state = {
            "run": self.path.parent.name,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "random": random_states(),
            "rows": history.rows,
        }
        content = io.BytesIO()  # torch, writing to a full disk by itself, reports something else
        torch.save(state, content)
        draft = self.path.with_suffix(".draft")
        with told_when_full(self.path, "the state of the training was not saved, the one saved before is whole"):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with draft.open("wb") as file:
                    file.write(content.getbuffer())
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self.path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise

    def load(self) -> History:
        """Restores the parts and the random states.

        Returns:
            The history so far; an empty one where nothing was saved.

        Raises:
            UserError: the file is damaged, no state at all, or that of another training. It stays where it is.
        """
        if not self.path.is_file():
            return History()
        state = self._read()
        if not isinstance(state, dict) or state.get("run") != self.path.parent.name:
            raise self._refused("is the state of another training")
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            set_random_states(state["random"])
            return History(state["rows"])
        except (LookupError, AttributeError, ValueError, TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise self._refused(f"does not fit this training ({type(error).__name__}: {reason})") from error

    def _read(self) -> Any:
        try:
            with zipfile.ZipFile(self.path) as archive:  # torch itself does not look at the checksums
                damaged = archive.testzip()
            if damaged:
                raise self._refused(f"is damaged: the checksum of {damaged} is wrong")
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except (zipfile.BadZipFile, UnpicklingError, EOFError, RuntimeError) as error:
            raise self._refused(f"cannot be read ({str(error).splitlines()[0]})") from error

    def _refused(self, what: str) -> UserError:
        return UserError(
            f"the file that the training would continue from {what}",
            where=str(self.path),
            remedy="move it away to begin at step 0 with the same command, or put back the right one from a backup",
        )


def random_states() -> dict[str, Any]:
    """States of the global random generators of Python, numpy, torch and, where it is in use, CUDA; plain values."""
    numpy: Any = np.random.get_state()  # noqa: NPY002 - other people's code may draw from it
    name, keys, *rest = numpy
    states = {"python": random.getstate(), "numpy": (name, keys.tolist(), *rest), "torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: Mapping[str, Any]) -> None:
    """Restores what `random_states` gave; that of CUDA where CUDA is in use again."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(states["cuda"])
