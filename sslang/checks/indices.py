"""Integers that name a place, and how many places there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic
from sslang.ir.graph import DRAW, MEMBER, Graph, Node
from sslang.ir.program import Program
from sslang.types import Size, TensorType

# Ops whose entries are among those of what they read.
_MOVING = frozenset((
    "index", "flatten", "unflatten", "transpose", "roll", "stop_grad", "concat", "stack",
    "maximum", "minimum", "max", "min", MEMBER,
))  # fmt: skip


def indices(program: Program) -> Iterator[Diagnostic]:
    """E309 where an integer may name a place that is not there, as far as numbers say."""
    graph = program.step
    bounds = _bounds(graph)
    for node in graph.nodes:
        found = _places(graph.by_name, node)
        if found is None:
            continue
        index, places = found
        below = bounds.get(index)
        if below is not None and below > places:
            message = f"the integers here go up to {below - 1}, and the places up to {places - 1}"
            hint = f"let there be {below} places: a head of that width, say"
            yield Diagnostic("E309", message, node.place, hint=hint)


def _places(by_name: Mapping[str, Node], node: Node) -> tuple[str, int] | None:
    """The index that an op reads, and how many places it may name."""
    if node.op == "one_hot":
        count: Size = node.setting("n")
        return (node.references[0], count) if isinstance(count, int) else None
    if node.op not in ("take", "gather") or len(node.references) < 2:
        return None
    source, index = node.references[:2]
    type_ = by_name[source].type
    if not isinstance(type_, TensorType):
        return None
    count = type_.shape[-1 if node.op == "take" else 0]
    return (index, count) if isinstance(count, int) else None


def _bounds(graph: Graph) -> dict[str, int]:
    """What the integers of each node stay below, where it is known."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        if not isinstance(node.type, TensorType) or node.type.dtype != "int":
            continue
        if node.op == DRAW:
            below = node.setting("below")
        elif node.op == "arange":
            below = node.setting("n")
        elif node.op in _MOVING or node.op == "where":
            read = node.references[1:] if node.op == "where" else node.references
            known = [found[name] for name in read if name in found]
            exact = len(known) == len(read) and all(isinstance(i, str) for i in node.inputs)
            below = max(known, default=None) if exact else None
        else:
            below = None
        if isinstance(below, int):
            found[node.name] = below
    return found
