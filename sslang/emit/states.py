"""How states begin, and how writes move them, in place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslang.emit import draws
from sslang.ir.program import StatePlan
from sslang.processes.group import Processes
from sslang.processes.shards import Rows, rows_of
from sslang.types import Dim, Size

_BLOCK = 2**20  # numbers that are drawn, or moved, at a time


def size_of(size: Size, dims: Mapping[str, int]) -> int:
    """A size as a number, where the data decide it. Raises ValueError for one that is not given."""
    if not isinstance(size, Dim):
        return size
    missing = [name for name, _ in size.terms if name not in dims]
    if missing:
        raise ValueError(f"the spec uses the size `{missing[0]}`: compile it with that number")
    return size.at(dict(dims))


def initial_value(
    plan: StatePlan, seed: int, dims: Mapping[str, int], at: Rows | None = None
) -> Tensor:
    """What a state begins with, float32 of its shape; of the rows `at` alone, if given."""
    shape = tuple(size_of(s, dims) for s in plan.shape)
    first = 0
    if at is not None:
        first, shape = at.start, (at.count, *shape[1:])
    match plan.initialiser:
        case "zeros" | "empty":
            return torch.zeros(shape)
        case "constant":
            return torch.full(shape, plan.settings["value"])
    key = draws.stream_key(seed, "state", plan.name)
    rows, count = (shape[0], int(np.prod(shape[1:]))) if shape else (1, 1)
    value = torch.empty(rows, count)
    block = max(1, _BLOCK // max(1, count))
    for start in range(0, rows, block):
        drawn = _drawn(plan, key, first + start, min(block, rows - start), count)
        value[start : start + len(drawn)] = torch.from_numpy(drawn)
    return value.view(shape)


def _drawn(
    plan: StatePlan, key: NDArray[np.uint64], first: int, rows: int, count: int
) -> NDArray[np.float64]:
    """Rows `first` .. `first + rows` of what a state begins with, of `count` numbers each."""
    uniform = partial(draws.uniform, key, 0, rows, count, first_row=first)
    normal = partial(draws.normal, key, 0, rows, count, first_row=first)
    match plan.initialiser:
        case "uniform":
            interval = plan.settings.get("range")
            bounds = (0.0, 1.0) if interval is None else (interval.low, interval.high)
            return draws.between(uniform(), bounds)
        case "uniform_fan_in":
            bound = 1.0 / np.sqrt(count)
            return draws.between(uniform(), (-bound, bound))
        case "normal":
            drawn = normal()
            drawn *= plan.settings.get("std", 1.0)
            return drawn
        case "sphere":
            drawn = normal()
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            return drawn
    raise AssertionError(f"no lowering for the initialiser {plan.initialiser}")


class Weight(nn.Module):
    """A trained tensor that belongs to no net."""

    def __init__(self, value: Tensor, constraint: str) -> None:
        super().__init__()
        self.value = nn.Parameter(value)
        self.constraint = constraint

    def forward(self) -> Tensor:
        return self.value

    @torch.no_grad()
    def constrain(self) -> None:
        """Put the tensor back where its constraint wants it, in place.

        What is there already, but for rounding, keeps its bits: a state that is saved and loaded
        is the state that was saved.
        """
        if self.constraint == "unit_rows":
            length = torch.linalg.vector_norm(self.value, dim=-1, keepdim=True)
            rounding = 4 * torch.finfo(length.dtype).eps * self.value.shape[-1] ** 0.5
            there = (length - 1).abs() <= rounding
            self.value.div_(length.clamp_min(1e-12).masked_fill(there, 1.0))


def append_rows(queue: Tensor, rows: Tensor) -> None:
    """A queue [n, ...] after `rows` [b, ...] have entered, in place: oldest first."""
    entering = rows.to(queue.dtype)[-len(queue) :]
    _move_up(queue, len(entering))
    queue[-len(entering) :] = entering


def _move_up(queue: Tensor, count: int) -> None:
    """Put row i + `count` where row i is, in place, a block at a time."""
    rows = max(1, _BLOCK // max(1, queue[:1].numel()))
    for first in range(0, len(queue) - count, rows):
        block = queue[first + count : first + count + rows].clone()
        queue[first : first + len(block)] = block


def append_own_rows(queue: Tensor, at: Rows, rows: Tensor, processes: Processes) -> None:
    """`append_rows` to a queue of which `queue` has the rows `at`; others' rows move up to here."""
    entering = rows.to(queue.dtype)[-at.total :]
    count = len(entering)
    owners = [rows_of(at.total, rank, processes.count) for rank in range(processes.count)]
    moving = [incoming(owner, count) for owner in owners]
    sent = [queue[_within(low, high, at)] for low, high in moving]
    low, high = moving[processes.rank]
    lengths = [min(high, o.stop) - max(low, o.start) for o in owners]
    shapes = [(max(length, 0), *queue.shape[1:]) for length in lengths]
    arriving = processes.swap(sent, shapes)
    new = slice(max(at.start + count - at.total, 0), max(at.stop + count - at.total, 0))
    _move_up(queue, count)
    last = torch.cat([*arriving, entering[new]])
    queue[len(queue) - len(last) :] = last


def incoming(at: Rows, count: int) -> tuple[int, int]:
    """From where to where the rows of others are that move to `at` if all move up by `count`."""
    low = min(max(at.start + count, at.stop), at.total)
    return low, max(low, min(at.stop + count, at.total))


def _within(low: int, high: int, at: Rows) -> slice:
    """Rows `low` .. `high` as far as they are in `at`, counted from its first."""
    first = max(low, at.start) - at.start
    return slice(first, max(first, min(high, at.stop) - at.start))


def scatter_rows(bank: Tensor, index: Tensor, rows: Tensor) -> None:
    """bank[index] <- rows, in place. If an index repeats, the highest row of `rows` wins.

    Every repetition writes the winner's values, so the order of the writes does not matter.
    """
    order = torch.argsort(index, stable=True)
    last = torch.searchsorted(index[order], index, right=True) - 1
    bank[index] = rows.to(bank.dtype)[order[last]]


def scatter_own_rows(bank: Tensor, at: Rows, index: Tensor, rows: Tensor) -> None:
    """`scatter_rows` into the rows `at` of a bank, which `bank` has; others' rows are theirs."""
    index = torch.where(index < 0, index + at.total, index)
    own = (index >= at.start) & (index < at.stop)
    wrong = (index < 0) | (index >= at.total)
    place = torch.where(wrong, at.count, index - at.start)  # which is no row here either
    taken = own | wrong
    scatter_rows(bank, place[taken], rows[taken])
