"""How the rows of a queue, or the entries of a state, begin. Each rule gives a row's shape."""

from __future__ import annotations

from sslang.ops.declare import initialiser
from sslang.types import Interval


@initialiser
def sphere(dim: int) -> tuple[int, ...]:
    """Rows of `dim` numbers, uniform on the unit sphere: normal draws, l2-normalised."""
    return (dim,)


@initialiser
def normal(dim: int, std: float = 1.0) -> tuple[int, ...]:
    """Rows of `dim` independent normal draws of mean 0."""
    return (dim,)


@initialiser
def uniform(dim: int, range: Interval = Interval(0.0, 1.0)) -> tuple[int, ...]:
    """Rows of `dim` independent draws, uniform in `range`."""
    return (dim,)


@initialiser
def zeros(dim: int) -> tuple[int, ...]:
    """Rows of `dim` zeros."""
    return (dim,)
