"""Ops that arrange, select or create entries, and the matrix product."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sslang.ops.declare import Misfit, always, tensor_op
from sslang.ops.tensors.reductions import axes_of
from sslang.types import BATCH, Dim, Size, TensorType, Type, ViewType, broadcast
from sslang.types.dims import add as add_sizes
from sslang.types.dims import multiply as multiply_sizes
from sslang.types.dims import scale
from sslang.types.values import depends_on_batch


@tensor_op("operator.matmul", couples=lambda types, settings: types[0].rank != 2)
def matmul(a: TensorType, b: TensorType) -> TensorType:
    """`a @ b`, the matrix product over the last axis of a and the last but one of b."""
    if a.rank < 2 or b.rank < 2:
        raise Misfit(f"`@` multiplies matrices, not {a} and {b}", "for rows use dot(a, b)")
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    if batch is None or a.shape[-1] != b.shape[-2]:
        hint = f"with {b} transposed they fit" if a.shape[-1] == b.shape[-1] else ""
        raise Misfit(f"`@` needs equal inner sizes; these are {a} and {b}", hint)
    return TensorType((*batch, a.shape[-2], b.shape[-1]))


@tensor_op("sslang.emit.tensors.transpose", couples=always)
def transpose(x: TensorType) -> TensorType:
    """`x.T`: the last two axes exchanged."""
    if x.rank < 2:
        raise Misfit(f"{x} has no two axes to exchange")
    return replace(x, shape=(*x.shape[:-2], x.shape[-1], x.shape[-2]))


def _joins_rows(types: Sequence[Type], settings: dict[str, Any]) -> bool:
    first = types[0]
    assert isinstance(first, TensorType)
    return int(settings.get("axis", 0)) % max(1, first.rank) == 0


@tensor_op("sslang.emit.tensors.concat", couples=_joins_rows)
def concat(xs: Sequence[TensorType], axis: int = 0) -> TensorType:
    """The members of a family (or list) one after the other along `axis`."""
    first = xs[0]
    (at,) = axes_of(first, axis) or (0,)
    total: Size = 0
    for x in xs:
        if x.rank != first.rank or x.rank == 0:
            raise Misfit(f"concat joins values of one rank, not {first} and {x}")
        if any(
            s != t for i, (s, t) in enumerate(zip(x.shape, first.shape, strict=True)) if i != at
        ):
            raise Misfit(f"concat along axis {axis} needs the other sizes equal: {first} and {x}")
        total = add_sizes(total, x.shape[at])
    return replace(first, shape=(*first.shape[:at], total, *first.shape[at + 1 :]))


@tensor_op("sslang.emit.tensors.stack", couples=_joins_rows)
def stack(xs: Sequence[TensorType], axis: int = 0) -> TensorType:
    """The members of a family (or list) along a new axis."""
    first = xs[0]
    if any(x != first for x in xs):
        raise Misfit("stack needs members of one shape")
    at = axis % (first.rank + 1)
    return replace(first, shape=(*first.shape[:at], len(xs), *first.shape[at:]))


@tensor_op("sslang.emit.tensors.flatten")
def flatten(x: TensorType, axis: int = 1, last: int = -1) -> TensorType:
    """The axes from `axis` to `last` made into one: [B, H, W, D] with `last = 2`, `axis = 0`
    is [B * H * W, D]."""
    first, end = axes_of(x, (axis, last))
    if first > end:
        raise Misfit(f"axis {axis} of {x} comes after axis {last}")
    total: Size | None = 1
    for size in x.shape[first : end + 1]:
        total = None if total is None else multiply_sizes(total, size)
    if total is None:
        raise Misfit(f"the size of {x} flattened is not linear in the batch")
    return replace(x, shape=(*x.shape[:first], total, *x.shape[end + 1 :]))


@tensor_op("sslang.emit.tensors.unflatten", couples=lambda types, settings: not settings["axis"])
def unflatten(x: TensorType, axis: int, first: int) -> TensorType:
    """The axis made into two, the first of the size `first`: [B, H * W, D] with `axis = 1` and
    `first = H` is [B, H, W, D]."""
    (at,) = axes_of(x, axis)
    size = x.shape[at]
    if not isinstance(size, int) or first < 1 or size % first:
        raise Misfit(f"the size {size} cannot be cut into {first} parts", code="E309")
    return replace(x, shape=(*x.shape[:at], first, size // first, *x.shape[at + 1 :]))


@tensor_op("sslang.emit.tensors.roll", couples=_joins_rows)
def roll(x: TensorType, by: Size, axis: int = 0) -> TensorType:
    """Each entry moved `by` places along `axis`, the last ones to the front."""
    axes_of(x, axis)
    return x


@tensor_op("sslang.emit.tensors.take")
def take(x: TensorType, index: TensorType) -> TensorType:
    """For each row, the entry of its last axis that `index` names: [R, N], int [R] -> [R]."""
    if index.dtype != "int" or x.shape[:-1] != index.shape:
        raise Misfit(f"take needs one integer for each row of {x}; the index is {index}")
    return replace(x, shape=index.shape)


@tensor_op(
    "sslang.emit.tensors.gather",
    couples=lambda types, settings: bool(types[0].shape) and depends_on_batch(types[0].shape[0]),
)
def gather(x: TensorType, index: TensorType) -> TensorType:
    """`x[i]`: the rows of x that integers name; [N, ...] and int [...] give [..., ...]."""
    if index.dtype != "int" or x.rank < 1:
        raise Misfit(f"rows of {x} are named by integers; the index is {index}")
    return replace(x, shape=(*index.shape, *x.shape[1:]))


@tensor_op("sslang.emit.tensors.one_hot")
def one_hot(index: TensorType, n: Size) -> TensorType:
    """1 at the place that each integer names, else 0: int [...] -> [..., n]."""
    if index.dtype != "int":
        raise Misfit(f"`one_hot` takes integers, not {index}")
    _count(n, "one_hot")
    return TensorType((*index.shape, n))


def index_shape(x: TensorType, items: Sequence[object]) -> TensorType:
    """The type of `x[items]` for integers, slices, None (a new axis) and `...`."""
    plain = [i for i in items if i is not None and i is not Ellipsis]
    if len(plain) > x.rank:
        raise Misfit(f"{len(plain)} subscripts for {x}")
    if sum(item is Ellipsis for item in items) > 1:
        raise Misfit("`...` stands once among the subscripts", code="E303")
    expanded: list[object] = []
    for item in items:
        expanded.extend([slice(None)] * (x.rank - len(plain)) if item is Ellipsis else [item])
    shape: list[Size] = []
    axis = 0
    for item in expanded:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[axis]
        axis += 1
        if isinstance(item, slice):
            shape.append(_sliced(size, item))
        elif isinstance(size, int) and isinstance(item, int) and not -size <= item < size:
            raise Misfit(f"{x} has no entry {item} on axis {axis - 1}", code="E310")
    return replace(x, shape=(*shape, *x.shape[axis:]))


def _sliced(size: Size, item: slice) -> Size:
    start, stop = item.start or 0, size if item.stop is None else item.stop
    if isinstance(size, int) and all(isinstance(v, int) for v in (start, stop)):
        return len(range(*slice(start, stop).indices(size)))
    begin: Size = add_sizes(size, start) if _is_negative(start) else start
    end: Size = add_sizes(size, stop) if _is_negative(stop) else stop
    length = add_sizes(end, _negated(begin))
    if length == 0 or _is_negative(length):
        raise Misfit(f"the slice has {length} entries", "slices are written from:to", "E309")
    return length


def _is_negative(size: Size) -> bool:
    if isinstance(size, Dim):
        return all(factor < 0 for _, factor in size.terms)
    return size < 0


def _negated(size: Size) -> Size:
    return scale(size, -1)


@tensor_op(
    "sslang.emit.tensors.index",
    couples=lambda types, settings: not keeps_rows(settings["items"], types[0].rank),
)
def index(x: TensorType, items: tuple[object, ...]) -> TensorType:
    """`x[items]`: integers, slices, `...` and None (a new axis), as in NumPy."""
    return index_shape(x, items)


def keeps_rows(items: Sequence[object], rank: int) -> bool:
    """Whether `x[items]` of a value of that rank leaves its first axis as it is."""
    if items[0] is Ellipsis:
        return len([i for i in items if i is not None and i is not Ellipsis]) < rank
    return bool(items[0] == slice(None))


@tensor_op("sslang.emit.tensors.arange")
def arange(n: Size) -> TensorType:
    """The integers 0 .. n-1."""
    _count(n, "arange")
    return TensorType((n,), "int")


@tensor_op("sslang.emit.tensors.linspace")
def linspace(low: float, high: float, n: Size) -> TensorType:
    """n numbers from `low` to `high`, both included, at equal distances."""
    _count(n, "linspace")
    return TensorType((n,))


@tensor_op("sslang.emit.tensors.pixels")
def pixels(x: ViewType) -> TensorType:
    """The values of a view as a tensor: [batch, channels, size, size]; [batch, h, w, size * size *
    channels] after `patches`, each patch in rows of pixels, the channels of a pixel together.
    """
    if x.size is None:
        raise Misfit("`pixels` needs views of one size", "crop the view first", "E603")
    if x.grid is None:
        return TensorType((BATCH, x.channels, x.size, x.size))
    return TensorType((BATCH, *x.grid, x.size * x.size * x.channels))


@tensor_op("sslang.emit.tensors.eye")
def eye(n: Size) -> TensorType:
    """The identity matrix of n rows."""
    _count(n, "eye")
    return TensorType((n, n))


def _count(n: Size, op: str) -> None:
    if n == 0 or _is_negative(n):
        raise Misfit(f"`{op}` makes at least one entry, not {n}", code="E309")
