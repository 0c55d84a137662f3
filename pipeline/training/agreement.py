"""Processes that train together decide together: where one leaves the loop alone, the others wait for it for ever."""

import torch
from torch import distributed


def any_process(says_so: bool) -> bool:
    """Whether at least one of the processes of this training says so; every one of them has to ask.

    A training in one process pays nothing.
    """
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return says_so
    device = torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
    flag = torch.tensor(int(says_so), device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag)
