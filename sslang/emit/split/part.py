"""A part of a batch as the code of a step sees it: its rows, and its way to those of the others.

The methods are the crossings that `ir.partition` writes into a graph, each with the gradient that
belongs to it. All processes call them in the same order, forward and backward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from sslang.emit.split.products import product
from sslang.processes.group import Asked, Processes


@dataclass(frozen=True)
class Part:
    """Rows `start` .. `start + rows` of a batch of `batch` images.

    `counts` are the images of each process; `like` is a tensor on the device, in the step's
    precision; `sizes` are the rows of queues now. A micro-batch has nobody to tell anything: it
    only takes its own rows.
    """

    processes: Processes
    counts: tuple[int, ...]
    start: int
    rows: int
    like: Tensor
    sizes: Mapping[str, int]

    @property
    def batch(self) -> int:
        return sum(self.counts)

    def gather_rows(self, x: Tensor, outer: int, inner: int) -> Tensor:
        """The rows [outer * batch * inner, ...] of all processes, of which this one has x."""
        if self.processes.alone:
            return x
        gathered: Tensor = _Gather.apply(x, self, outer, inner)
        return gathered

    def own_rows(self, x: Tensor, outer: int, inner: int, batch: bool) -> Tensor:
        """The rows of this part of x, [outer * batch * inner, ...].

        `batch`: x depends on the batch, so that the gradient of all of its rows is needed.
        """
        if batch and x.requires_grad and not self.processes.alone:
            own: Tensor = _Own.apply(x, self, outer, inner)
            return own
        return self.cut(x, outer, inner)

    def enter(self, x: Tensor) -> Tensor:
        """x as it is; its gradient is the sum of those of all processes."""
        if self.processes.alone or not x.requires_grad:
            return x
        entered: Tensor = _Enter.apply(x, self.processes)
        return entered

    def total(self, x: Tensor) -> Tensor:
        """The sum of x over all processes."""
        if self.processes.alone:
            return x
        total: Tensor = _Total.apply(x, self.processes)
        return total

    def once(self, x: Tensor) -> Tensor:
        """x as it is; the gradient is kept by the first process, for all compute the same."""
        if self.processes.is_first or not x.requires_grad:
            return x
        once: Tensor = _Drop.apply(x)
        return once

    def ask(self, index: Tensor, rows: int) -> Asked:
        """Which of `rows` rows, of which each process has its own, `index` names."""
        return self.processes.ask(index, rows)

    def fetch(self, own: Tensor, asked: Asked) -> Tensor:
        """Of a state of which each process has its own rows, those that were asked for."""
        return self.processes.fetch(own, asked)

    def product(self, x: Tensor, own: Tensor, rows: int, outer: int, inner: int) -> Tensor:
        """`x @ state.T` of a state of `rows` rows, of which each process has its own.

        x has the rows [outer * rows * inner, ...] of this part; all of them where `outer` is 0.
        """
        each = prod(x.shape[1:-1])
        counts = [outer * inner * n * each for n in self.counts] if outer else None
        return product(x, own, rows, self.processes, counts)

    def cut(self, x: Tensor, outer: int, inner: int) -> Tensor:
        """Of [outer * batch * inner, ...], the rows of this part: [outer * rows * inner, ...]."""
        if self.rows == self.batch:
            return x
        members = x.view(outer, self.batch * inner, *x.shape[1:])
        own = members[:, self.start * inner : (self.start + self.rows) * inner]
        return own.reshape(outer * self.rows * inner, *x.shape[1:])

    def gathered(self, x: Tensor, outer: int, inner: int) -> Tensor:
        """`gather_rows` without gradient."""
        counts = [outer * inner * n for n in self.counts]
        rows = self.processes.gather(x, counts)
        if outer == 1:
            return rows
        return joined(list(torch.split(rows, counts)), outer)


def joined(parts: list[Tensor], outer: int) -> Tensor:
    """Rows of parts as rows of the whole: of `outer` members each, member by member."""
    if len(parts) == 1:
        return parts[0]
    if outer == 1:
        return torch.cat(parts)
    members = [part.view(outer, len(part) // outer, *part.shape[1:]) for part in parts]
    return torch.cat(members, 1).flatten(0, 1)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, part: Part, outer: int, inner: int) -> Tensor:
        ctx.part, ctx.layout = part, (outer, inner)
        return part.gathered(x, outer, inner)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return ctx.part.cut(gradient.contiguous(), *ctx.layout), None, None, None


class _Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, part: Part, outer: int, inner: int) -> Tensor:
        ctx.part, ctx.layout = part, (outer, inner)
        return part.cut(x, outer, inner).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return ctx.part.gathered(gradient, *ctx.layout), None, None, None


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        total = gradient.clone()
        ctx.processes.sum_([total])
        return total, None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, processes: Processes) -> Tensor:
        total = x.detach().clone()
        processes.sum_([total])
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return gradient, None


class _Drop(torch.autograd.Function):
    """Zeros for a gradient, rather than none: all processes have gradients for the same tensors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)
