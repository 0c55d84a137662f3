"""How a stage that meets bad input ends: one screen, exit code 2, no traceback; other failures keep theirs."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError, user_errors

ROOT = Path(__file__).parents[1]


def test_user_error_as_a_process() -> None:
    program = """if True:
        from pipeline.errors import UserError, user_errors
        with user_errors():
            raise UserError("the sky is missing", where="data/sky", remedy="look up")
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: the sky is missing\n  where:  data/sky\n  remedy: look up\n"


def test_other_errors_pass_and_good_ends_stay_good() -> None:
    with pytest.raises(KeyError), user_errors():
        raise KeyError("bug")
    with user_errors():
        pass
    with pytest.raises(SystemExit), user_errors():
        raise UserError("a", where="b", remedy="c")
