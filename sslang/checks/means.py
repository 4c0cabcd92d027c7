"""Means that are added where they should be taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.products import SAME
from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import READ, Node
from sslang.ir.program import Program
from sslang.types import TensorType
from sslang.types.values import depends_on_batch

_NEAR = 4  # ops between a deviation and the division by it


def means(program: Program) -> Iterator[Diagnostic]:
    """E442 for `x + mean(x)`, of the batch or where a standardising division follows, and for
    `x + center` of a state that is a running mean of x."""
    by_name = program.step.by_name
    place = program.spans.get("loss")
    told: set[Span | None] = set()
    for node in program.step.nodes:
        if node.op != "add" or len(node.references) != 2:
            continue
        one, two = (by_name[i] for i in node.references)
        for value, mean in ((one, two), (two, one)):
            where = node.span
            own = where is not None and place is not None and where.source is place.source
            span = where if own else place
            if span not in told and _is_added(program, node, value, mean):
                told.add(span)
                name = f"`{mean.setting('state')}`, their running mean," if mean.op == READ else ""
                message = f"{name or 'their mean'} is added to these values"
                taken = mean.setting("state", "mean(x)")
                yield Diagnostic("E442", message, span, hint=f"write a minus: `x - {taken}`")


def _is_added(program: Program, node: Node, value: Node, mean: Node) -> bool:
    by_name = program.step.by_name
    if mean.op == READ:
        return any(_holds(by_name, m, value.name) for m in _running(program, mean))
    if mean.op != "mean" or mean.references[:1] != (value.name,):
        return False
    return _is_of_batch(by_name, mean) or _is_standardised(program, node, value)


def _is_of_batch(by_name: Mapping[str, Node], mean: Node) -> bool:
    """Whether the mean is over the batch alone, and gives a row."""
    source = by_name[mean.references[0]].type if mean.references else None
    along = mean.setting("axis") in (0, (0,))
    return along and isinstance(source, TensorType) and depends_on_batch(source.shape[0])


def _is_standardised(program: Program, node: Node, value: Node) -> bool:
    """Whether the sum is divided by a deviation of the value."""
    by_name = program.step.by_name
    for user in program.step.nodes:
        if user.op != "divide" or user.inputs[0] != node.name or len(user.references) != 2:
            continue
        at = by_name[user.references[1]]
        for _ in range(_NEAR):
            if at.op == "variance":
                return at.references[0] == value.name
            if not at.references:
                break
            at = by_name[at.references[0]]
    return False


def _running(program: Program, read: Node) -> Iterator[Node]:
    """The means over the batch in `center <- 0.9 * center + 0.1 * mean(x, axis = 0)`."""
    by_name = program.step.by_name
    write = program.step.writes.get(read.setting("state"))
    waiting = [write.value] if write is not None and write.index is None else []
    while waiting:
        node = by_name[waiting.pop()]
        if node.op in ("add", "multiply", "divide") or node.op in SAME:
            waiting.extend(node.references)
        elif node.op == "mean" and _is_of_batch(by_name, node):
            yield node


def _holds(by_name: Mapping[str, Node], mean: Node, value: str) -> bool:
    """Whether the value is among the rows that the mean is of."""
    waiting = [mean.references[0]]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name == value:
            return True
        if node.op in SAME or node.op == "concat":
            waiting.extend(node.references)
    return False
