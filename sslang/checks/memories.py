"""What queues, banks and states are written with: whose rows, and rows of what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.lengths import is_normalised
from sslang.checks.products import SAME, held_rows
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import READ, Node
from sslang.ir.program import Program, StatePlan
from sslang.types import TensorType
from sslang.types.values import depends_on_batch


def memories(program: Program) -> Iterator[Diagnostic]:
    """E436 for a running mean of another state's rows, E439 for a queue of places, and E405 for a
    row that one number is spread over."""
    by_name = program.step.by_name
    held = held_rows(program)
    plans = {s.name: s for s in program.states}
    for name, write in program.step.writes.items():
        value = _unit(by_name, by_name[write.value])
        found = _of_another(plans[name], _weighted(by_name, value), held)
        found = found or _of_places(plans[name], by_name, value)
        found = found or _of_a_number(plans[name], by_name, value)
        if found is not None:
            yield found


def _unit(by_name: Mapping[str, Node], node: Node) -> Node:
    """What is written, before it was cut and normalised."""
    while node.op in SAME or (node.op == "divide" and is_normalised(node, by_name)):
        node = by_name[node.references[0]]
    return node


def _weighted(by_name: Mapping[str, Node], node: Node) -> tuple[str, ...]:
    """The two parts of m * old + (1 - m) * new; none where it is no such mean."""
    if node.op != "add" or len(node.references) != 2:
        return ()
    parts: list[str] = []
    weights: list[float] = []
    for name in node.references:
        scaled = by_name[name]
        numbers = [i for i in scaled.inputs if isinstance(i, int | float)]
        if scaled.op != "multiply" or len(numbers) != 1:
            return ()
        weights.append(float(numbers[0]))
        parts.extend(scaled.references)
    return tuple(parts) if abs(sum(weights) - 1) < 1e-6 else ()


def _of_another(
    state: StatePlan, parts: tuple[str, ...], held: Mapping[str, frozenset[str]]
) -> Diagnostic | None:
    """A running mean that keeps another state's rows and not its own."""
    kept = frozenset[str]().union(*(held.get(part, frozenset()) for part in parts))
    if not kept or state.name in kept:
        return None
    other = min(kept)
    message = f"`{state.name}` is written with a running mean of `{other}`, and not of itself"
    hint = f"read `{state.name}` on the right side, or exchange the targets of the two writes"
    return Diagnostic("E436", message, state.span, hint=hint)


def _of_places(state: StatePlan, by_name: Mapping[str, Node], value: Node) -> Diagnostic | None:
    """A queue whose rows are means over the batch, one for each place or token."""
    if state.kind != "queue" or value.op not in ("mean", "sum") or not value.references:
        return None
    source = by_name[value.references[0]].type
    over = value.setting("axis") in (0, (0,))
    if not over or not isinstance(source, TensorType) or source.rank < 3:
        return None
    if not depends_on_batch(source.shape[0]):
        return None
    labels = (Label(value.span, "a mean over the batch"),) if value.span is not None else ()
    message = f"the queue `{state.name}` is written with {source.shape[1]} means over the batch, "
    hint = "take the mean over the places: `mean(r, axis = 1)`"
    return Diagnostic("E439", message + "not with a row for each image", state.span, labels, hint)


def _of_a_number(state: StatePlan, by_name: Mapping[str, Node], value: Node) -> Diagnostic | None:
    """A running mean of rows whose new part is one number, over all entries."""
    parts = [by_name[p] for p in _weighted(by_name, value)]
    own = any(p.op == READ and p.setting("state") == state.name for p in parts)
    number = next((p for p in parts if p.op == "mean" and _is_number(p)), None)
    if not own or number is None or not state.shape or state.shape == (1,):
        return None
    shape = "x".join(map(str, state.shape))
    labels = (Label(number.span, "one number"),) if number.span is not None else ()
    message = f"`{state.name}` has the shape [{shape}], and one number is spread over all of it"
    hint = "take the mean over the batch alone: `mean(z, axis = 0)`"
    return Diagnostic("E405", message, state.span, labels, hint)


def _is_number(node: Node) -> bool:
    return isinstance(node.type, TensorType) and node.type.rank == 0
