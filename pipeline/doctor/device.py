"""torch, the GPU, cores and memory, against what runtime.yaml asks for."""

import os
from pathlib import Path
from typing import Any

from pipeline.doctor.finding import Finding
from pipeline.doctor.probe import ImportProbe
from pipeline.params import Params, Runtime
from pipeline.preflight.machine import available_memory

DRIVER = Path("/proc/driver/nvidia/version")
LEAST_MEMORY = 4.0  # GB, as the README says
GB = 1e9
TORCH = """
import json, torch
names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": names}))
"""
SPCONV = "import json, spconv.pytorch, spconv; print(json.dumps({'version': spconv.__version__}))"


def check_torch(answer: dict[str, Any] | str, runtime: Runtime) -> list[Finding]:
    """What the program `TORCH` answered, and whether there are the devices that trainings want."""
    if isinstance(answer, str):
        return [
            Finding("torch", f"cannot be imported: {answer}", "problem", "install the packages of requirements.lock")
        ]
    found = [Finding("torch", f"{answer['version']}, built for CUDA {answer['cuda'] or 'none'}")]
    devices = answer["devices"]
    if runtime.device == "cpu":
        return [*found, Finding("gpu", "not used: runtime.yaml says device: cpu")]
    if not devices and DRIVER.is_file():
        driver = DRIVER.read_text().split("\n")[0]
        remedy = "install a driver for that CUDA version, or a torch for this driver; or set runtime.yaml: device: cpu"
        return [*found, Finding("gpu", f"torch sees none, though there is a driver: {driver}", "warning", remedy)]
    if not devices and runtime.device == "cuda":
        return [
            *found,
            Finding("gpu", "none, and runtime.yaml asks for one", "problem", "set device: auto or cpu there"),
        ]
    if not devices:
        return [*found, Finding("gpu", "none; trainings run on the CPU")]
    said = f"{len(devices)} x {devices[0]}"
    if runtime.devices > len(devices):
        remedy = f"set runtime.yaml: devices to {len(devices)} or less"
        return [*found, Finding("gpu", f"{said}; runtime.yaml asks for {runtime.devices}", "problem", remedy)]
    return [*found, Finding("gpu", said)]


def check_spconv(params: Params) -> list[Finding]:
    """Sparse convolutions: only VoxelNet needs them, and importing them takes long."""
    if params.networks.lidar.encoder != "voxels":
        return [Finding("spconv", "not needed: networks.lidar.encoder is not voxels")]
    answer = ImportProbe(SPCONV).answer()
    if isinstance(answer, str):
        remedy = "install spconv of requirements.lock, or calico configure networks.lidar.encoder=pillars"
        return [Finding("spconv", f"cannot be imported: {answer}", "problem", remedy)]
    return [Finding("spconv", str(answer["version"]))]


def check_cores(runtime: Runtime) -> list[Finding]:
    """Cores that this process may use, and memory that is left."""
    cores, memory = len(os.sched_getaffinity(0)), available_memory() / GB
    wanted = max(runtime.threads, runtime.workers)
    found = [Finding("cores", f"{cores}; runtime.yaml: threads {runtime.threads}, workers {runtime.workers}")]
    if wanted > cores:
        found = [
            Finding("cores", found[0].said, "warning", f"set threads and workers of runtime.yaml to {cores} or less")
        ]
    if memory < LEAST_MEMORY:
        said = f"{memory:.1f} GB left, {LEAST_MEMORY:.0f} GB are wanted"
        return [*found, Finding("memory", said, "warning", "end other programs, or lower runtime.yaml: workers")]
    return [*found, Finding("memory", f"{memory:.1f} GB left")]
