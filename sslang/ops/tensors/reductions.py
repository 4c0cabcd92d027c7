"""Ops that reduce or normalise along axes. Without `axis`, a reduction takes all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sslang.ops.declare import Misfit, tensor_op
from sslang.types import Size, TensorType, Type, broadcast

Axis = int | tuple[int, ...] | None


def axes_of(x: TensorType, axis: Axis) -> tuple[int, ...]:
    """The axes meant, counted from the front; Misfit where there is no such axis."""
    if axis is None:
        return tuple(range(x.rank))
    wanted = (axis,) if isinstance(axis, int) else tuple(axis)
    for a in wanted:
        if not -x.rank <= a < x.rank:
            raise Misfit(f"{x} has no axis {a}", f"its axes are 0 to {x.rank - 1}")
    return tuple(a % x.rank for a in wanted)


def _reduced(x: TensorType, axis: Axis, keep: bool, where: TensorType | None) -> TensorType:
    if where is not None and broadcast(x.shape, where.shape) != x.shape:
        raise Misfit(f"the mask {where} does not fit the value {x}")
    gone = axes_of(x, axis)
    shape: list[Size] = []
    for i, size in enumerate(x.shape):
        if i not in gone:
            shape.append(size)
        elif keep:
            shape.append(1)
    return TensorType(tuple(shape), "float", x.shown)


def _over_rows(types: Sequence[Type], settings: dict[str, Any]) -> bool:
    x = types[0]
    return isinstance(x, TensorType) and bool(x.rank) and 0 in axes_of(x, settings.get("axis"))


@tensor_op("sslang.emit.tensors.sum", couples=_over_rows)
def sum_(
    x: TensorType, axis: Axis = None, keep: bool = False, where: TensorType | None = None
) -> TensorType:
    """The sum along `axis` (all axes without it); `where` says which entries count."""
    return _reduced(x, axis, keep, where)


@tensor_op("sslang.emit.tensors.mean", couples=_over_rows)
def mean(
    x: TensorType, axis: Axis = None, keep: bool = False, where: TensorType | None = None
) -> TensorType:
    """The mean along `axis` (all axes without it); `where` says which entries count."""
    return _reduced(x, axis, keep, where)


@tensor_op("sslang.emit.tensors.variance", couples=_over_rows)
def variance(
    x: TensorType, axis: Axis = None, keep: bool = False, unbiased: bool = False
) -> TensorType:
    """The variance along `axis`: divided by n, or by n - 1 if `unbiased`."""
    return _reduced(x, axis, keep, None)


@tensor_op("sslang.emit.tensors.max", couples=_over_rows)
def max_(x: TensorType, axis: Axis = None, keep: bool = False) -> TensorType:
    """The largest entry along `axis`."""
    return _reduced(x, axis, keep, None)


@tensor_op("sslang.emit.tensors.min", couples=_over_rows)
def min_(x: TensorType, axis: Axis = None, keep: bool = False) -> TensorType:
    """The smallest entry along `axis`."""
    return _reduced(x, axis, keep, None)


@tensor_op("sslang.emit.tensors.argmax", couples=_over_rows)
def argmax(x: TensorType, axis: int = -1) -> TensorType:
    """The position of the largest entry along `axis`; no gradient."""
    return replace(_reduced(x, axis, False, None), dtype="int")


@tensor_op("sslang.emit.tensors.rank", couples=_over_rows)
def rank(x: TensorType, axis: int = -1) -> TensorType:
    """The place of each entry in ascending order along `axis`: integers 0 .. n-1; no gradient.

    `rank(draw_uniform(n)) < k` is a random mask that holds k of n in each row.
    """
    axes_of(x, axis)
    return replace(x, dtype="int")


@tensor_op("sslang.emit.tensors.log_softmax", couples=_over_rows)
def log_softmax(x: TensorType, axis: int = -1, where: TensorType | None = None) -> TensorType:
    """The logarithm of softmax along `axis`, in float32 under autocast.

    An entry that `where` excludes has no weight in the sum and no gradient; its own value in
    the result is 0.
    """
    _reduced(x, axis, False, where)
    return x if x.dtype == "float" else replace(x, dtype="float")


@tensor_op("sslang.emit.tensors.log_sum_exp", couples=_over_rows)
def log_sum_exp(
    x: TensorType, axis: Axis = None, keep: bool = False, where: TensorType | None = None
) -> TensorType:
    """The logarithm of the sum of exponentials along `axis`, in float32 under autocast.

    `where` says which entries count; others have no weight and no gradient.
    """
    return _reduced(x, axis, keep, where)


@tensor_op("sslang.emit.tensors.cumulative_sum", couples=_over_rows)
def cumulative_sum(x: TensorType, axis: int = -1) -> TensorType:
    """The running sum along `axis`."""
    axes_of(x, axis)
    return x
