"""Every objective of the pre-trainings over unequal frames, in one process or as one of several over gloo.

    python -m tests.objectives.gloo_contrasts RANK PROCESSES RENDEZVOUS OUT

Each process embeds its own frames with one shared matrix under DDP. Process 0 writes, for every division of the frames,
objective and kind of negatives, the mean loss and the gradient that DDP leaves.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from pipeline.objectives.bev_distill import bev_distill
from pipeline.objectives.point_info_nce import point_info_nce
from pipeline.objectives.pool import total
from pipeline.objectives.prc import plrc, prc, rapc
from pipeline.objectives.proposal_contrast import Proposals, proposal_contrast, propose
from pipeline.objectives.rad import rad
from pipeline.objectives.simipu import simipu
from pipeline.params import Rapc

T, CELLS = 0.2, 3
# Region ids of the points of each frame: one has no region, one no point.
FRAMES = [[0, 0, 0, 1, 1, 2, -1, -1, -1], [0, 0, 1, -1, -1], [-1, -1, -1, -1], [0, 0, -1], []]
# Which process has which frames. In each some process has no region; in the last, one has no point either.
DIVISIONS: dict[int, list[list[list[int]]]] = {
    2: [[[0, 1, 3], [2, 4]]],
    3: [[[0, 1], [2], [3, 4]], [[0, 3], [1, 2], [4]]],
}


@dataclass(frozen=True)
class Scene:
    """Embedded frames; p, q, c [P, D] are views of the same points, maps [B, C, S, S]."""

    p: Tensor
    q: Tensor
    c: Tensor
    region: Tensor
    frame: Tensor
    proposals: Proposals
    student: Tensor
    teacher: Tensor
    cells: Tensor


Objective = Callable[[Scene, bool], Tensor]


def switched(anchors: str, same: str, weights: str) -> Objective:
    switches = Rapc(anchors, same, weights)  # type: ignore[arg-type]
    return lambda s, gather: rapc(s.p, s.q, s.region, temperature=T, switches=switches, gather=gather)


OBJECTIVES: dict[str, Objective] = {
    "plrc": lambda s, g: plrc(s.p, s.q, s.region, temperature=T, gather=g),
    "rapc": switched("all", "masked", "uniform"),
    "rapc kept": switched("all", "kept", "uniform"),
    "rapc rich": switched("rich", "masked", "uniform"),
    "rapc region": switched("all", "masked", "region"),
    "prc": lambda s, g: prc(s.p, s.q, s.region, temperature=T, alpha=0.3, switches=Rapc(), gather=g)["loss"],
    "rad": lambda s, g: rad(s.c, s.q, s.region, s.frame, temperature=T, gather=g),
    "rad_unweighted": lambda s, g: rad(s.c, s.q, s.region, s.frame, temperature=T, region_weights=False, gather=g),
    "point_info_nce": lambda s, g: point_info_nce(s.p, s.q, temperature=T, gather=g),
    "proposal_contrast": lambda s, g: proposal_contrast(s.p, s.q, s.proposals, temperature=T, gather=g),
    "simipu": lambda s, g: simipu(s.p, s.q, s.c, temperature=T, gather=g)["loss"],
    "bev_distill": lambda s, g: bev_distill(s.student, s.teacher, s.cells, gather=g),
}


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, 8, bias=False).double()


def embed(network: nn.Module, frames: Sequence[int]) -> Scene:
    """The frames, in this order; what a frame holds depends on its number alone."""
    clouds, maps, cells = [], [], []
    for number in frames:
        generator = torch.Generator().manual_seed(number)
        clouds.append(torch.randn(4, len(FRAMES[number]), 6, dtype=torch.float64, generator=generator))
        maps.append(torch.randn(2, CELLS, CELLS, 6, dtype=torch.float64, generator=generator))
        cells.append((torch.rand(CELLS, CELLS, generator=generator) < 0.4) & (number not in (2, 4)))
    inputs, both = torch.cat(clouds, 1), torch.stack(maps, 1)
    # One call, as DDP wants it: points and cells are rows of one matrix.
    rows = network(torch.cat([inputs[:3].flatten(0, 1), both.flatten(0, 3)]))
    p, q, c = functional.normalize(rows[: 3 * inputs.shape[1]], dim=1).view(3, -1, 8)
    student, teacher = rows[3 * inputs.shape[1] :].view(2, len(frames), CELLS, CELLS, 8).movedim(-1, 2)
    frame = torch.tensor([i for i, number in enumerate(frames) for _ in FRAMES[number]], dtype=torch.int64)
    region = torch.tensor([r for number in frames for r in FRAMES[number]], dtype=torch.int64)
    region = torch.where(region >= 0, region + 100 * frame, -1)
    proposals = propose(inputs[3, :, :3], frame, centres=2, radius=1.5)
    return Scene(p, q, c, region, frame, proposals, student, teacher, torch.stack(cells))


def main(rank: int, processes: int, rendezvous: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=processes)
    results = {}
    for number, division in enumerate(DIVISIONS[processes]):
        for name, objective in OBJECTIVES.items():
            for gather in (False, True):
                network = DistributedDataParallel(make_network())
                loss = objective(embed(network, division[rank]), gather)
                loss.backward()
                (weight,) = network.parameters()
                assert weight.grad is not None
                results[f"{number}/{name}/{gather}"] = [total(loss) / processes, weight.grad]
    if rank == 0:
        torch.save(results, Path(out))
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
