"""Params with which every training stage takes a second on the small world."""

from typing import Any

STEPS = 3
CELL = ("scratch-LC", "detection-1.0")


def make_small(content: dict[str, Any]) -> None:
    """Small networks and few steps; the head keeps its dropout, so that the random state counts."""
    networks = content["networks"]
    networks["grid"] |= {"pillar": 0.8}
    networks["lidar"] |= {
        "pillar_channels": [8], "block_channels": [8, 16], "block_layers": [1, 1], "block_strides": [2, 2],
        "neck_channels": [8, 8],
    }  # fmt: skip
    networks["camera"] |= {"neck_channels": 8, "context_channels": 6}
    networks["camera"]["backbone_options"] |= {"embed_dim": 8, "drop_path_rate": 0.2}
    networks["heads"] |= {"fused_channels": 8, "detection_channels": 8, "map_channels": 8}
    networks["embedding"] = 16
    content["frames"] |= {"image_height": 32, "image_width": 64}
    short = {"epochs": None, "steps": STEPS, "batch": 2}
    for name in ("pretrain_lidar", "distill_camera"):
        content[name] |= {"rich": 64, "less": 64}
        content[name]["schedule"] |= short
    content["finetune"] |= {"arms": [CELL[0]], "trials": [CELL[1]], "seeds": [0, 1], "map_steps": None}
    content["finetune"]["schedule"] |= short
