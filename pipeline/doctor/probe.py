"""Imports in a process of their own: a broken package cannot take the doctor with it, and several load side by side."""

import json
import subprocess
import sys
from typing import Any

PATIENCE = 60.0  # seconds


class ImportProbe:
    """Runs a few lines of Python that print one JSON object as their last line."""

    def __init__(self, program: str) -> None:
        """Starts at once; `answer` waits."""
        command, pipe = [sys.executable, "-c", program], subprocess.PIPE
        self._process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)  # noqa: S603 - our own programs

    def answer(self) -> dict[str, Any] | str:
        """The object, or the last line of what went wrong."""
        try:
            out, error = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return f"no answer within {PATIENCE:.0f} s"
        try:
            return dict(json.loads(out.strip().splitlines()[-1]))
        except (ValueError, IndexError):
            lines = error.strip().splitlines()
            return lines[-1] if lines else f"the process ended with code {self._process.returncode}"
