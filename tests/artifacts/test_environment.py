"""The environment on a card: every package that computes, and the build of torch."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from pipeline.artifacts.code import import_closure
from pipeline.artifacts.environment import PACKAGES, environment, torch_build

ROOT = Path(__file__).parents[2]
# They start, watch, configure, find or print: another version writes the same bytes, or no stage needs it.
INERT = {
    "PyYAML", "dask", "distributed", "dvc", "dvclive", "huggingface_hub", "hydra-core", "omegaconf", "rich", "rocrate",
    "threadpoolctl", "typer",
}  # fmt: skip


def imported(files: set[str]) -> set[str]:
    """Top-level names that files import."""
    nodes = [node for file in files for node in ast.walk(ast.parse((ROOT / file).read_bytes()))]
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in plain} | {
        node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and node.module
    }


def test_every_package_that_a_stage_imports_is_recorded() -> None:
    files = {path for stage in (ROOT / "stages").glob("*.py") for path in import_closure(stage, ROOT)}
    homes = metadata.packages_distributions()
    ours = {"pipeline", "stages"}
    names = imported(files) - ours - sys.stdlib_module_names
    needed = {package for name in names for package in homes.get(name, [name])[:1]}
    canonical = {re.sub(r"[-_.]+", "-", name).lower() for name in (*PACKAGES, *INERT)}
    assert len(needed) > 15
    assert {name for name in needed if re.sub(r"[-_.]+", "-", name).lower() not in canonical} == set()


def test_the_build_of_torch_is_that_of_the_imported_torch() -> None:
    version = torch.version
    assert torch_build().get("cuda") == version.cuda
    assert torch_build()["git_version"] == version.git_version


def test_it_is_read_without_importing_what_it_names() -> None:
    program = (
        "import json, sys; from pipeline.artifacts.environment import environment; found = environment('cpu');"
        "print(json.dumps([found, sorted({'torch', 'numpy', 'zarr'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    found, modules = json.loads(done.stdout)
    assert modules == []
    assert found == environment("cpu")
    assert found["packages"]["torch"] == metadata.version("torch")
