"""Numbers in the place of truth values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import APPLY, READ, Node
from sslang.ir.program import Program
from sslang.types import TensorType

_MASKED = frozenset(("sum", "mean", "log_softmax", "log_sum_exp"))


def conditions(program: Program) -> Iterator[Diagnostic]:
    """E301 for a condition that is a number which nets give; 0 and 1, as of `eye`, are let be."""
    by_name = program.step.by_name
    given: set[str] = set()
    told: set[Span | None] = set()
    for node in program.step.nodes:
        if node.op in (APPLY, READ) or given.intersection(node.references):
            given.add(node.name)
        condition = _condition(node, by_name)
        if condition is None or condition.name not in given:
            continue
        place = _place(program, condition, node)
        if place not in told:
            told.add(place)
            message = "a truth value is due here, and this is a number, which is hardly ever 0"
            hint = "compare it: `where(x > 0, a, b)`"
            yield Diagnostic("E301", message, place, hint=hint)


def _condition(node: Node, by_name: Mapping[str, Node]) -> Node | None:
    """The condition or mask of an op, where it is a number."""
    at = 0 if node.op == "where" else 1 if node.op in _MASKED else len(node.inputs)
    name = node.inputs[at] if at < len(node.inputs) else None
    condition = by_name[name] if isinstance(name, str) else None
    if condition is None or not isinstance(condition.type, TensorType):
        return None
    return condition if condition.type.dtype == "float" else None


def _place(program: Program, *nodes: Node) -> Span | None:
    """The first of these in the author's file, else the loss."""
    loss = program.spans.get("loss")
    own = (n.span for n in nodes if n.span and loss and n.span.source is loss.source)
    return next(own, loss)
