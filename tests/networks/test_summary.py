"""The table of a network: every parameter once, products as counted by hand, shapes as given."""

import dataclasses

import pytest
import torch

from pipeline.networks.heads.query_decoder import QueryDecoder
from pipeline.networks.layers import conv_block
from pipeline.networks.model import BevModel
from pipeline.networks.summary import find_parts, record_passages, summarise, summarise_part, summarise_projector
from pipeline.networks.synthetic import make_batch
from pipeline.params import Frames, Networks

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("modality", "task", "encoder"), [("L", "map", "voxels"), ("L", "map", "pillars"), ("LC", "detection", "pillars")]
)
def test_parts_hold_every_parameter_once(
    networks: Networks, frames: Frames, modality: str, task: str, encoder: str
) -> None:
    if encoder == "voxels":
        pytest.importorskip("spconv")
        grid = dataclasses.replace(networks.grid, pillar=0.2, stride=8)
        lidar = dataclasses.replace(networks.lidar, encoder="voxels", block_strides=[1, 2])
        networks = dataclasses.replace(networks, grid=grid, lidar=lidar)
    model = BevModel(networks, frames, modality, task)
    batch = make_batch(frames, 500, images=modality == "LC", batch=1, device=CPU)
    parts = summarise(model, batch)
    assert sum(part.parameters for part in parts) == sum(p.numel() for p in model.parameters())
    assert [part.name for part in parts] == list(find_parts(model))
    size = model.lidar.out_grid.size
    assert {part.name: part.outputs for part in parts}["fuser"] == {"0": [1, 16, size, size]}
    uncounted = [part.name for part in parts if part.gflops is None]
    assert uncounted == (["LiDAR encoder"] if encoder == "voxels" else [])
    assert all(part.gflops > 0 for part in parts if part.gflops is not None)


def test_products_of_a_convolution() -> None:
    part = summarise_part("", conv_block(3, 8, stride=2).eval(), [torch.zeros(2, 3, 16, 16)])
    assert part.outputs == {"0": [2, 8, 8, 8]}
    assert part.gflops == pytest.approx(2 * 2 * 8 * 8 * 8 * 3 * 9 / 1e9)


def test_attention_is_counted() -> None:
    width, queries, keys = 8, 5, 70
    decoder = QueryDecoder(width, 2, 16, 0.0).eval()
    inputs = [torch.zeros(1, queries, width), torch.zeros(1, keys, width), torch.zeros(1, queries, 2)]
    counted = summarise_part("", decoder, [*inputs, torch.zeros(keys, 2)]).gflops
    products = queries * queries * width * 2 + queries * keys * width * 2  # scores, then weighted values
    products += 4 * queries * width**2 + (2 * queries + 2 * keys) * width**2  # projections of both attentions
    products += 2 * queries * width * 16 + (queries + keys) * (2 * width + width**2)  # feed-forward, positions
    assert counted == pytest.approx(2 * products / 1e9)
    assert torch.backends.mha.get_fastpath_enabled()


def test_projector() -> None:
    part = summarise_projector("LiDAR projector", 6, 4, 10, CPU)
    assert (part.outputs, part.parameters) == ({"0": [10, 4]}, 6 * 6 + 6 + 6 * 4 + 4)


def test_recording_leaves_no_hook(networks: Networks, frames: Frames) -> None:
    model = BevModel(networks, frames, "L", "map").eval()
    batch = make_batch(frames, 500, images=False, batch=1, device=CPU)
    passages = record_passages(model, batch)
    assert passages["head"].inputs[0] is passages["fuser"].output
    assert not any(module._forward_hooks for module in model.modules())


def test_synthetic_frames_fall_on_the_grid(frames: Frames) -> None:
    batch = make_batch(dataclasses.replace(frames, sweeps=2), 100, images=True, batch=2, device=CPU)
    assert batch.offsets.tolist() == [0, 300, 600]
    assert batch.images is not None
    assert batch.bev_from_image is not None
    assert batch.images.shape == (2, 6, 3, 32, 64)
    centre = torch.tensor([63 / 2 * 10, 31 / 2 * 10, 10, 1])  # the middle of the image, 10 m ahead
    places = batch.bev_from_image[0] @ centre
    assert torch.allclose(places[:, :2].norm(dim=1), torch.tensor(10.0), atol=1e-4)
    assert torch.allclose(places[0, :3], torch.tensor([10.0, 0, 0]), atol=1e-4)
