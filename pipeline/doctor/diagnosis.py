"""All checks, one after the other; none of them can end the others."""

from collections.abc import Callable
from functools import partial

from pipeline.doctor.dataset import check_dataset
from pipeline.doctor.device import TORCH, check_cores, check_spconv, check_torch
from pipeline.doctor.finding import Finding
from pipeline.doctor.installation import check_optional, check_packages, check_python
from pipeline.doctor.probe import ImportProbe
from pipeline.doctor.repository import DVC, check_disk, check_dvc, check_lock
from pipeline.errors import UserError
from pipeline.params import load_params, load_runtime


def diagnose() -> list[Finding]:
    """Looks at the installation, the machine and the project in the working directory.

    Returns:
        What each check says, in the order of reading; a check that fails to run is a problem, too.
    """
    torch, dvc = ImportProbe(TORCH), ImportProbe(DVC)  # a second each, while the rest is looked at
    found = [*guard("python", check_python), *guard("packages", check_packages)]
    params, runtime = None, None
    try:
        params, runtime = load_params(), load_runtime()
        found.append(Finding("params", f"params.yaml and runtime.yaml are sound; dataset {params.dataset.name}"))
    except UserError as error:
        found.append(Finding("params", f"{error.problem} ({error.where})", "problem", error.remedy))
    if params is not None and runtime is not None:
        found += guard("dataset", partial(check_dataset, params))
        found += guard("cores", partial(check_cores, runtime))
        found += guard("spconv", partial(check_spconv, params))
    found += guard("git", check_lock)
    about_dvc, about_torch = dvc.answer(), torch.answer()
    found += guard("dvc", partial(check_dvc, about_dvc)) + guard("disk", partial(check_disk, about_dvc))
    if runtime is not None:
        found += guard("torch", partial(check_torch, about_torch, runtime))
    return found + guard("optional", check_optional)


def guard(subject: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check says; that it failed, where it raises."""
    try:
        return check()
    except Exception as error:  # whatever a broken installation raises
        problem = f"the check itself failed: {type(error).__name__}: {error}"
        return [Finding(subject, problem, "problem", "this is what is broken, or a mistake of calico doctor")]
