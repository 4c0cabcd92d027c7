"""Queues and banks whose rows have another length than what they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.lengths import Length, initial_length, is_normalised, measured, row_lengths
from sslang.checks.products import Uses, held_rows, products, uses_of
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import Node
from sslang.ir.program import Program, StatePlan


def unequal_rows(program: Program) -> Iterator[Diagnostic]:
    """E431 for rows that begin or are written with another length than their like.

    It is told where it is sure: rows divided by their length have length 1, rows as a net gives
    them any, and how a state begins is written. A spec that takes the length of the rows itself,
    as a cosine does, is left alone.
    """
    names = {s.name for s in program.states if s.kind in ("queue", "bank")}
    states = [s for s in program.states if s.name in names & set(program.step.writes)]
    if not states:
        return
    by_name = program.step.by_name
    lengths, held = row_lengths(program), held_rows(program)
    compared = list(products(program.step))
    directions = {
        str(n.inputs[0]): n
        for n in program.step.nodes
        if n.op == "divide" and is_normalised(n, by_name)
    }
    taken = {measured(n, by_name) for n in program.step.nodes}
    known = frozenset().union(*(held.get(name or "", frozenset()) for name in taken))
    for state in states:
        uses = [] if state.name in known else uses_of(state, held, compared)
        value = by_name[program.step.writes[state.name].value]
        divided = [n for i, n in directions.items() if state.name in held.get(i, ())]
        found = (
            _begins(state, value, lengths, uses)
            or _zeros(state, divided)
            or _written(state, value, lengths, uses)
        )
        if found is not None:
            yield found


def _begins(
    state: StatePlan, value: Node, lengths: Mapping[str, Length], uses: Uses
) -> Diagnostic | None:
    """The rows that are written have length 1, those that it begins with another."""
    begins = initial_length(state)
    if lengths[value.name] is not Length.UNIT or not uses or begins is None:
        return None
    if abs(begins - 1) < 0.1:
        return None
    message = f"the rows of `{state.name}` begin with length {begins:.3g}"
    message += ", and those written have length 1"
    return Diagnostic("E431", message, state.span, _written_here(value), _begin(state))


def _zeros(state: StatePlan, divided: list[Node]) -> Diagnostic | None:
    """Rows of zeros are divided by their length, which is 0."""
    if initial_length(state) != 0 or not divided:
        return None
    place = divided[0].place
    labels = (Label(place, "normalised here"),) if place is not None else ()
    message = f"the rows of `{state.name}` begin as zeros, which have no direction"
    return Diagnostic("E431", message, state.span, labels, _begin(state))


def _written(
    state: StatePlan, value: Node, lengths: Mapping[str, Length], uses: Uses
) -> Diagnostic | None:
    """The rows that are written have another length than the rows that they are compared with."""
    unit = next((p for p, other in uses if lengths[other] is Length.UNIT), None)
    if lengths[value.name] not in (Length.FREE, Length.SUM) or unit is None:
        return None
    labels = _written_here(value)
    if unit.node.place is not None:
        labels = (*labels, Label(unit.node.place, "compared here"))
    kind = "have any length" if lengths[value.name] is Length.FREE else "are sums of rows"
    message = f"the rows written to `{state.name}` {kind}, and are compared with rows of length 1"
    at = "[index]" if state.kind == "bank" else ""
    hint = f"write `{state.name}{at} <- l2_normalize(...)`"
    return Diagnostic("E431", message, state.span, labels, hint)


def _begin(state: StatePlan) -> str:
    width = state.shape[-1]
    other = f", or `empty({width})` until it is full" if state.kind == "queue" else ""
    return f"begin with `sphere({width})`{other}"


def _written_here(value: Node) -> tuple[Label, ...]:
    return (Label(value.place, "this is written"),) if value.place is not None else ()
