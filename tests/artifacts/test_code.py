"""The import closure: against hand-made trees, and against what Python really imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.artifacts.code import code_record, import_closure

ROOT = Path(__file__).parents[2]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            "stages/go.py": "import json\nfrom lib.a import thing\ndef f():\n    from lib import lazy\n",
            "lib/__init__.py": "",
            "lib/a.py": "from . import b\nfrom .deep.c import d as e\n",
            "lib/b.py": "import lib.a\n",
            "lib/lazy.py": "",
            "lib/deep/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lib.typed\n",
            "lib/deep/c.py": "try:\n    import missing\nexcept ImportError:\n    from ..fallback import *\n",
            "lib/fallback.py": "",
            "lib/typed.py": "",
            "lib/unused.py": "",
        },
    )
    return tmp_path


def test_closure_follows_every_form_of_import(project: Path) -> None:
    expected = "lib/__init__ lib/a lib/b lib/deep/__init__ lib/deep/c lib/fallback lib/lazy stages/go".split()  # noqa: SIM905
    assert import_closure(project / "stages/go.py", project) == tuple(f"{name}.py" for name in expected)


def test_record_changes_with_any_file_of_the_closure_and_with_no_other(project: Path) -> None:
    before = code_record("go", project)
    assert set(before["files"]) == set(import_closure(project / "stages/go.py", project))
    (project / "lib/unused.py").write_text("changed = 1\n")
    assert code_record("go", project) == before
    (project / "lib/lazy.py").write_text("changed = 1\n")
    after = code_record("go", project)
    assert after["digest"] != before["digest"]
    assert [name for name in before["files"] if before["files"][name] != after["files"][name]] == ["lib/lazy.py"]


def test_no_stage_file_gives_no_files(project: Path) -> None:
    assert code_record("none", project)["files"] == {}


def test_closure_covers_what_python_loads() -> None:
    program = """if True:
        import json, sys, pipeline.artifacts.audit
        print(json.dumps([path for module in sys.modules.values() if (path := getattr(module, "__file__", None))]))
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [Path(name).resolve() for name in json.loads(done.stdout)]
    loaded = {path.relative_to(ROOT).as_posix() for path in paths if path.is_relative_to(ROOT / "pipeline")}
    assert loaded == set(import_closure(ROOT / "pipeline/artifacts/audit.py", ROOT))
