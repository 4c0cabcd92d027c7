"""The tensor primitives in NumPy, for checks that compute a loss on small tables.

NumPy takes a tenth of a second to load: this file is imported where a check computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_A_MATMUL = 8  # products in the time of one number
_BROADCAST = frozenset((
    "add", "subtract", "multiply", "divide", "modulo", "power", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "maximum", "minimum",
    "where", "sum", "mean", "log_softmax", "log_sum_exp",
))  # fmt: skip
_Axis = int | tuple[int, ...] | None


def _masked(x: Array, where: Array | None, fill: float) -> Array:
    return x if where is None else np.where(where, x, fill)


def _where(condition: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(condition, a, b))


def _sum(x: Array, where: Array | None = None, *, axis: _Axis = None, keep: bool = False) -> Array:
    return np.asarray(_masked(x, where, 0.0).sum(axis, keepdims=keep))


def _mean(x: Array, where: Array | None = None, *, axis: _Axis = None, keep: bool = False) -> Array:
    if where is None:
        return np.asarray(x.mean(axis, keepdims=keep))
    count = np.broadcast_to(where, x.shape).sum(axis, keepdims=keep)
    return np.asarray(_sum(x, where, axis=axis, keep=keep) / np.maximum(count, 1))


def _variance(x: Array, *, axis: _Axis = None, keep: bool = False, unbiased: bool = False) -> Array:
    return np.asarray(x.var(axis, ddof=int(unbiased), keepdims=keep))


def _log_sum_exp(
    x: Array, where: Array | None = None, *, axis: _Axis = None, keep: bool = False
) -> Array:
    masked = _masked(x, where, -np.inf)
    top = masked.max(axis, keepdims=True)
    total = np.log(np.exp(masked - top).sum(axis, keepdims=True)) + top
    return np.asarray(total if keep else np.squeeze(total, axis))


def _log_softmax(x: Array, where: Array | None = None, *, axis: int = -1) -> Array:
    found = x - _log_sum_exp(x, where, axis=axis, keep=True)
    return _masked(found, where, 0.0)


def _flatten(x: Array, *, axis: int = 1, last: int = -1) -> Array:
    first, end = axis % x.ndim, last % x.ndim
    return x.reshape(*x.shape[:first], -1, *x.shape[end + 1 :])


def _unflatten(x: Array, *, axis: int, first: int) -> Array:
    at = axis % x.ndim
    return x.reshape(*x.shape[:at], first, -1, *x.shape[at + 1 :])


def _take(x: Array, index: Array) -> Array:
    return np.asarray(np.take_along_axis(x, index[..., None], axis=-1)[..., 0])


def _one_hot(index: Array, *, n: int) -> Array:
    return np.asarray(np.eye(n)[index])


def _rank(x: Array, *, axis: int = -1) -> Array:
    return np.asarray(x.argsort(axis, kind="stable").argsort(axis))


def _solve_triangular(a: Array, b: Array, *, upper: bool = False) -> Array:
    return np.asarray(np.linalg.solve(a, b))


OPS: Mapping[str, Callable[..., Array]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide,
    "modulo": np.mod, "power": np.power, "negative": np.negative, "equal": np.equal,
    "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_not": np.logical_not, "exp": np.exp, "log": np.log,
    "sqrt": np.sqrt, "cos": np.cos, "sin": np.sin, "abs": np.abs, "maximum": np.maximum,
    "minimum": np.minimum, "where": _where,
    "stop_grad": lambda x: x, "scale_grad": lambda x, factor=1.0: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "sum": _sum, "mean": _mean, "variance": _variance,
    "max": lambda x, *, axis=None, keep=False: x.max(axis, keepdims=keep),
    "min": lambda x, *, axis=None, keep=False: x.min(axis, keepdims=keep),
    "argmax": lambda x, *, axis=-1: x.argmax(axis), "rank": _rank,
    "log_softmax": _log_softmax, "log_sum_exp": _log_sum_exp,
    "cumulative_sum": lambda x, *, axis=-1: x.cumsum(axis),
    "cholesky": np.linalg.cholesky, "solve_triangular": _solve_triangular,
    "singular_values": lambda x: np.linalg.svd(x, compute_uv=False),
    "matmul": np.matmul, "transpose": lambda x: x.swapaxes(-1, -2),
    "concat": lambda *xs, axis=0: np.concatenate(xs, axis),
    "stack": lambda *xs, axis=0: np.stack(xs, axis),
    "flatten": _flatten, "unflatten": _unflatten,
    "roll": lambda x, *, by, axis=0: np.roll(x, by, axis), "take": _take,
    "gather": lambda x, index: x[index], "one_hot": _one_hot,
    "index": lambda x, *, items: x[items], "arange": lambda *, n: np.arange(n),
    "linspace": lambda *, low, high, n: np.linspace(low, high, n), "eye": lambda *, n: np.eye(n),
}  # fmt: skip


def cost(op: str, inputs: Sequence[Any], settings: Mapping[str, Any]) -> int:
    """How many numbers an op gives, or goes through, before it is run."""
    shapes: list[tuple[int, ...]] = [x.shape for x in inputs if isinstance(x, np.ndarray)]
    read = sum(map(math.prod, shapes))
    match op:
        case "eye":
            return int(settings["n"]) ** 2
        case "arange" | "linspace":
            return int(settings["n"])
        case "one_hot":
            return read * int(settings["n"])
        case "matmul":
            one, other = shapes
            batch = np.broadcast_shapes(one[:-2], other[:-2])
            return math.prod((*batch, *one[-2:], other[-1])) // _A_MATMUL + read
        case "gather":
            source, index = shapes
            return math.prod((*index, *source[1:]))
        case "cholesky" | "solve_triangular" | "singular_values":
            return read * max(shapes[0][-2:])
    if op in _BROADCAST:
        return max(read, math.prod(np.broadcast_shapes(*shapes)))
    return read
