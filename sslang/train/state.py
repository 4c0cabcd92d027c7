"""The state of a learner as plain values, and back: whole tensors, and pieces of shared ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sslang.processes.shards import Piece, Pieces, Rows, cut, own_part, place_of
from sslang.train.own import OwnParameters

NO_ROWS: Mapping[str, Rows] = {}


def state_of_tensors(
    state: Mapping[str, Tensor], rows: Mapping[str, Rows] = NO_ROWS
) -> dict[str, Tensor | Piece]:
    """Tensors by name, of shared ones the piece that this process holds.

    `rows` are those of tensors that do not know it themselves: banks.
    """
    return {
        name: _piece(own_part(value), rows.get(name) or place_of(value))
        for name, value in state.items()
    }


def restored_tensors(
    state: Mapping[str, Any], like: Mapping[str, Tensor], rows: Mapping[str, Rows] = NO_ROWS
) -> dict[str, Tensor]:
    """Of a loaded state, what goes where the tensors of `like` are, of which these `rows`."""
    places = {name: rows.get(name) or place_of(tensor) for name, tensor in like.items()}
    found = {name: cut(value, places.get(name)) for name, value in state.items()}
    if all(place_of(tensor) is None for tensor in like.values()):
        return found
    from sslang.emit.nets.sharded import placed_like  # half a second to import

    return {n: placed_like(v, like[n]) if n in like else v for n, v in found.items()}


def state_of_optimizer(optimizer: torch.optim.Optimizer, own: OwnParameters) -> dict[str, Any]:
    """The optimizer's state; tensors as large as a shared parameter are pieces as it is."""
    state = optimizer.state_dict()
    return {**state, "state": {
        number: {n: _piece(v, _place(v, parameter, own)) for n, v in values.items()}
        for parameter, number, values in _numbered(optimizer, state)
    }}  # fmt: skip


def restored_optimizer(
    state: Mapping[str, Any], optimizer: torch.optim.Optimizer, own: OwnParameters
) -> dict[str, Any]:
    """Of a loaded state, what goes with the parameters of this process."""
    return {**state, "state": {
        number: {n: _own(v, parameter, own.places.get(parameter)) for n, v in values.items()}
        for parameter, number, values in _numbered(optimizer, state)
    }}  # fmt: skip


def _numbered(
    optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> list[tuple[nn.Parameter, int, Mapping[str, Any]]]:
    """Parameter, its number in the state, and what there is of it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return [(parameters[number], number, values) for number, values in state["state"].items()]


def _place(value: Any, parameter: nn.Parameter, own: OwnParameters) -> Rows | None:
    as_large = isinstance(value, Tensor) and value.shape == parameter.shape
    return own.places.get(parameter) if as_large else None


def _own(value: Any, parameter: nn.Parameter, place: Rows | None) -> Any:
    """A copy of a value that goes with a parameter, laid out in memory as that is.

    torch's fused AdamW takes momentum and parameter for tensors of the same strides, unasked.
    """
    if isinstance(value, Tensor) and not value.dim():
        return value.clone()  # the count of steps
    if not isinstance(value, Pieces | Tensor):
        return value
    rows = cut(value, place)
    return torch.empty_like(parameter, dtype=rows.dtype, device=rows.device).copy_(rows)


def _piece(value: Any, place: Rows | None) -> Any:
    return value if place is None else Piece(value, place)
