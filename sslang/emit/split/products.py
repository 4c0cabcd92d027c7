"""Products with states of which each process holds some rows.

    x [n, d], the rows of a process     state [K, d], of which it has K / P rows
    x @ state.T                         gather x; times the own rows of the state; swap

Each process multiplies the rows of all with its own rows of the state, and sends every process the
columns that are its. No process ever has the whole state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sslang.processes.group import Processes
from sslang.processes.shards import rows_of


def product(
    x: Tensor, own: Tensor, total: int, processes: Processes, counts: Sequence[int] | None
) -> Tensor:
    """`x @ state.T`, of a state [total, d] of which this process holds the rows `own`.

    `counts` are the rows of x of each process; None where all have the same x. x is [..., d], and
    the state takes no gradient.
    """
    rows = x.reshape(-1, x.shape[-1])
    if processes.alone or total == 0:
        found = rows @ own.T
    else:
        found = _Product.apply(rows, own, total, processes, counts)
    return found.view(*x.shape[:-1], total)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, own: Tensor, total: int, processes: Processes,
        counts: Sequence[int] | None,
    ) -> Tensor:  # fmt: skip
        columns = [rows_of(total, rank, processes.count).count for rank in range(processes.count)]
        ctx.save_for_backward(own)
        ctx.processes, ctx.columns, ctx.counts, ctx.dtype = processes, columns, counts, x.dtype
        if counts is None:
            return processes.gather((x @ own.T).T, columns).T.contiguous()
        block = processes.gather(x, counts) @ own.T
        shapes = [(counts[processes.rank], width) for width in columns]
        return torch.cat(processes.swap(torch.split(block, list(counts)), shapes), 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (own,) = ctx.saved_tensors
        processes, columns, counts = ctx.processes, ctx.columns, ctx.counts
        own = own.to(gradient.dtype)
        parts = torch.split(gradient, columns, 1)
        if counts is None:
            total = (parts[processes.rank] @ own).to(ctx.dtype)
            processes.sum_([total])
            return total, None, None, None, None
        mine = columns[processes.rank]
        block = torch.cat(processes.swap(parts, [(count, mine) for count in counts]))
        shares = torch.split((block @ own).to(ctx.dtype), list(counts))
        shape = (counts[processes.rank], own.shape[1])
        total = torch.stack(processes.swap(shares, [shape] * processes.count)).sum(0)
        return total, None, None, None, None
