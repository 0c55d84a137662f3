"""Batch norms on several devices: running statistics that do not depend on which device did which forward pass."""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.networks.pillars import PointLayer


class RunningStatistics:
    """The running means and variances of a network.

    In a forward pass with batch statistics s a batch norm with momentum m turns its running statistics r into
    (1-m) r + m s. All devices start a step from the same r; what one of them arrives at after n passes of its own is
    r_k = d_k r + a_k with d_k = (1-m)^n. So the statistics after the passes of all devices, one device's after the
    other's as a single device does them, are r <- d_k r + a_k for k = 0, 1, …: exact up to rounding.

    Where the devices share every pass (`gather`) there is no order, and the mean over the devices is taken.
    """

    def __init__(self, module: nn.Module, fabric: Fabric, *, gather: bool) -> None:
        self.fabric, self.gather = fabric, gather
        self.norms = _tracked(module) if fabric.world_size > 1 else []
        if self.norms:
            self.sizes = torch.tensor([2 * len(norm.mean) for norm in self.norms], device=fabric.device)
            self.kept = torch.tensor([1.0 - norm.momentum for norm in self.norms], device=fabric.device)
            self.start = self._read()

    def join(self) -> None:
        """Makes them the same on all devices after the passes of a step; every device has to call it."""
        if not self.norms:
            return
        now = self._read()
        of_devices = self.fabric.all_gather(torch.cat([now[0], now[1] - self.start[1]]))
        assert isinstance(of_devices, Tensor)
        statistics, passes = of_devices[:, : len(now[0])], of_devices[:, len(now[0]) :]
        if self.gather:
            joined, count = statistics.mean(0), now[1]
        else:
            joined, count = self.start[0].clone(), self.start[1] + passes.sum(0)
            for arrived, done in zip(statistics, passes, strict=True):
                decay = (self.kept**done).repeat_interleave(self.sizes)
                joined = decay * joined + (arrived - decay * self.start[0])
        self.start = (joined, count)
        for norm, own, tracked in zip(self.norms, joined.split(self.sizes.tolist()), count, strict=True):
            mean, variance = own.chunk(2)
            norm.mean.copy_(mean)
            norm.variance.copy_(variance)
            norm.passes.copy_(tracked)

    def _read(self) -> tuple[Tensor, Tensor]:
        """Means and variances of all norms in one row, and their passes so far."""
        statistics = torch.cat([part for norm in self.norms for part in (norm.mean, norm.variance)])
        return statistics.float(), torch.stack([norm.passes for norm in self.norms]).double()


def synchronise(module: nn.Module) -> None:
    """Turns batch norms into ones that take their batch statistics over all devices (CUDA only), in place.

    Those of points, pillars and voxels stay as they are: their rows are many on every device.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d) and not isinstance(parent, PointLayer):
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))


@dataclass(frozen=True)
class _Tracked:
    """The running statistics of one batch norm, not copies of them."""

    mean: Tensor
    variance: Tensor
    passes: Tensor
    momentum: float


def _tracked(module: nn.Module) -> list[_Tracked]:
    """Those of all batch norms that keep any, but for synchronised ones, which agree by themselves."""
    return [
        _Tracked(norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum)
        for norm in module.modules()
        if isinstance(norm, _BatchNorm) and not isinstance(norm, nn.SyncBatchNorm)
        if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
        if norm.momentum is not None
    ]
