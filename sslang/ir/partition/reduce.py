"""Means and variances over rows as the sums they are made of."""

from __future__ import annotations

from collections.abc import Callable

from sslang.ir.graph import SIZE, Node
from sslang.ops.tensors.reductions import axes_of
from sslang.types import SCALAR, Dim, Size, TensorType
from sslang.types.dims import add, multiply

Fresh = Callable[[str], str]


def sums_rows(node: Node, value: TensorType) -> bool:
    """Whether the node is a sum, mean or variance that takes in the first axis of `value`."""
    if node.op not in ("sum", "mean", "variance"):
        return False
    return 0 in axes_of(value, node.setting("axis"))


def mean_nodes(node: Node, value: TensorType, fresh: Fresh) -> list[Node] | None:
    """Before:  m = mean(x, where)    After:  s = sum(x, where)
    m = s / number of entries that count
    """
    if len(node.references) == 2:
        return _masked_mean(node, value, fresh)
    total = Node(fresh(f"{node.name}_sum"), "sum", node.inputs, node.settings, node.type, node.span)
    made = [total]
    sizes = [value.shape[a] for a in axes_of(value, node.setting("axis"))]
    _divided(made, total.name, sizes, node, fresh)
    return made


def _masked_mean(node: Node, value: TensorType, fresh: Fresh) -> list[Node] | None:
    x, mask = node.references
    float_ = TensorType(value.shape)
    assert isinstance(node.type, TensorType)
    flat = TensorType(node.type.shape)
    # One for each entry of x that counts: a mask may be smaller than what it masks.
    zero = Node(fresh(f"{node.name}_zero"), "multiply", (x, 0.0), (), float_, node.span)
    cut = Node(fresh(f"{node.name}_cut"), "stop_grad", (zero.name,), (), float_, node.span)
    one = Node(fresh(f"{node.name}_one"), "add", (cut.name, 1.0), (), float_, node.span)
    total = Node(fresh(f"{node.name}_sum"), "sum", (x, mask), node.settings, flat, node.span)
    count = Node(
        fresh(f"{node.name}_count"), "sum", (one.name, mask), node.settings, flat, node.span
    )
    some = Node(fresh(f"{node.name}_some"), "maximum", (count.name, 1.0), (), flat, node.span)
    mean = Node(node.name, "divide", (total.name, some.name), (), node.type, node.span)
    return [zero, cut, one, total, count, some, mean]


def variance_nodes(node: Node, value: TensorType, fresh: Fresh) -> list[Node] | None:
    """Before:  v = variance(x)       After:  d = x - mean(x)
    v = sum(d * d) / n, or n - 1
    """
    axis = node.setting("axis")
    gone = axes_of(value, axis)
    kept = tuple(1 if a in gone else s for a, s in enumerate(value.shape))
    (x,) = node.references
    settings = (("axis", axis), ("keep", True))
    mean = Node(fresh(f"{node.name}_mean"), "mean", (x,), settings, TensorType(kept), node.span)
    off = Node(fresh(f"{node.name}_off"), "subtract", (x, mean.name), (), value, node.span)
    square = Node(
        fresh(f"{node.name}_square"), "multiply", (off.name, off.name), (), value, node.span
    )
    settings = (("axis", axis), ("keep", node.setting("keep", False)))
    total = Node(fresh(f"{node.name}_sum"), "sum", (square.name,), settings, node.type, node.span)
    made = [mean, off, square, total]
    if not node.setting("unbiased", False):
        _divided(made, total.name, [value.shape[a] for a in gone], node, fresh)
        return made
    size: Size | None = 1
    for a in gone:
        size = None if size is None else multiply(size, value.shape[a])
    if size is None:
        return None
    _divided(made, total.name, [add(size, -1)], node, fresh)
    return made


def _divided(made: list[Node], name: str, sizes: list[Size], node: Node, fresh: Fresh) -> None:
    """Add the division of `name` by the sizes, the last of which is called as `node`."""
    plain = 1
    symbolic: list[Dim] = []
    for size in sizes:
        if isinstance(size, Dim):
            symbolic.append(size)
        else:
            plain *= size
    by: list[str | int] = [plain] if plain != 1 or not symbolic else []
    for dim in symbolic:
        count = Node(fresh(f"{node.name}_rows"), SIZE, (), (("size", dim),), SCALAR, node.span)
        made.append(count)
        by.append(count.name)
    for at, divisor in enumerate(by):
        last = at == len(by) - 1
        title = node.name if last else fresh(f"{node.name}_over")
        made.append(Node(title, "divide", (name, divisor), (), node.type, node.span))
        name = title
