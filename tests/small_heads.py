"""Head sizes for tests."""

import dataclasses
from typing import Any

from pipeline.params import Heads, TransFusion
from pipeline.params.classes import DETECTION_CLASSES

ONE_GROUP = [list(DETECTION_CLASSES)]
SIX_GROUPS = [
    ["car"], ["truck", "construction_vehicle"], ["bus", "trailer"], ["barrier"], ["motorcycle", "bicycle"],
    ["pedestrian", "traffic_cone"],
]  # fmt: skip
RADII = [2.0, 3.464, 3.162, 3.162, 3.464, 0.418, 0.922, 0.922, 0.418, 1.0]


def small_heads(**changes: Any) -> Heads:
    """16 channels, one group, circle NMS within classes; `changes` by field."""
    small = Heads(
        fused_channels=16,
        detection_channels=16,
        map_channels=16,
        map_reach=12.0,
        map_cell=0.5,
        detection="centerpoint",
        groups=ONE_GROUP,
        branches="joint",
        transfusion=TransFusion(channels=16, proposals=20, attention_heads=2, feedforward=32, dropout=0.0),
        max_boxes=50,
        min_score=0.1,
        nms="circle",
        nms_within="class",
        nms_radii=dict(zip(DETECTION_CLASSES, RADII, strict=True)),
        nms_ious=dict.fromkeys(DETECTION_CLASSES, 0.2),
    )
    return dataclasses.replace(small, **changes)
