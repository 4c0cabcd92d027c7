"""How long rows are: of length 1, sums of such, as a net gives them, or unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

from sslang.checks.products import along_last, rows_read
from sslang.ir.graph import APPLY, FIELD, READ, WEIGHT, Node
from sslang.ir.program import Program, StatePlan
from sslang.types import Interval


class Length(Enum):
    UNIT = "of length 1"
    SUM = "of another length"  # multiples, sums and means of rows of length 1
    FREE = "of any length"  # as a net gives them
    UNKNOWN = "unknown"


_NORMED = frozenset(("layer_norm", "vit"))  # a vit ends in one
_UNEVEN = frozenset((Length.SUM, Length.FREE))


def row_lengths(program: Program) -> dict[str, Length]:
    """Of each node with rows, how long they are along the last axis."""
    graph = program.step
    begun = {s.name: _unit(initial_length(s)) for s in program.states}
    lengths = {name: Length.UNIT if unit else Length.UNKNOWN for name, unit in begun.items()}
    first = _lengths(program, lengths)
    written = {name: first[write.value] for name, write in graph.writes.items()}
    held = {
        name: length if begun.get(name) or length in _UNEVEN else Length.UNKNOWN
        for name, length in written.items()
    }
    known = {name: held.get(name, Length.UNKNOWN) for name in lengths}
    return first if known == lengths else _lengths(program, held)


def initial_length(state: StatePlan) -> float | None:
    """The length (root mean square where it is drawn) of the rows that a state begins with."""
    if len(state.shape) < 2 or not isinstance(state.shape[-1], int):
        return None
    width = state.shape[-1]
    match state.initialiser:
        case "sphere":
            return 1.0
        case "zeros":
            return 0.0
        case "normal":
            return float(state.settings.get("std", 1.0)) * math.sqrt(width)
        case "uniform":
            drawn = state.settings.get("range", Interval(0.0, 1.0))
            square = (drawn.low**2 + drawn.low * drawn.high + drawn.high**2) / 3
            return math.sqrt(width * square)
        case "uniform_fan_in":
            return math.sqrt(1 / 3)
    return None


def _unit(length: float | None) -> bool:
    return length is not None and abs(length - 1) < 0.1


def _lengths(program: Program, states: Mapping[str, Length]) -> dict[str, Length]:
    by_name = program.step.by_name
    unit = {w.name for w in program.weights if w.constraint == "unit_rows"}
    found: dict[str, Length] = {}
    for node in program.step.nodes:
        if node.op == READ:
            found[node.name] = states.get(node.setting("state"), Length.UNKNOWN)
        elif node.op == WEIGHT:
            known = node.setting("net") in unit
            found[node.name] = Length.UNIT if known else Length.UNKNOWN
        elif node.op in (APPLY, FIELD):
            found[node.name] = Length.FREE
        elif node.op == "divide" and is_normalised(node, by_name):
            found[node.name] = Length.UNIT
        elif _is_linear(node, by_name):
            found[node.name] = _combined([found[i] for i in node.references])
        elif node.op == "negative":
            found[node.name] = found[node.references[0]]
        else:
            lengths = {found[name] for name in rows_read(node, by_name)}
            found[node.name] = lengths.pop() if len(lengths) == 1 else Length.UNKNOWN
    return found


def ends_in_norm(program: Program, node: Node) -> bool:
    """Whether the rows that a net gives have nearly one length, as a layer norm leaves them."""
    if node.op == FIELD:
        return ends_in_norm(program, program.step.node(node.references[0]))
    if node.op != APPLY:
        return False
    stages = program.net(node.setting("net")).stages
    applied = stages[node.setting("start") or 0 : node.setting("stop")]
    return bool(applied) and applied[-1][0].rpartition(".")[2] in _NORMED


def _is_linear(node: Node, by_name: Mapping[str, Node]) -> bool:
    """A sum of rows, a multiple by a number, or a mean that leaves rows whole."""
    if node.op in ("multiply", "divide"):
        return len(node.references) == 1
    if node.op in ("mean", "sum"):
        axis = node.setting("axis")
        return isinstance(axis, int) and not along_last(node, by_name)
    return node.op in ("add", "subtract")


def _combined(lengths: list[Length]) -> Length:
    """With a part of any length the whole has any length."""
    if Length.FREE in lengths:
        return Length.FREE
    return Length.UNKNOWN if not lengths or Length.UNKNOWN in lengths else Length.SUM


def is_normalised(node: Node, by_name: Mapping[str, Node]) -> bool:
    """x / sqrt(sum(x * x, axis = -1, keep = true)), with or without a lower bound."""
    if len(node.references) != 2:
        return False
    x, root = node.inputs[0], by_name[node.references[1]]
    if root.op != "sqrt" or not root.references:
        return False
    inner = by_name[root.references[0]]
    if inner.op in ("maximum", "add") and len(inner.references) == 1:
        inner = by_name[inner.references[0]]
    return bool(inner.setting("keep")) and measured(inner, by_name) == x


def measured(node: Node, by_name: Mapping[str, Node]) -> str | None:
    """The x of sum(x * x, axis = -1), the square of the length of its rows."""
    if node.op != "sum" or not node.references or not along_last(node, by_name):
        return None
    square = by_name[node.references[0]]
    twice = square.op == "multiply" and square.inputs[0] == square.inputs[1]
    if twice or (square.op == "power" and square.inputs[1] == 2):
        return square.references[0] if square.references else None
    return None
