"""An artifact is whole or absent, also when the process is killed in the middle."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.artifacts.publish import publish, strays, write_file

ROOT = Path(__file__).parents[2]


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def publish_text(final: Path, **files: str) -> None:
    with publish(final) as draft:
        for name, text in files.items():
            (draft / name).write_text(text)


def test_publishes_into_missing_parents_and_leaves_no_strays(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "er" / "out"
    publish_text(final, a="1")
    assert content(tmp_path) == {"deep/er/out/a": "1"}


def test_replaces_the_old_artifact_whole_also_read_only_hard_links(tmp_path: Path) -> None:
    final, cached = tmp_path / "out", tmp_path / "cached"
    publish_text(final, a="old", gone="old")
    os.link(final / "a", cached)
    cached.chmod(0o444)
    publish_text(final, a="new")
    assert content(final) == {"a": "new"}
    assert cached.read_text() == "old"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_one_and_nothing_else(failure: type[BaseException], tmp_path: Path) -> None:
    publish_text(tmp_path / "out", a="old")
    with pytest.raises(failure), publish(tmp_path / "out") as draft:
        (draft / "a").write_text("half")
        raise failure
    assert content(tmp_path) == {"out/a": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_first_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), publish(tmp_path / "out") as draft:
        (draft / "a").write_text("half")
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from pipeline.artifacts import publish as room

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    moment, final = sys.argv[1], Path(sys.argv[2])
    if moment == "flush":
        room._flush = die
    if moment in ("first rename", "second rename", "last flush", "removal"):
        rename = Path.rename
        def counted(self, target, count=[0]):
            count[0] += 1
            if count[0] == {"first rename": 1, "second rename": 2}.get(moment):
                die()
            return rename(self, target)
        Path.rename = counted
    if moment == "last flush":
        flush = room._flush_folder
        room._flush_folder = lambda path: die() if path == final.parent else flush(path)
    with room.publish(final) as draft:
        (draft / "a").write_text("new")
        if moment == "writing":
            (draft / "b").open("w").write("half")
            die()
        (draft / "b").write_text("new")
        if moment == "removal":
            room._remove = die
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("writing", "old"),
        ("flush", "old"),
        ("first rename", "old"),
        ("second rename", None),
        ("last flush", "new"),
        ("removal", "new"),
    ],
)
def test_kill_at_any_moment_leaves_old_new_or_nothing_and_the_next_run_cleans(
    moment: str, left: str | None, tmp_path: Path
) -> None:
    final = tmp_path / "out"
    publish_text(final, a="old", b="old")
    program = [sys.executable, "-c", textwrap.dedent(KILLED), moment, str(final)]
    killed = subprocess.run(program, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (content(final) if final.exists() else None) == ({"a": left, "b": left} if left else None)

    # The next run brings the old artifact back, also if the kill fell between the two renames.
    with pytest.raises(RuntimeError), publish(final):
        raise RuntimeError
    assert content(tmp_path) == {f"out/{name}": left or "old" for name in ("a", "b")}
    publish_text(final, a="newer")
    assert content(tmp_path) == {"out/a": "newer"}
    assert not any(stray.exists() for stray in strays(final))


def test_write_file_replaces_whole_and_breaks_hard_links(tmp_path: Path) -> None:
    path, linked = tmp_path / "a", tmp_path / "linked"
    write_file(path, b"old")
    os.link(path, linked)
    write_file(path, b"new")
    assert (path.read_bytes(), linked.read_bytes()) == (b"new", b"old")
    assert len(list(tmp_path.iterdir())) == 2
