"""Which logs an Argoverse 2 root holds, written down once: the small folder that stands for nuScenes' tables.

The sensor dataset has no tables, and DVC must not hash terabytes of sweeps to learn that nothing changed. So the survey
lists every log with its sweeps and the digests of its poses and calibration; the stages depend on it alone.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.frames.argoverse_log import AGAIN, CALIBRATION, POSES, SWEEPS

LOGS, SPLITS = "logs.json", "splits.json"  # in <root>/<version>; splits.json has the form of nuScenes'
SURVEY = "run `calico survey`"


@dataclass(frozen=True)
class Log:
    """One log as the survey saw it.

    Attributes:
        folder: relative to the dataset root.
        sweeps: time stamps, nanoseconds, ascending.
        digests: file, relative to the folder, to its SHA-256: poses and calibration.
    """

    folder: str
    sweeps: tuple[int, ...]
    digests: dict[str, str]


def survey(root: Path, version: str) -> dict[str, Log]:
    """Writes `<root>/<version>` for the logs at `<root>/<log>` and `<root>/<split>/<log>`.

    A log below a split folder belongs to that split, all others to the split `all`.

    Returns:
        Name of the log to what it holds.

    Raises:
        UserError: no log, two of one name, one without sweeps, poses or calibration; or the folder cannot be written.
    """
    folders = sorted({*root.glob(f"*/{SWEEPS}"), *root.glob(f"*/*/{SWEEPS}")})
    if not folders:
        raise UserError(
            "no log of the Argoverse 2 sensor dataset is here",
            where=f"dataset.root = {root}",
            remedy=f"name the folder that holds <log>/{SWEEPS} or <split>/<log>/{SWEEPS}",
        )
    logs: dict[str, Log] = {}
    splits: dict[str, list[str]] = {}
    for folder in (path.parents[1] for path in folders):
        if folder.name in logs:
            raise UserError("two logs have one name", where=str(folder), remedy="remove one of them")
        logs[folder.name] = _look_at(root, folder)
        splits.setdefault("all" if folder.parent == root else folder.parent.name, []).append(folder.name)
    out = root / version
    try:
        out.mkdir(exist_ok=True)
        for name, content in ((LOGS, {name: asdict(log) for name, log in logs.items()}), (SPLITS, splits)):
            (out / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"the survey cannot be written ({error.strerror})",
            where=str(out),
            remedy="where the data are read-only, set dataset.root to a folder of links to the split folders or logs",
        ) from error
    return logs


def read_survey(root: Path, version: str) -> dict[str, Log]:
    """The logs of a survey, sorted by name.

    Raises:
        UserError: the root was not surveyed, or the survey is broken.
    """
    path = root / version / LOGS
    try:
        content = json.loads(path.read_bytes())
        logs = {name: Log(row["folder"], tuple(row["sweeps"]), row["digests"]) for name, row in content.items()}
    except (FileNotFoundError, NotADirectoryError):
        raise not_surveyed(path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the survey is broken ({error!r})", where=str(path), remedy=SURVEY) from error
    return dict(sorted(logs.items()))


def not_surveyed(path: Path) -> UserError:
    """The error for a root without the file `path` of a survey."""
    return UserError("the Argoverse 2 root was not surveyed", where=str(path), remedy=SURVEY)


def digest(path: Path) -> str:
    """SHA-256 of a small file.

    Raises:
        UserError: there is none.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise UserError("the file is missing", where=str(path), remedy=AGAIN) from None


def _look_at(root: Path, folder: Path) -> Log:
    stamps = sorted(int(path.stem) for path in (folder / SWEEPS).glob("*.feather") if path.stem.isdecimal())
    if not stamps:
        raise UserError("the log has no sweep", where=str(folder / SWEEPS), remedy=AGAIN)
    digests = {name: digest(folder / name) for name in (POSES, CALIBRATION)}
    return Log(folder.relative_to(root).as_posix(), tuple(stamps), digests)
