"""Draws of rows: no more than there are, and none that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.declared import images, number
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import DRAW, INPUT, READ, Node
from sslang.ir.program import Program, StatePlan
from sslang.types import TensorType


def negatives(program: Program) -> Iterator[Diagnostic]:
    """E511 for more draws than rows, E512 for draws beyond the rows, E609 for too small a bank."""
    by_name = program.step.by_name
    states = {s.name: s for s in program.states}
    seen: set[tuple[str, str]] = set()
    for node in program.step.nodes:
        if node.op != "gather":
            continue
        rows = by_name[node.references[0]]
        state = states.get(rows.setting("state", "")) if rows.op == READ else None
        for source in _indices(by_name, node.references[-1]):
            if (rows.name, source.name) in seen:
                continue
            seen.add((rows.name, source.name))
            if source.op == DRAW and source.setting("kind") == "integers":
                yield from _drawn(program, source, rows, state)
            elif source.op == INPUT and source.setting("name") == "index" and state is not None:
                yield from _small(program, state)


def _indices(by_name: Mapping[str, Node], name: str) -> Iterator[Node]:
    """The draws and inputs that the integers of an index are made of, without arithmetic."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op in (DRAW, INPUT):
            yield node
        elif node.op in ("concat", "index", "stack", "flatten"):
            waiting.extend(node.references)


def _drawn(
    program: Program, draw: Node, rows: Node, state: StatePlan | None
) -> Iterator[Diagnostic]:
    assert isinstance(draw.type, TensorType)
    assert isinstance(rows.type, TensorType)
    below = number(program, draw.setting("below"))
    there = number(program, rows.type.shape[0])
    labels = (Label(state.span, "the rows are here"),) if state is not None else ()
    if below is not None and there is not None and below > there:
        what = f"`{state.name}` has" if state is not None else "there are"
        message = f"this draws integers below {below}, and {what} {there} rows"
        hint = f"write `below = {rows.type.shape[0]}`"
        yield Diagnostic("E512", message, draw.span, labels, hint)
    sizes = draw.type.shape[1:] if draw.setting("per") == "row" else draw.type.shape
    most = sizes[-1] if sizes else 1
    if below is not None and isinstance(most, int) and most > below:
        message = f"this draws {most} of {below} rows, so rows come more than once"
        yield Diagnostic("E511", message, draw.span, labels,
                         "draw fewer, or compare with all rows")  # fmt: skip


def _small(program: Program, state: StatePlan) -> Iterator[Diagnostic]:
    rows, count = state.shape[0], images(program)
    if state.kind == "bank" and isinstance(rows, int) and count is not None and rows < count:
        message = f"the bank `{state.name}` has {rows} rows, and the data {count} images"
        yield Diagnostic("E609", message, state.span, hint="write `[dataset]`")
