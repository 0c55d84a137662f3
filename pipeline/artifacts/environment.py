"""What a result depends on besides code and params: Python, platform, packages that compute, class of the device."""

import platform
import re
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Every package that a stage imports and that can change a number or a byte it writes; a test compares the list with the
# imports. Those that only start, watch or print (dask, dvc, typer, …) are left out: their upgrades change no result.
# fmt: off
PACKAGES = (
    "dbscan", "embreex", "lightning-fabric", "llvmlite", "matplotlib", "numba", "numcodecs", "nuscenes-devkit", "numpy",
    "opencv-python-headless", "orjson", "pandas", "pyarrow", "pypatchworkpp", "safetensors", "scikit-learn", "scipy",
    "shapely", "simplejpeg", "spconv-cu120", "spconv-cu126", "timm", "torch", "torchvision", "trimesh", "zarr",
)
# fmt: on


def environment(device: str) -> dict[str, Any]:
    """Plain values for a card: `{"python", "platform", "device", "torch", "packages"}`; nothing is imported for it.

    Args:
        device: class of the device that computes, e.g. "cpu" or "NVIDIA H200"; driver and host name stay out, since
            they differ between machines that are meant to be alike.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "device": device,
        "torch": torch_build(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def torch_build() -> dict[str, str]:
    """Which of the many builds of one version of torch is installed: its CUDA or ROCm version and its git revision."""
    spec = find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    if file is None or not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")  # importing torch costs a second
    found = re.findall(r"^(cuda|git_version|hip)\b[^=]*= '([^']+)'$", text, flags=re.MULTILINE)
    return dict(sorted(found))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
