"""Params and frames that the tests of attacks share."""

from typing import Any

from pipeline.params.attacks import Pgd, Spoofing


def spoofing_params(**changes: Any) -> Spoofing:
    values: dict[str, Any] = {
        "counts": [60], "trace_frames": 100, "occluded": 0.1, "near": 5.0, "far": 8.0, "window": 30.0,
        "azimuth_step": 1.0, "elevation_step": 4 / 3, "score": 0.3, "radius": 2.0,
    }  # fmt: skip
    return Spoofing(**(values | changes))


def pgd_params(**changes: Any) -> Pgd:
    values: dict[str, Any] = {"points": [200], "pixels": [8], "steps": 5, "step": 0.25}
    return Pgd(**(values | changes))
