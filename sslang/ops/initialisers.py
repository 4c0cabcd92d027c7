"""How the rows of a queue or bank, or the entries of a state or weight, begin.

Each rule gives a row's shape; None where the declaration's brackets give it (state, weight).
"""

from sslang.ops.declare import initialiser
from sslang.types import Interval


def _row(dim: int | None) -> tuple[int, ...] | None:
    return None if dim is None else (dim,)


@initialiser
def sphere(dim: int | None = None) -> tuple[int, ...] | None:
    """Rows of `dim` numbers, uniform on the unit sphere: normal draws, l2-normalised."""
    return _row(dim)


@initialiser
def normal(dim: int | None = None, std: float = 1.0) -> tuple[int, ...] | None:
    """Independent normal draws of mean 0, in rows of `dim`."""
    return _row(dim)


@initialiser
def uniform(dim: int | None = None, range: Interval = Interval(0.0, 1.0)) -> tuple[int, ...] | None:
    """Independent draws, uniform in `range`, in rows of `dim`."""
    return _row(dim)


@initialiser
def uniform_fan_in(dim: int | None = None) -> tuple[int, ...] | None:
    """Independent draws, uniform in +-1 / sqrt(n) with rows of n: as torch draws a linear layer."""
    return _row(dim)


@initialiser
def zeros(dim: int | None = None) -> tuple[int, ...] | None:
    """Zeros, in rows of `dim`."""
    return _row(dim)


@initialiser
def empty(dim: int) -> tuple[int, ...] | None:
    """No rows: a queue of rows of `dim` that reads as empty until it is full."""
    return (dim,)
