"""The processes of a run, and all that they ever send each other.

Every collective is called by all processes in the same order. One process alone is the same
object with a count of 1, for which nothing is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed import ProcessGroup

from sslang.processes.shards import rows_of
from sslang.records import record

# Called so from torch 2.14 on; the name before it is deprecated.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


@record(frozen=True)
class Processes:
    """`count` processes, of which this one is number `rank`, and `local_rank` of its machine.

    `host` is the group for numbers and objects of the host (gloo), where the tensors' own
    (NCCL) cannot carry them; None stands for the default group.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    host: ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes: files, tracking, messages."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.count == 1

    def gather(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The rows [n, ...] of all processes, in their order; `counts` has the n of each.

        No gradient passes. Shapes but for the rows, and types, are the same everywhere.
        """
        if self.alone:
            return rows
        assert len(rows) == counts[self.rank], f"{len(rows)} rows, not {counts[self.rank]}"
        most = max(counts)
        sent = rows.detach().contiguous()
        if len(rows) < most:
            sent = torch.cat([sent, sent.new_zeros((most - len(rows), *sent.shape[1:]))])
        boolean = sent.dtype == torch.bool  # which not every backend carries
        sent = sent.to(torch.uint8) if boolean else sent
        found = sent.new_empty((self.count * most, *sent.shape[1:]))
        _all_gather(found, sent)
        found = found.to(torch.bool) if boolean else found
        if min(counts) == most:
            return found
        return torch.cat(
            [part[:n] for part, n in zip(torch.split(found, most), counts, strict=True)]
        )

    def exchange(self, rows: Tensor, order: NDArray[np.int64], counts: Sequence[int]) -> Tensor:
        """Of the rows of all processes in a new `order`, those of this one.

        `order` names, for each place in the batch, the row that stands there; `counts` are the
        rows of each process, before and after. Each row goes only where it is needed.
        """
        ends = np.cumsum(counts)
        owner = np.searchsorted(ends, order, side="right")  # of the row in each place
        places = np.repeat(np.arange(self.count), counts)  # whose place it is
        first = ends[self.rank] - counts[self.rank]
        # Both ends sort by place, so that rows arrive in the order in which they are awaited.
        leaving = np.flatnonzero(owner == self.rank)
        sent = rows[torch.from_numpy(order[leaving] - first).to(rows.device)].contiguous()
        awaited = owner[first : ends[self.rank]]
        by_sender = np.argsort(awaited, kind="stable")
        found = rows.new_empty((counts[self.rank], *rows.shape[1:]))
        dist.all_to_all_single(
            found.flatten(1), sent.flatten(1),
            np.bincount(awaited, minlength=self.count).tolist(),
            np.bincount(places[leaving], minlength=self.count).tolist(),
        )  # fmt: skip
        back = np.empty_like(by_sender)
        back[by_sender] = np.arange(len(by_sender))
        return found[torch.from_numpy(back).to(rows.device)]

    def swap(self, sent: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """A tensor for each process, for one from each, whose `shapes` this process knows."""
        sizes = [prod(shape) for shape in shapes]
        leaving = torch.cat([t.reshape(-1) for t in sent])
        found = leaving.new_empty(sum(sizes))
        dist.all_to_all_single(found, leaving, sizes, [t.numel() for t in sent])
        return [
            part.view(shape) for part, shape in zip(torch.split(found, sizes), shapes, strict=True)
        ]

    def ask(self, index: Tensor, total: int) -> Asked:
        """Tell the owners which rows of tensors of `total` rows this process wants.

        Each process holds those of `rows_of`, and asks by an index of its own, negative ones from
        the end. Raises IndexError at all processes for what is no row at one.
        """
        if self.alone:
            return Asked(index, index, [], [])
        index = torch.where(index < 0, index + total, index)
        wrong = ((index < 0) | (index >= total)).any()
        wanted, places = torch.unique(index.clamp(0, total - 1), return_inverse=True)
        at = [rows_of(total, rank, self.count) for rank in range(self.count)]
        ends = torch.tensor([0, *(rows.stop for rows in at)], device=index.device)
        asked = torch.searchsorted(wanted, ends).diff()  # in order of rows, so of owners
        telling = torch.stack([asked, wrong.expand_as(asked)], 1)
        told = torch.empty_like(telling)
        dist.all_to_all_single(told, telling)
        from_each, (to_each, wrongs) = asked.tolist(), told.T.tolist()
        if any(wrongs):
            raise IndexError(f"an index names no row of {total}")
        named = wanted.new_empty(sum(to_each))
        dist.all_to_all_single(named, wanted, to_each, from_each)
        return Asked(places, named - at[self.rank].start, from_each, to_each)

    def fetch(self, own: Tensor, asked: Asked) -> Tensor:
        """The rows [*index.shape, ...] that were asked for, of a tensor of which this has `own`.

        A row that an index names more than once comes once. No gradient passes.
        """
        if self.alone:
            return own[asked.places]
        sent = own.detach()[asked.named]
        found = own.new_empty((sum(asked.from_each), *own.shape[1:]))
        dist.all_to_all_single(found, sent, asked.from_each, asked.to_each)
        return found[asked.places]

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes its sum over the processes, in place; one message a dtype."""
        if self.alone:
            return
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            by_type.setdefault(tensor.dtype, []).append(tensor)
        for alike in by_type.values():
            flat = torch.cat([t.reshape(-1) for t in alike])
            dist.all_reduce(flat)
            for tensor, part in zip(
                alike, torch.split(flat, [t.numel() for t in alike]), strict=True
            ):
                tensor.copy_(part.view_as(tensor))

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """The largest of each number over the processes: what they agree on."""
        if self.alone:
            return numbers
        shared = torch.tensor(numbers, dtype=torch.int64)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=self.host)
        return tuple(int(n) for n in shared)

    def from_first(self, value: Any) -> Any:
        """What the first process has, a plain value, at all of them."""
        if self.alone:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0, group=self.host)
        return held[0]

    def barrier(self) -> None:
        """Wait for all."""
        self.largest(0)


@record(frozen=True)
class Asked:
    """What processes want of each other's rows.

    Of the rows that come, sorted and each once, `from_each` so many, `places` [*index.shape] names
    those of the index; `named` are this process's rows that it sends, `to_each` so many.
    """

    places: Tensor
    named: Tensor
    from_each: list[int]
    to_each: list[int]


ALONE = Processes()
