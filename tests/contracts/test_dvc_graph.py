"""dvc.yaml says the truth: code dependencies are what a stage imports, params are what it reads, labels enter late."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.artifacts.code import import_closure

ROOT = Path(__file__).parents[2]
LABEL_FREE = ("regions", "pretrain_lidar", "distill_camera")
GRAPH: dict[str, Any] = (
    yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] if (ROOT / "dvc.yaml").exists() else {}
)
GROUPS = set(yaml.safe_load((ROOT / "params.yaml").read_text()))


def stage(name: str) -> dict[str, Any]:
    """A stage as written; of a foreach stage the body that is repeated."""
    written: dict[str, Any] = GRAPH[name]
    return {**written, **written.get("do", {})}


def paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else str(entry) for entry in entries]


def entry_file(name: str) -> Path:
    """The stage file that the command runs: `python -m stages.<module>`."""
    command = stage(name)["cmd"]
    modules = re.findall(r"python -m stages\.(\w+)", command if isinstance(command, str) else "\n".join(command))
    assert len(modules) == 1, f"the command of {name} runs {modules}, expected one stage file"
    return ROOT / "stages" / f"{modules[0]}.py"


def declared_code(name: str) -> dict[str, set[str]]:
    """Python files under every code dependency of a stage."""
    code = [path for path in paths(stage(name)["deps"]) if path.split("/")[0] in ("pipeline", "stages")]
    found = {}
    for path in code:
        files = [ROOT / path] if path.endswith(".py") else list((ROOT / path).rglob("*.py"))
        found[path] = {file.relative_to(ROOT).as_posix() for file in files}
    return found


def declared_keys(name: str) -> set[str]:
    """Dotted keys of params.yaml that a stage depends on."""
    keys: set[str] = set()
    for entry in stage(name).get("params", []):
        if isinstance(entry, dict):
            assert set(entry) == {"params.yaml"}, f"{name} depends on {set(entry)}"
            keys.update(entry["params.yaml"] or GROUPS)
        else:
            keys.add(str(entry))
    return keys


def reads(name: str) -> set[str]:
    """Dotted keys that the stage file reads from `params` or `load_params()`, the longest form of each."""
    files = [entry_file(name), *([ROOT / "pipeline/reporting/findings.py"] if name == "report" else [])]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    chains = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    found = {match[1] for chain in chains if (match := re.fullmatch(r"(?:params|load_params\(\))\.([\w.]+)", chain))}
    return {
        key for key in found if key.split(".")[0] in GROUPS and not any(other.startswith(f"{key}.") for other in found)
    }


def is_inert(path: str) -> bool:
    """An `__init__.py` that holds a docstring and nothing else cannot change a result."""
    body = ast.parse((ROOT / path).read_text()).body
    return path.endswith("__init__.py") and all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body
    )


def shortest(closure: set[str]) -> list[str]:
    """The code dependencies to declare: a folder where the closure holds all of it, otherwise single files."""
    entries = {path for path in closure if not is_inert(path)}
    for folder in sorted({Path(path).parent.as_posix() for path in closure} - {"pipeline", "stages"}, reverse=True):
        files = {file.relative_to(ROOT).as_posix() for file in (ROOT / folder).rglob("*.py")}
        if files <= closure:
            entries = {path for path in entries if not path.startswith(f"{folder}/")} | {folder}
    return sorted(entries)


def test_there_is_a_graph() -> None:
    assert GRAPH, "dvc.yaml is missing"


@pytest.mark.parametrize("name", GRAPH)
def test_stage_says_what_it_does(name: str) -> None:
    assert len(stage(name).get("desc") or GRAPH[name].get("desc") or "") >= 10


@pytest.mark.parametrize("name", GRAPH)
def test_declared_code_is_the_import_closure(name: str) -> None:
    declared, closure = declared_code(name), set(import_closure(entry_file(name), ROOT))
    missing = {path for path in closure - set().union(*declared.values()) if not is_inert(path)}
    # The cells of the matrices may name a whole room that they mostly use: dvc.lock is read and written after every
    # cell, and with forty files a cell that took longer than evaluating it.
    roomy = {"pipeline/frames", "pipeline/networks"} if name in ("finetune", "evaluate", "stress") else set()
    extra = {path: sorted(files - closure) for path, files in declared.items() if files - closure and path not in roomy}
    lines = "".join(f"\n      - {path}" for path in shortest(closure))
    assert not missing | extra.keys(), f"{name}: undeclared {sorted(missing)}, superfluous {extra}; declare:{lines}"


@pytest.mark.parametrize("name", GRAPH)
def test_params_that_the_stage_reads_are_declared(name: str) -> None:
    declared = declared_keys(name)
    assert {key.split(".")[0] for key in declared} <= GROUPS, f"{name} depends on unknown params"
    covered = {
        key
        for key in reads(name)
        for other in declared
        if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
    }
    # Where the data lie is no param: the identity of the index says what they are.
    assert reads(name) - covered <= {"dataset.root"}, f"{name} reads params that it does not depend on"


def test_a_family_of_conditions_depends_on_no_other_family() -> None:
    own = {key.removeprefix("stress.") for key in declared_keys("stress") if key.split(".")[0] == "stress"}
    assert own == {"${item.family}", "seed", "seeds", "trials"}


@pytest.mark.parametrize("name", [name for name in GRAPH if name in LABEL_FREE])
def test_pre_training_never_sees_labels(name: str) -> None:
    closure = import_closure(entry_file(name), ROOT)
    assert [path for path in closure if "labels" in path] == []
    assert [path for path in paths(stage(name)["deps"]) if "labels" in path] == []


@pytest.mark.parametrize("name", GRAPH)
def test_runtime_settings_make_nothing_stale(name: str) -> None:
    assert "runtime" not in yaml.safe_dump(GRAPH[name])


@pytest.mark.parametrize("name", GRAPH)
def test_outs_do_not_persist(name: str) -> None:
    """DVC keeps a stage with a persisted out from its run cache."""
    outs = [out for kind in ("outs", "metrics", "plots") for out in stage(name).get(kind, [])]
    assert [
        out for out in outs if isinstance(out, dict) and any((of or {}).get("persist") for of in out.values())
    ] == []
