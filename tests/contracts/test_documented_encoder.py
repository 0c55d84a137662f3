"""docs/backbones.md: the encoder of its example, word for word, keeps the contract of every encoder."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.networks import lidar
from pipeline.params import Grid, LidarNetwork
from tests.contracts import test_networks as contract
from tests.markdown import ROOT, Page

CLAIMS = [
    contract.test_shapes_and_names,
    contract.test_gradient_reaches_every_parameter,
    contract.test_evaluation_repeats_and_survives_a_round_trip,
    contract.test_frames_that_lack_something_pass_and_do_not_mix,
    contract.test_bfloat16_autocast_trains_and_stays_close,
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_example_keeps_the_contract(
    claim: Callable[[str, str | None, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    exec(Page(ROOT / "docs" / "backbones.md").code("python")[0].text, names)

    def build(network: LidarNetwork, grid: Grid) -> Any:
        return names["OccupancyEncoder"](network.pillar_channels[-1], grid.pillar_grid, grid.z_min, grid.z_max, 8)

    monkeypatch.setattr(lidar, "_build_encoder", build)
    claim("pillars", None, "map")
