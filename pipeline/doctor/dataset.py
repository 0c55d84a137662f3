"""Whether the dataset that params.yaml names is there."""

from pathlib import Path

from pipeline.doctor.finding import Finding
from pipeline.params import Params

TABLES = ("sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor", "scene", "log")


def check_dataset(params: Params) -> list[Finding]:
    """Root, tables and maps; whether each sensor file is sound is for `calico check`."""
    dataset, root = params.dataset, Path(params.dataset.root)
    configure = f"calico configure dataset={dataset.name} dataset.root=PATH"
    tables = root / dataset.version
    if dataset.simulated and not tables.is_dir():
        return [Finding("dataset", f"{dataset.name}: simulated, not made yet; `dvc repro simulate` does it")]
    if not root.is_dir():
        return [Finding("dataset", f"{dataset.name}: {root} is no folder", "problem", configure)]
    if dataset.format == "argoverse2":
        return _surveyed(tables)
    if not tables.is_dir():
        remedy = f"unpack its tables there; or {configure}"
        return [Finding("dataset", f"{dataset.name}: {root} has no folder {dataset.version}", "problem", remedy)]
    missing = [name for name in TABLES if not (tables / f"{name}.json").is_file()]
    if missing:
        names = ", ".join(f"{name}.json" for name in missing)
        return [Finding("dataset", f"{tables} lacks {names}", "problem", "unpack the archive of the tables again")]
    found = [Finding("dataset", f"{dataset.name}: {tables}")]
    maps = len(list((root / "maps" / "expansion").glob("*.json")))
    if maps:
        return [*found, Finding("maps", f"map expansion of {maps} locations")]
    if any(trial.startswith("map-") for trial in params.finetune.trials):
        remedy = "unpack the map expansion into the dataset root, or take the map trials out of finetune.trials"
        return [*found, Finding("maps", "no map expansion, and finetune.trials has map trials", "problem", remedy)]
    return [*found, Finding("maps", "no map expansion, and no trial needs one")]


def _surveyed(tables: Path) -> list[Finding]:
    if not tables.is_dir():
        return [Finding("dataset", f"there is no {tables}", "problem", "run `calico survey`")]
    return [Finding("dataset", f"argoverse2: {tables}")]
