"""Tensors of which each process holds some rows, so that together they hold them once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Rows `start` .. `stop` of a tensor that has `total` of them."""

    start: int
    stop: int
    total: int

    @property
    def count(self) -> int:
        return self.stop - self.start


def rows_of(total: int, rank: int, count: int) -> Rows:
    """The rows that process `rank` of `count` holds: as `torch.chunk` cuts, and FSDP2 after it.

    All have the same number but for the last ones, which may have fewer, or none.
    """
    most = -(-total // count)
    start = min(rank * most, total)
    return Rows(start, min(start + most, total), total)


@dataclass(frozen=True)
class Piece:
    """The rows of a tensor that one process holds, `at` their place in the whole."""

    tensor: Tensor
    at: Rows
