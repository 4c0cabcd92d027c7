"""Batch norm over rows that several processes have: statistics are those of all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.group import Processes


def no_variance() -> DiagnosticError:
    """E503: a batch of one value a channel."""
    return DiagnosticError(
        Diagnostic(
            code="E503",
            message="a group of batch norm has one value a channel, so no variance",
            hint="use a batch that is a multiple of the group, and groups of 2 or more",
        )
    )


def synchronised(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    batches: int,
    processes: Processes,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise x [batches * rows, D, ...], each of `batches` over all processes' rows of it.

    Returns the output, and the means and unbiased variances of the batches, [batches, D] each.
    A process may have no rows.
    """
    out, mean, variance = _Synchronised.apply(x, weight, bias, eps, batches, processes)
    return out, mean, variance


class _Synchronised(torch.autograd.Function):
    """On x as [batches, rows, D, ...], in the memory order that x has."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        batches: int,
        processes: Processes,
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        rows = _split(x, batches).to(wide)
        values = rows[0].numel() // x.shape[1]
        count = torch.full((batches, 1), float(values), dtype=wide, device=x.device)
        mean = rows.sum(_over(rows)) / count.clamp_min(1)
        square = (rows - _wide(mean, rows)).square().sum(_over(rows))
        # Means and squared deviations are put together by Chan's formula: no cancellation.
        mine = torch.cat([count, mean, square], 1)
        all_ = processes.gather(mine, [batches] * processes.count)
        counts, means, squares = torch.split(
            all_.view(processes.count, batches, -1), [1, mean.shape[1], mean.shape[1]], 2
        )
        total = counts.sum(0)
        if values * rows.shape[1] <= 1 and float(total.min()) <= 1:
            raise no_variance()
        mean = (counts * means).sum(0) / total
        square = squares.sum(0) + (counts * (means - mean).square()).sum(0)
        scale = (square / total + eps).rsqrt()
        factor = scale if weight is None else scale * weight
        shift = -mean * factor if bias is None else bias - mean * factor
        out = torch.empty_like(x)
        _split(out, batches).copy_(torch.addcmul(_wide(shift, rows), rows, _wide(factor, rows)))
        ctx.save_for_backward(x, weight, mean, scale, total)
        ctx.batches, ctx.processes, ctx.has_bias = batches, processes, bias is not None
        variance = square / (total - 1).clamp_min(1)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Any, ...]:
        x, weight, mean, scale, total = ctx.saved_tensors
        rows = _split(x, ctx.batches).to(mean.dtype)
        normal = (rows - _wide(mean, rows)) * _wide(scale, rows)
        given = _split(gradient.contiguous(memory_format=_format(x)), ctx.batches).to(mean.dtype)
        to_bias = given.sum(_over(rows))
        to_weight = (given * normal).sum(_over(rows))
        both = torch.cat([to_bias, to_weight], 1)
        ctx.processes.sum_([both])
        sums, products = (both / total).chunk(2, 1)
        inner = given - _wide(sums, rows) - normal * _wide(products, rows)
        factor = scale if weight is None else scale * weight
        to_x = (inner * _wide(factor, rows)).flatten(0, 1).to(x.dtype)
        return (
            to_x,
            None if weight is None else to_weight.sum(0).to(weight.dtype),
            to_bias.sum(0) if ctx.has_bias else None,
            None, None, None,
        )  # fmt: skip


def _split(x: Tensor, batches: int) -> Tensor:
    """[batches * rows, D, ...] as [batches, rows, D, ...]."""
    return x.view(batches, len(x) // batches, *x.shape[1:])


def _over(rows: Tensor) -> tuple[int, ...]:
    """The axes over which statistics are taken."""
    return (1, *range(3, rows.dim()))


def _wide(statistic: Tensor, rows: Tensor) -> Tensor:
    """[batches, D] beside [batches, rows, D, ...]."""
    return statistic.view(len(statistic), 1, -1, *(1,) * (rows.dim() - 3))


def _format(x: Tensor) -> torch.memory_format:
    channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format
