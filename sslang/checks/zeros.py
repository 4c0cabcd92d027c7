"""Values of a graph that are 0 whatever its nets compute: a term multiplied by 0 is none."""

from __future__ import annotations

from sslang.ir.graph import SCHEDULE, Graph, Node, Operand
from sslang.ops.schedules import ends_of

# Ops that give 0 where all that they read is 0.
_KEEPING = frozenset((
    "add", "subtract", "negative", "abs", "sqrt", "maximum", "minimum", "sum", "mean", "max", "min",
    "cumulative_sum", "transpose", "concat", "stack", "flatten", "roll", "take", "index", "where",
    "stop_grad", "scale_grad",
))  # fmt: skip
_PRODUCTS = frozenset(("multiply", "matmul"))


def zeros(graph: Graph) -> frozenset[str]:
    """The names of nodes that are 0 at every entry, at all times."""
    found: set[str] = set()
    for node in graph.nodes:
        if _is_zero(node, found):
            found.add(node.name)
    return frozenset(found)


def _is_zero(node: Node, found: set[str]) -> bool:
    def zero(operand: Operand) -> bool:
        if isinstance(operand, str):
            return operand in found
        return operand is not None and operand == 0

    inputs = [i for i in node.inputs if i is not None]
    if node.op == SCHEDULE:
        return not any(ends_of(node.setting("schedule")))
    if node.op in _PRODUCTS:
        return any(zero(i) for i in inputs)
    if node.op == "divide":
        return zero(inputs[0])
    if node.op == "where":
        return all(zero(i) for i in inputs[1:])
    if node.op in ("take", "scale_grad"):
        return zero(inputs[0])
    return node.op in _KEEPING and bool(inputs) and all(zero(i) for i in inputs)
