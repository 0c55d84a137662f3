"""git, DVC, its cache and lock, and the disks below them."""

from pathlib import Path
from typing import Any

from pipeline.artifacts.view import git, uncommitted
from pipeline.doctor.finding import Finding, Status
from pipeline.preflight.machine import free_disk

NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "lustre", "glusterfs", "ceph", "fuse.sshfs", "9p")
DECIDING = ("dvc.lock", "dvc.yaml", "params.yaml")
LITTLE, TOO_LITTLE = 10.0, 1.0  # GB free
GB = 1e9
# The links that DVC would use, tried out as `dvc doctor` does; a cache that is not made yet has its folder's disk.
DVC = """
import json, os
from dvc import __version__
from dvc.repo import Repo
from dvc_objects.fs import generic
with Repo() as repo:
    cache = repo.cache.local
    made = os.path.isdir(cache.path)
    links = generic.test_links(list(cache.cache_types), cache.fs, cache.path, repo.fs, repo.root_dir) if made else []
    print(json.dumps({
        "version": __version__, "root": repo.root_dir, "cache": cache.path, "made": made,
        "wanted": list(cache.cache_types), "links": links,
    }))
"""


def check_dvc(answer: dict[str, Any] | str) -> list[Finding]:
    """What the program `DVC` answered: the repository, its cache and how files are linked from it."""
    if isinstance(answer, str):
        remedy = "run it in the project's root; a folder that was not cloned needs `git init` and `dvc init`"
        return [Finding("dvc", f"no repository can be opened: {answer}", "problem", remedy)]
    found = [Finding("dvc", f"{answer['version']}, repository {answer['root']}")]
    if not answer["made"]:
        return [*found, Finding("cache", f"{answer['cache']}: not made yet, `dvc repro` does it")]
    system = file_system(Path(answer["cache"]))
    said = f"{answer['cache']} on {system}, linked by {answer['links'][0] if answer['links'] else 'nothing'}"
    if not answer["links"] or answer["links"][0] == "copy":
        remedy = "put the cache on the project's disk (`dvc cache dir --local PATH`), or allow symlinks: "
        remedy += "`dvc config --local cache.type reflink,hardlink,symlink`"
        return [*found, Finding("cache", f"{said}: every artifact takes its size twice", "warning", remedy)]
    if system in NETWORKED:
        remedy = "`dvc config --local core.hardlink_lock true` where locks fail there"
        return [*found, Finding("cache", f"{said}, which is a network", "warning", remedy)]
    return [*found, Finding("cache", said)]


def check_lock() -> list[Finding]:
    """Whether git holds what DVC recorded, and what decided it."""
    tracked = git("ls-files", "--", "dvc.lock")
    if tracked is None:
        return [Finding("git", "this is no git repository", "problem", "clone the project instead of copying it")]
    if not Path("dvc.lock").is_file():
        return [Finding("dvc.lock", "not there: nothing ran here yet", "warning", "run `dvc repro`")]
    changed = [path for path in uncommitted() if path in DECIDING or path.startswith("conf/")]
    if changed:
        remedy = "commit them together, so that results can be traced; `calico diff HEAD` says what changed"
        return [Finding("dvc.lock", f"not committed: {', '.join(changed)}", "warning", remedy)]
    return [Finding("dvc.lock", "committed, as are dvc.yaml, params.yaml and conf")]


def check_disk(answer: dict[str, Any] | str) -> list[Finding]:
    """Room for artifacts, where the project and the cache lie."""
    places = [Path()] if isinstance(answer, str) else [Path(), Path(answer["cache"])]
    free = min(free_disk(place) for place in places) / GB
    said = f"{free:,.1f} GB free on {file_system(Path())}"
    if free < LITTLE:
        status: Status = "problem" if free < TOO_LITTLE else "warning"
        remedy = "free some; `dvc gc --workspace` drops what no params here need; `calico preflight` says how much"
        return [Finding("disk", said, status, remedy)]
    return [Finding("disk", said)]


def file_system(path: Path) -> str:
    """The type of the file system that `path` lies or would lie on, e.g. ext4."""
    place, best = path.absolute(), ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, kind, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if place.is_relative_to(mount) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
