"""The tensors within a state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from sslang.processes.shards import Piece


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors and pieces of nested mappings, lists and tuples, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Piece):
        yield value.tensor
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
