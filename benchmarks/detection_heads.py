"""What do the detection heads and their boxes cost at paper size?

    python -m benchmarks.detection_heads

The baseline of the first table is CenterPoint with one group of ten classes, of the second a loop over pairs with
shapely (the tests' oracle). Maps and boxes are random; the sizes are those of conf/scale/paper.yaml.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from torch import Tensor

from pipeline.configure import compose
from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.centerpoint import CenterPointHead
from pipeline.networks.heads.rotated_iou import bev_iou, volume_iou
from pipeline.networks.heads.suppression import suppress
from pipeline.networks.heads.transfusion import TransFusionHead
from pipeline.objectives.assignment import assign, matching_costs
from pipeline.objectives.detection import detection_loss
from pipeline.params import Heads, Params
from pipeline.params.classes import DETECTION_CLASSES
from pipeline.reporting.page.report import print_tables
from pipeline.reporting.tables.table import Table
from pipeline.strict_yaml import build_model
from tests.reference import heads as twins

LABELLED = 40  # boxes of a frame
CANDIDATES = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    composed = compose(Path("conf"), ["scale=paper", "dataset=embedded"])
    networks = build_model(Params, yaml.safe_load(composed), "params.yaml").networks
    sizes = networks.heads, networks.grid.feature_grid
    tables = [time_heads(*sizes, options.repeats), time_boxes(*sizes, options.repeats)]
    print_tables(tables, [], Console(width=120))


def time_heads(heads: Heads, grid: BevGrid, repeats: int) -> Table:
    joint = dataclasses.replace(heads, groups=[list(DETECTION_CLASSES)], branches="joint")
    made = {
        "CenterPoint, one group (baseline)": CenterPointHead(heads.fused_channels, joint, grid),
        "CenterPoint, six groups": CenterPointHead(heads.fused_channels, heads, grid),
        "TransFusion": TransFusionHead(heads.fused_channels, heads, grid),
    }
    bev = torch.randn(1, heads.fused_channels, grid.size, grid.size).contiguous(memory_format=torch.channels_last)
    boxes, classes = random_boxes(LABELLED)
    rows, base = [], (1.0, 1.0)
    for name, head in made.items():
        step = median(lambda head=head: train(head, bev, boxes, classes), repeats)
        with torch.inference_mode():
            head.eval()
            forward = median(lambda head=head: head(bev), repeats)
            outputs = head(bev)
            decoding = median(lambda head=head, outputs=outputs: head.decode(outputs), repeats)
        base = (forward, step) if not rows else base
        parameters = sum(parameter.numel() for parameter in head.parameters())
        rows.append(
            [name, f"{parameters / 1e6:.2f}", f"{forward * 1e3:.0f}", f"{forward / base[0]:.1f}", f"{step * 1e3:.0f}",
             f"{step / base[1]:.1f}", f"{decoding * 1e3:.1f}"]
        )  # fmt: skip
    note = f"one frame of {heads.fused_channels} x {grid.size} x {grid.size}, {torch.get_num_threads()} threads; ms"
    header = ["head", "M parameters", "forward", "ratio", "step", "ratio", "decoding"]
    return Table("detection heads at paper size", note, header, rows)


def time_boxes(heads: Heads, grid: BevGrid, repeats: int) -> Table:
    proposals, (boxes, classes) = random_boxes(200)[0], random_boxes(LABELLED)
    crowd, labels = random_boxes(CANDIDATES)
    nms = dataclasses.replace(heads, nms="rotated", nms_within="class")
    kinds, rows = labels.numpy(), crowd.double().numpy()
    logits = torch.randn(200, 10)
    pairs = [(a, b) for a in proposals.double().numpy() for b in boxes.double().numpy()]
    works: dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]] = {
        f"BEV IoU, 200 x {LABELLED}": (
            lambda: bev_iou(proposals, boxes), lambda: [twins.bev_iou(a, b) for a, b in pairs]
        ),
        f"volume IoU, 200 x {LABELLED}": (
            lambda: volume_iou(proposals, boxes), lambda: [twins.volume_iou(a, b) for a, b in pairs]
        ),
        f"rotated NMS, {CANDIDATES}": (
            lambda: suppress(crowd, labels, nms),
            lambda: twins.suppression(rows, kinds, lambda j, i: twins.bev_iou(rows[j], rows[i]) > 0.2),
        ),
        f"matching, 200 x {LABELLED}": (
            lambda: assign(matching_costs(logits, proposals, boxes, classes, grid)), None
        ),
    }  # fmt: skip
    table = []
    for name, (ours, loop) in works.items():
        fast, slow = median(ours, repeats), median(loop, 1) if loop else None
        table.append(
            [name, f"{fast * 1e3:.1f}", f"{slow * 1e3:.0f}" if slow else "", f"{slow / fast:.0f}" if slow else ""]
        )
    return Table("boxes", "ms", ["work", "ours", "shapely loop", "ratio"], table)


def random_boxes(count: int) -> tuple[Tensor, Tensor]:
    boxes = torch.rand(count, 9)
    boxes[:, :2] = (boxes[:, :2] - 0.5) * 80
    boxes[:, 3:6] = boxes[:, 3:6] * 5 + 0.5
    boxes[:, 6] *= 6
    return boxes, torch.randint(0, 10, (count,))


def train(head: CenterPointHead | TransFusionHead, bev: Tensor, boxes: Tensor, classes: Tensor) -> None:
    head.zero_grad(set_to_none=True)
    torch.autograd.backward(detection_loss(head(bev), head.targets([boxes], [classes]))["loss"])


def median(work: Callable[[], Any], repeats: int) -> float:
    """Seconds; the first of several runs is not counted."""
    times = []
    for _ in range(repeats + (repeats > 1)):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[repeats > 1 :])


if __name__ == "__main__":
    main()
