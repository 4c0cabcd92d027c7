"""Rows that were joined to others and taken out again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sslang.ir.graph import SCHEDULE, SIZE, Graph, Node
from sslang.types import Size, TensorType
from sslang.types.dims import multiply

_ROWWISE = frozenset((
    "exp", "log", "sqrt", "abs", "negative", "stop_grad", "scale_grad", "divide", "multiply", "add",
    "subtract", "maximum", "minimum",
))  # fmt: skip
_NUMBERS = frozenset((SCHEDULE, SIZE))


def unjoined(graph: Graph) -> Graph:
    """The graph in which `g(concat([queue, x]))[-batch:]` is g(x), where g acts on each row alone.

    So that a softmax of such rows is known to depend on no row but its own, and Sinkhorn, which
    is no such g, is not taken for one.
    """
    by_name = graph.by_name
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        part, *moved = _moved(node, by_name) if node.op == "index" else [node]
        if part is not node:
            nodes.extend(moved)
            renamed[node.name] = [part, *moved][-1].name
        nodes.append(node)
    return graph.replaced(renamed, nodes) if renamed else graph


def _moved(node: Node, by_name: Mapping[str, Node]) -> list[Node]:
    """The part that the slice takes, then the ops between the concat and the slice, on that part;
    the node itself where it is no such slice."""
    first, *rest = node.setting("items")
    if any(item != slice(None) for item in rest) or not isinstance(first, slice):
        return [node]
    chain: list[Node] = []
    at = by_name[node.references[0]]
    while _is_rowwise(at, by_name):
        chain.append(at)
        at = by_name[_value(at, by_name)]
    part = _part(at, first, by_name)
    if part is None:
        return [node]
    found = [part]
    for op in reversed(chain):
        assert isinstance(op.type, TensorType)
        source, name = _value(op, by_name), f"{op.name}_of_{node.name}"
        inputs = tuple(found[-1].name if i == source else i for i in op.inputs)
        assert isinstance(part.type, TensorType)
        type_ = replace(op.type, shape=(part.type.shape[0], *op.type.shape[1:]))
        found.append(replace(op, name=name, inputs=inputs, type=type_))
    return found


def _is_rowwise(node: Node, by_name: Mapping[str, Node]) -> bool:
    if node.op == "log_softmax" and isinstance(node.type, TensorType):
        last = node.setting("axis") in (-1, node.type.rank - 1)
        return last and node.type.rank > 1 and len(node.references) == 1
    return node.op in _ROWWISE and bool(_value(node, by_name))


def _value(node: Node, by_name: Mapping[str, Node]) -> str:
    """The one input that is no number; empty where there are two."""
    values = {i for i in node.references if by_name[i].op not in _NUMBERS}
    return values.pop() if len(values) == 1 else ""


def _part(node: Node, taken: slice, by_name: Mapping[str, Node]) -> Node | None:
    """The last of the rows that a concat joins, where the slice takes just these."""
    if node.op != "concat" or node.setting("axis") != 0 or taken.step is not None:
        return None
    last = by_name[node.references[-1]]
    if taken.stop is not None or not isinstance(last.type, TensorType):
        return None
    return last if _opposite(taken.start) == last.type.shape[0] else None


def _opposite(start: Size | None) -> Size | None:
    return None if start is None else multiply(start, -1)
