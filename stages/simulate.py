"""DVC stage: builds one embedded world, a nuScenes data set that a program draws, drives and records."""

import sys
from pathlib import Path

from pipeline.artifacts.card import write_card
from pipeline.artifacts.publish import publish
from pipeline.errors import UserError, user_errors
from pipeline.params import load_params, load_runtime
from pipeline.simulation.world import build_world
from pipeline.throughput import measured
from pipeline.work import simulate_work


def main(world: str) -> None:
    """Builds `world`, one of `dataset.simulated`, under data/raw."""
    params = load_params()
    if world not in params.dataset.simulated:
        raise UserError(
            f"there is no world {world!r}", where="params.yaml: dataset.simulated",
            remedy=f"name one of {params.dataset.simulated}",
        )  # fmt: skip
    runtime, out = load_runtime(), Path("data/raw") / world
    with measured(simulate_work(params, runtime), out, processes=runtime.workers) as work:
        with publish(out) as draft:
            build_world(params.simulate, params.dataset.version, draft, runtime)
            write_card(
                draft, kind="raw data", stage="simulate", inputs=[], seeds=[params.simulate.seed],
                params={"dataset.version": params.dataset.version, "simulate": params.simulate},
            )  # fmt: skip
        work.units = params.simulate.frames


if __name__ == "__main__":
    with user_errors():
        main(sys.argv[1])
