"""TransFusion's detection head."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry.grid import BevGrid
from pipeline.networks.heads.decoding import Detections, select
from pipeline.networks.heads.encoding import CODE, decode_boxes
from pipeline.networks.heads.query_decoder import QueryDecoder
from pipeline.networks.heads.targets import ProposalTargets, proposal_targets
from pipeline.networks.layers import conv_block, start_at_prior, to_channels_last
from pipeline.params import Heads
from pipeline.params.classes import DETECTION_CLASSES

CLASSES = len(DETECTION_CLASSES)
PRIOR = 0.1  # score of every cell and of every query before training
# Their objects stand closer together than a cell's neighbours: every cell of theirs may become a proposal.
CROWDED = ("pedestrian", "traffic_cone")
BRANCH_CHANNELS = 64


class TransFusionHead(nn.Module):
    """Proposals from a heat map, one transformer decoder layer, one box a proposal (the head of TransFusion, arXiv
    2203.11496, on a fused BEV map as in BEVFusion, arXiv 2205.13542).

    Args:
        inputs: channels of the fused map.
        heads: sizes and decoding limits.
        grid: grid of the fused map.
    """

    places: Tensor

    def __init__(self, inputs: int, heads: Heads, grid: BevGrid) -> None:
        super().__init__()
        self.grid, self.heads = grid, heads
        own = heads.transfusion
        self.proposals = min(own.proposals, CLASSES * grid.size**2)
        self.shared = nn.Conv2d(inputs, own.channels, 3, padding=1)
        last = nn.Conv2d(own.channels, CLASSES, 3, padding=1)
        start_at_prior(last, PRIOR)
        self.heatmap = nn.Sequential(conv_block(own.channels, own.channels), last)
        self.class_encoding = nn.Linear(CLASSES, own.channels)
        self.decoder = QueryDecoder(own.channels, own.attention_heads, own.feedforward, own.dropout)
        self.branches = nn.ModuleDict({name: _branch(own.channels, count) for name, count in CODE.items()})
        self.classes = _branch(own.channels, CLASSES)
        last_class = self.classes[-1]
        assert isinstance(last_class, nn.Linear)
        start_at_prior(last_class, PRIOR)
        row, column = torch.meshgrid(torch.arange(grid.size), torch.arange(grid.size), indexing="ij")
        self.register_buffer("places", torch.stack([column, row], -1).view(-1, 2) + 0.5, persistent=False)
        to_channels_last(self)

    def forward(self, bev: Tensor) -> dict[str, Tensor]:
        """[B, inputs, S, S] to P proposals a frame.

        Returns:
            heatmap [B, 10, S, S] (logits), labels int64 [B, P] (the class whose heat map proposed it), heat [B, P] (its
            score there, without gradient), classes [B, P, 10] (logits), codes [B, P, 10] (see `encode_boxes`).
        """
        shared = self.shared(bev)
        heatmap = self.heatmap(shared)
        heat, labels, cells = self.propose(heatmap)
        features = shared.flatten(2).transpose(1, 2)
        queries = features.gather(1, cells[..., None].expand(-1, -1, features.shape[-1]))
        queries = queries + self.class_encoding(functional.one_hot(labels, CLASSES).to(features.dtype))
        places = self.places[cells]
        scale = 2 / self.grid.size
        decoded = self.decoder(queries, features, places * scale - 1, self.places * scale - 1)
        flat = decoded.flatten(0, 1)
        codes = torch.cat([branch(flat) for branch in self.branches.values()], 1).view(*labels.shape, -1).float()
        position, rest = codes[..., :2] + places, codes[..., 2:]
        return {
            "heatmap": heatmap,
            "labels": labels,
            "heat": heat,
            "classes": self.classes(flat).view(*labels.shape, -1),
            "codes": torch.cat([position, rest], -1),
        }

    def propose(self, heatmap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The P best heat-map cells that are the largest of their 3 x 3 neighbours (of `CROWDED` classes: any cell).

        Args:
            heatmap: logits [B, 10, S, S].

        Returns:
            Score float32, class int64 and cell (row * S + column) int64 of each, [B, P], best first.
        """
        heat = heatmap.detach().float().sigmoid()
        peak = functional.max_pool2d(heat, 3, stride=1, padding=1) == heat
        peak[:, [DETECTION_CLASSES.index(name) for name in CROWDED]] = True
        scores, flat = (heat * peak).flatten(1).topk(self.proposals)
        cells = self.grid.size**2
        return scores, torch.div(flat, cells, rounding_mode="floor"), flat % cells

    def targets(self, boxes: Sequence[Tensor], classes: Sequence[Tensor]) -> ProposalTargets:
        """Targets for labelled boxes per frame; see `proposal_targets`."""
        return proposal_targets(boxes, classes, self.grid, CLASSES)

    @torch.no_grad()
    def decode(self, outputs: Mapping[str, Tensor]) -> list[Detections]:
        """Boxes per frame within the head's limits, of the classes that proposed them.

        A box's score is its class's from the decoder times the one from the heat map.
        """
        labels = outputs["labels"]
        scores = outputs["classes"].float().sigmoid().gather(2, labels[..., None])[..., 0] * outputs["heat"]
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        boxes = decode_boxes(outputs["codes"], self.grid)
        return [
            select(frame[best], score, label[best], self.heads)
            for frame, score, label, best in zip(boxes, scores, labels, order, strict=True)
        ]


def _branch(width: int, outputs: int) -> nn.Sequential:
    """Rows [N, width] to [N, outputs]."""
    return nn.Sequential(
        nn.Linear(width, BRANCH_CHANNELS, bias=False),
        nn.BatchNorm1d(BRANCH_CHANNELS),
        nn.ReLU(inplace=True),
        nn.Linear(BRANCH_CHANNELS, outputs),
    )
