"""The trained parameters as the optimizer of one process has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from sslang.processes.shards import Rows, own_part, place_of


class OwnParameters:
    """For each parameter, what this process moves of it: itself, or the rows that it holds.

    The rows of one that the processes share out are a parameter of their own, in its memory. So
    an optimizer sees plain tensors, and what it does tensor by tensor needs no other care.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._own = {p: p if place_of(p) is None else nn.Parameter(own_part(p)) for p in parameters}
        self.places: dict[nn.Parameter, Rows] = {
            own: place for p, own in self._own.items() if (place := place_of(p)) is not None
        }

    def __getitem__(self, parameter: nn.Parameter) -> nn.Parameter:
        return self._own[parameter]

    def __iter__(self) -> Iterator[nn.Parameter]:
        return iter(self._own.values())

    def take_gradients(self) -> None:
        """Hand the gradients of shared parameters to what is held of them."""
        for parameter, own in self._own.items():
            if parameter is not own:
                own.grad = None if parameter.grad is None else own_part(parameter.grad)
                parameter.grad = None
