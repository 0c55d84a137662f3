"""TransFusion's head: proposals, decoding, overfitting."""

import pytest
import torch

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.encoding import encode_boxes
from pipeline.networks.heads.transfusion import TransFusionHead
from pipeline.params import TransFusion
from pipeline.params.classes import DETECTION_CLASSES
from tests.networks.heads.scenes import COARSE, GRID, assert_found, overfit, scene
from tests.small_heads import small_heads

SIZE = GRID.size


def build(grid: BevGrid = GRID, **changes: object) -> TransFusionHead:
    torch.manual_seed(0)
    return TransFusionHead(16, small_heads(detection="transfusion", nms="none", **changes), grid)


def test_proposals_are_local_maxima_best_first() -> None:
    head = build()
    heatmap = torch.full((2, 10, SIZE, SIZE), -9.0)
    car, pedestrian = DETECTION_CLASSES.index("car"), DETECTION_CLASSES.index("pedestrian")
    heatmap[0, car, 5, 5:8] = torch.tensor([1.0, 3.0, 2.0])  # neighbours: only the middle one
    heatmap[0, pedestrian, 20, 20:22] = torch.tensor([2.5, 0.5])  # of a crowded class: both
    heatmap[1, car, 0, 0] = 4.0  # the edge counts
    scores, labels, cells = head.propose(heatmap)
    assert scores.shape == (2, 20)
    assert labels[0, :3].tolist() == [car, pedestrian, pedestrian]
    assert cells[0, :3].tolist() == [5 * SIZE + 6, 20 * SIZE + 20, 20 * SIZE + 21]
    torch.testing.assert_close(scores[0, :3], torch.tensor([3.0, 2.5, 0.5]).sigmoid())
    assert [labels[1, 0].item(), cells[1, 0].item()] == [car, 0]


def test_queries_start_at_their_cells() -> None:
    """With silent branches every code's position is the centre of the cell that proposed it."""
    head = build().eval()
    for parameter in head.branches.parameters():
        torch.nn.init.zeros_(parameter)
    outputs = head(torch.randn(2, 16, SIZE, SIZE))
    _, labels, cells = head.propose(outputs["heatmap"])
    assert torch.equal(outputs["labels"], labels)
    row, column = torch.div(cells, SIZE, rounding_mode="floor"), cells % SIZE
    torch.testing.assert_close(outputs["codes"][..., :2], torch.stack([column, row], -1) + 0.5)


def test_decode_gives_boxes_of_the_proposed_class_by_score() -> None:
    head = build(min_score=0.2)
    boxes, classes = scene(0, count=4)
    logits = torch.full((1, 4, 10), 5.0)  # other classes' logits do not matter
    logits[0, torch.arange(4), classes] = torch.tensor([0.0, 2.0, -4.0, 1.0])
    outputs = {
        "labels": classes[None],
        "heat": torch.tensor([[0.9, 0.5, 0.9, 0.8]]),
        "classes": logits,
        "codes": encode_boxes(boxes, GRID)[None],
    }
    (found,) = head.decode(outputs)
    order = [3, 0, 1]  # .58, .45, .44; the third scores .016
    assert found.classes.tolist() == classes[order].tolist()
    wanted = logits[0, order, classes[order]].sigmoid() * outputs["heat"][0, order]
    torch.testing.assert_close(found.scores, wanted)
    assert_found([boxes[order]], [classes[order]], [found], metres=1e-3, degrees=0.1)


def test_decode_without_boxes() -> None:
    head = build(min_score=0.999).eval()
    found = head.decode(head(torch.randn(2, 16, SIZE, SIZE)))
    assert [(tuple(frame.boxes.shape), len(frame.scores)) for frame in found] == [((0, 9), 0)] * 2


def test_proposals_never_outnumber_the_cells() -> None:
    sizes = TransFusion(channels=16, proposals=10**6, attention_heads=2, feedforward=8, dropout=0.0)
    assert build(transfusion=sizes).proposals == 10 * SIZE**2


@pytest.mark.parametrize("batch", [1, 3])
def test_evaluation_looks_at_each_frame_alone(batch: int) -> None:
    head = build().eval()
    bev = torch.randn(batch, 16, SIZE, SIZE)
    with torch.no_grad():
        together, alone = head(bev), head(bev[-1:])
    for name, value in alone.items():
        torch.testing.assert_close(together[name][-1:], value, rtol=1e-3, atol=1e-4)


def test_overfits_two_frames() -> None:
    sizes = TransFusion(channels=32, proposals=20, attention_heads=4, feedforward=64, dropout=0.0)
    head = build(COARSE, transfusion=sizes, min_score=0.3)
    (first, first_classes), (second, second_classes) = scene(2), scene(3)
    boxes, classes = [first, second], [first_classes, second_classes]
    losses, found = overfit(head, 16, boxes, classes, 150)
    assert losses[-1] < 0.01 * losses[0]
    assert_found(boxes, classes, found)
