"""Python, the packages that are installed, and optional programs."""

import platform
import shutil
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from pipeline.doctor.finding import Finding

LOCK = Path("requirements.lock")
OLDEST, NEWEST = (3, 11), (3, 12)
SHOWN = 3  # packages that are named
INSTALL = "run `make .venv/.installed`, or `pip install -r requirements.lock`"


def check_python() -> list[Finding]:
    """The version that runs."""
    said = f"{platform.python_version()} in {sys.prefix}"
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        wanted = " or ".join(".".join(map(str, version)) for version in (OLDEST, NEWEST))
        return [Finding("python", said, "problem", f"take Python {wanted}")]
    return [Finding("python", said)]


def check_packages() -> list[Finding]:
    """Every line of requirements.lock against what is installed."""
    if not LOCK.is_file():
        return [Finding("packages", f"there is no {LOCK}", "problem", "run it in the project's root")]
    missing, other = [], []
    pinned = _pinned(LOCK.read_text(encoding="utf-8"))
    for name, version in pinned.items():
        installed = _version(name)
        if installed is None:
            missing.append(name)
        # A local part, as in 2.6.0+cu126, says which build of the same version it is.
        elif installed.partition("+")[0] != version.partition("+")[0]:
            other.append(f"{name} {installed} instead of {version}")
    if missing:
        return [Finding("packages", f"not installed: {_some(missing)}", "problem", INSTALL)]
    if other:
        remedy = f"{INSTALL}; results under other versions are another environment on their cards"
        return [Finding("packages", f"other versions: {_some(other)}", "warning", remedy)]
    return [Finding("packages", f"all {len(pinned)} are those of {LOCK}")]


def check_optional() -> list[Finding]:
    """What only some commands and tests need."""
    browser = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    rerun = _version("rerun-sdk") if find_spec("rerun") else None
    return [
        Finding("chromium", browser or "not installed; only tests of the report page need it"),
        Finding("rerun", rerun or 'not installed; `calico view --rerun` needs it: pip install "calico[view]"'),
    ]


def _pinned(lock: str) -> dict[str, str]:
    """Name to version of the lines that apply to this Python and platform."""
    from packaging.requirements import Requirement

    lines = [line.partition("#")[0].strip() for line in lock.splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {
        one.name: next(iter(one.specifier)).version for one in wanted if one.marker is None or one.marker.evaluate()
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
