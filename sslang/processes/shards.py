"""Tensors of which each process holds some rows, so that together they hold them once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sslang.records import record

if TYPE_CHECKING:
    from sslang.processes.group import Processes

UNIT_BYTES = 4 * 2**20  # of parameters: a layer that is smaller is gathered with those around it


@record(frozen=True)
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


@record(frozen=True)
class Piece:
    """The rows of a tensor that one process holds, `at` their place in the whole."""

    tensor: Tensor
    at: Rows


def own_part(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor, in the same memory, without gradient."""
    tensor = tensor.detach()
    to_local = getattr(tensor, "to_local", None)  # torch's DTensor, slow to import for its name
    return tensor if to_local is None else to_local()


def place_of(tensor: Tensor) -> Rows | None:
    """Which rows of a tensor this process holds; None for all of it."""
    mesh = getattr(tensor, "device_mesh", None)
    if mesh is None:
        return None
    found = rows_of(tensor.shape[0], mesh.get_local_rank(), mesh.size())
    assert len(own_part(tensor)) == found.count, "FSDP2 cuts along the first axis, as chunk does"
    return found


@record(frozen=True)
class Pieces:
    """All rows of a tensor of `total` rows, in one piece of each of the processes that held it."""

    total: int
    pieces: Sequence[Tensor]

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows `start` .. `stop`."""
        found = [self.pieces[0][:0]]  # no rows have a width, too
        for number, piece in enumerate(self.pieces):
            place = rows_of(self.total, number, len(self.pieces))
            low, high = max(start, place.start), min(stop, place.stop)
            if low < high:
                found.append(piece[low - place.start : high - place.start])
        return torch.cat(found)

    def whole(self) -> Tensor:
        """All of them."""
        return self.rows(0, self.total)


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    """Plain values with `change` made to what is neither a dict, a list nor a tuple."""
    if isinstance(value, dict):
        return type(value)((key, replaced(item, change)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(replaced(item, change) for item in value)
    return change(value)


def gathered(value: Any, processes: Processes, *, everywhere: bool) -> Any:
    """Plain values with every piece made whole, on the CPU; called by all processes.

    Unless it is wanted `everywhere`, all but the first are left with None in its place.
    """

    def change(item: Any) -> Any:
        if not isinstance(item, Piece):
            return item
        counts = [rows_of(item.at.total, r, processes.count).count for r in range(processes.count)]
        whole = processes.gather(item.tensor, counts)
        return whole.cpu() if everywhere or processes.is_first else None

    return replaced(value, change)


def whole_bytes(value: Any) -> int:
    """The bytes of the tensors among plain values, those in pieces as if they were whole."""
    sizes: list[int] = []
    replaced(value, lambda item: sizes.append(_bytes(item)))
    return sum(sizes)


def _bytes(item: Any) -> int:
    match item:
        case Piece(tensor, at):
            return at.total * math.prod(tensor.shape[1:]) * tensor.element_size()
        case Tensor():
            return item.nbytes
    return 0


def pieces_alone(value: Any) -> Any:
    """Plain values with their pieces, in the same order, and None for every other tensor."""
    return replaced(value, lambda item: None if isinstance(item, Tensor) else item)


def made_whole(value: Any) -> Any:
    """Plain values with every tensor that is kept in pieces made whole."""
    return replaced(value, lambda item: item.whole() if isinstance(item, Pieces) else item)


def cut(value: Tensor | Pieces, at: Rows | None) -> Tensor:
    """The rows `at` of a tensor; all of it for None."""
    if isinstance(value, Tensor):
        return value if at is None else value[at.start : at.stop]
    return value.whole() if at is None else value.rows(at.start, at.stop)
