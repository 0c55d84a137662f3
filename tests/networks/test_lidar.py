"""The LiDAR branch at the sizes of the paper, from the committed choices."""

from pathlib import Path

import pytest
import torch
import yaml

from pipeline.configure import compose
from pipeline.geometry.grid import BevGrid
from pipeline.networks.capped_pillars import CappedPillarEncoder
from pipeline.networks.lidar import LidarBranch
from pipeline.params import Params
from pipeline.strict_yaml import build_model

ROOT = Path(__file__).parents[2]


def paper_branch(scale: str) -> LidarBranch:
    composed = yaml.safe_load(compose(ROOT / "conf", [f"scale={scale}"]))
    networks = build_model(Params, composed, "params.yaml").networks
    return LidarBranch(networks.lidar, networks.grid).eval()


def test_pillars() -> None:
    branch = paper_branch("paper")
    encoder = branch.get_submodule("pillars")
    assert isinstance(encoder, CappedPillarEncoder)
    assert (encoder.grid.size, encoder.max_points, encoder.max_pillars) == (512, 20, [30000, 60000])
    assert branch.out_grid == BevGrid(51.2, 0.8)
    branch.to("meta")  # shapes without the arithmetic
    bev = branch.neck(branch.backbone(torch.empty(1, 64, 512, 512, device="meta")))
    assert bev.shape == (1, 384, 128, 128) == (1, branch.out_channels, branch.out_grid.size, branch.out_grid.size)


def test_voxels() -> None:
    pytest.importorskip("spconv")
    branch = paper_branch("paper_voxels")
    assert branch.out_grid == BevGrid(51.2, 0.8)
    encoded = branch.get_submodule("voxels")(torch.zeros(1, 5), torch.tensor([0, 1]))
    assert encoded.shape == (1, 256, 128, 128)
    branch.to("meta")
    assert branch.neck(branch.backbone(encoded.to("meta"))).shape == (1, 512, 128, 128)
    assert branch.out_channels == 512
