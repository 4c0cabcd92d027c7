"""Batch norm whose statistics follow a plan of views and groups, and move once a step.

The plan is set before each application (`set_plan`). Batch statistics are summed up in the
module while the step runs; `commit_statistics` then moves the running statistics once,
towards their mean over all groups and applications. Backward never sees the sums: torch keeps
the buffers a kernel was given until backward, so each application fills a fresh pair.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslang.emit.nets.sync_norm import no_variance, synchronised
from sslang.processes.group import ALONE, Processes


@dataclass(frozen=True)
class NormPlan:
    """Whose statistics normalise a row.

    The input holds `views` members of equally many images each, one after the other along
    its rows. `joint`: one batch of all members, else each member is a batch of its own.
    `group`: runs of so many images of that batch (each with all its views where joint), the
    last run may be shorter; 0 is the whole batch.
    `evaluation`: running statistics even where the module trains, and none are collected.
    `alike`: all processes have the same rows, rather than each its own.
    """

    views: int = 1
    joint: bool = True
    group: int = 0
    evaluation: bool = False
    alike: bool = False


WHOLE = NormPlan()


class _GroupedBatchNorm(nn.modules.batchnorm._BatchNorm):
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    statistics: Tensor  # [2, D]: sums of batch means and unbiased batch variances
    applications: Tensor  # how many are summed up

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        scale: bool = True,
        shift: bool = True,
    ) -> None:
        """Over `num_features` = D channels, the second axis; `scale` and `shift` are trained."""
        super().__init__(num_features, eps, momentum, affine=scale or shift, bias=shift)
        if shift and not scale:
            self.register_parameter("weight", None)
        self.plan = WHOLE
        self.processes = ALONE
        sums = torch.zeros(2, num_features, dtype=self.running_mean.dtype)
        self.register_buffer("statistics", sums, persistent=False)
        count = torch.zeros((), dtype=torch.long)
        self.register_buffer("applications", count, persistent=False)

    def reset_parameters(self) -> None:
        """Mean 0, variance 1; scale 1 and shift 0 where they are."""
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` [views * B, D, ...] by the plan, or by running statistics in evaluation.

        Raises DiagnosticError E503 if a group has one value a channel: no variance.
        """
        if not self.training or self.plan.evaluation:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        statistics = torch.zeros_like(self.statistics)
        shared = not self.processes.alone and not self.plan.alike and not self.plan.group
        out, count = (self._shared if shared else self._normalise)(x, statistics)
        if self.processes.is_first or not (shared or self.plan.alike):
            self.statistics.add_(statistics, alpha=count)
            self.applications.add_(count)
        return out

    def _shared(self, x: Tensor, statistics: Tensor) -> tuple[Tensor, int]:
        """The output, where a batch is over the rows of all processes; statistics as there."""
        batches = 1 if self.plan.joint else self.plan.views
        out, means, variances = synchronised(
            x, self.weight, self.bias, self.eps, batches, self.processes
        )
        statistics.copy_(torch.stack([means.mean(0), variances.mean(0)]))
        return out, batches

    def _normalise(self, x: Tensor, statistics: Tensor) -> tuple[Tensor, int]:
        """The output, and the number of groups whose mean statistics were written."""
        views, group = self.plan.views, self.plan.group
        if not len(x):  # a process without rows of a last, short batch: zeros for gradients
            mean, variance = self.running_mean, self.running_var
            return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps), 0
        assert x.shape[0] % views == 0, f"{x.shape[0]} rows are not {views} views"
        images = x.shape[0] // views
        runs = math.ceil(images / group) if group else 1
        if runs == 1 and (views == 1 or self.plan.joint):
            return self._kernel(x, statistics, 0), 1
        members = [torch.split(member, group or images) for member in torch.split(x, images)]
        if views == 1 or not self.plan.joint:
            alone = [run for member in members for run in member]
            outs = [self._kernel(run, statistics, i) for i, run in enumerate(alone)]
            return torch.cat(outs), len(alone)
        together = [torch.cat(run) for run in zip(*members, strict=True)]
        parts = [self._kernel(run, statistics, i).chunk(views) for i, run in enumerate(together)]
        return torch.cat([part[view] for view in range(views) for part in parts]), runs

    def _kernel(self, x: Tensor, statistics: Tensor, before: int) -> Tensor:
        """Normalise one group; `statistics` becomes the mean over it and the `before` others."""
        if x.numel() == x.shape[1]:
            raise no_variance()
        mean, variance = statistics.unbind()
        momentum = 1.0 / (before + 1)
        return F.batch_norm(x, mean, variance, self.weight, self.bias, True, momentum, self.eps)


class GroupedBatchNorm1d(_GroupedBatchNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` with a plan: input [rows, D] or [rows, D, L], the same state-dict keys."""


class GroupedBatchNorm2d(_GroupedBatchNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` with a plan: input [rows, D, h, w], the same state-dict keys."""


_GROUPED: dict[type[nn.Module], type[_GroupedBatchNorm]] = {
    nn.BatchNorm1d: GroupedBatchNorm1d,
    nn.BatchNorm2d: GroupedBatchNorm2d,
}


def convert(root: nn.Module) -> nn.Module:
    """Put grouped batch norm in place of every `nn.BatchNorm1d` and `2d`, tensors shared.

    Returns `root`, or its replacement if it is a batch norm itself.
    """
    for name, child in root.named_children():
        setattr(root, name, convert(child))
    if type(root) not in _GROUPED:
        return root
    assert isinstance(root, nn.modules.batchnorm._BatchNorm)
    assert root.track_running_stats and root.momentum is not None
    scale, shift = root.weight is not None, root.bias is not None
    grouped = _GROUPED[type(root)](
        root.num_features, root.eps, root.momentum, scale=scale, shift=shift
    )
    assert root.running_mean is not None
    grouped.to(root.running_mean)
    grouped.weight, grouped.bias = root.weight, root.bias
    for key, buffer in root.named_buffers():
        setattr(grouped, key, buffer)
    return grouped.train(root.training)


def set_plan(root: nn.Module, plan: NormPlan) -> None:
    """Give every batch norm of `root` the plan of the next application."""
    for norm in norms_of(root):
        norm.plan = plan


@torch.no_grad()
def commit_statistics(root: nn.Module) -> None:
    """Move the running statistics of `root` once, as rule 10 says, and forget the sums.

    running <- (1 - momentum) * running + momentum * mean(batch statistics since the last
    commit), and `num_batches_tracked` + 1, where the module was applied in training mode;
    elsewhere nothing. Waits for no device.
    """
    alike: dict[float, list[_GroupedBatchNorm]] = defaultdict(list)
    for norm in norms_of(root):
        assert norm.momentum is not None
        alike[norm.momentum].append(norm)
    for momentum, norms in alike.items():
        counts = torch.stack([norm.applications for norm in norms])
        sums = [norm.statistics for norm in norms]
        applied = counts > 0
        means = torch._foreach_div(sums, list(counts.clamp(min=1).unbind()))
        weights = list((applied.to(sums[0].dtype) * momentum).unbind())
        torch._foreach_lerp_([n.running_mean for n in norms], [m[0] for m in means], weights)
        torch._foreach_lerp_([n.running_var for n in norms], [m[1] for m in means], weights)
        torch._foreach_add_([n.num_batches_tracked for n in norms], list(applied.long().unbind()))
    discard_statistics(root)


def set_processes(root: nn.Module, processes: Processes) -> None:
    """Say who shares the batches of `root`."""
    for norm in norms_of(root):
        norm.processes = processes


@torch.no_grad()
def share_statistics(root: nn.Module, processes: Processes) -> None:
    """Add up over the processes what `root` has collected since the last commit."""
    norms = norms_of(root)
    if processes.alone or not norms:
        return
    processes.sum_([*(n.statistics for n in norms), *(n.applications for n in norms)])


def recorded_statistics(root: nn.Module) -> list[Tensor]:
    """What `root` has collected since the last commit, for `restore_statistics`."""
    return [t.clone() for n in norms_of(root) for t in (n.statistics, n.applications)]


@torch.no_grad()
def restore_statistics(root: nn.Module, recorded: list[Tensor]) -> None:
    """Forget what `root` has collected since `recorded` was taken."""
    tensors = [t for n in norms_of(root) for t in (n.statistics, n.applications)]
    for tensor, value in zip(tensors, recorded, strict=True):
        tensor.copy_(value)


@torch.no_grad()
def discard_statistics(root: nn.Module) -> None:
    """Forget the batch statistics of `root` since the last commit."""
    norms = norms_of(root)
    if norms:
        torch._foreach_zero_([norm.statistics for norm in norms])
        torch._foreach_zero_([norm.applications for norm in norms])


def has_batch_norm(net: nn.Module) -> bool:
    """Whether the net has a batch norm."""
    return bool(norms_of(net))


def norms_of(root: nn.Module) -> list[_GroupedBatchNorm]:
    """The batch norms of a net."""
    return [module for module in root.modules() if isinstance(module, _GroupedBatchNorm)]
