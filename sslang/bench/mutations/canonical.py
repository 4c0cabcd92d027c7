"""A program in a canonical form: equal for equal programs, whatever their values are called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from sslang.ir.graph import Graph
from sslang.ir.program import NetPlan, Program, StatePlan

_COMMUTES = frozenset(("add", "multiply", "maximum", "equal", "not_equal", "and", "or"))


def digest(program: Program) -> str:
    """What a phase computes, and all that it is a function of, as one short text."""
    parts = [
        program.phase,
        _graph(program.step),
        "" if program.features is None else _graph(program.features),
        *sorted(_net(net) for net in program.nets),
        *sorted(repr(average) for average in program.averages),
        *sorted(_state(plan) for plan in (*program.states, *program.weights)),
        *sorted(program.fixed),
        repr(program.spec.recipe),
    ]
    return _hash("\n".join(parts))


def clocks(program: Program) -> set[str]:
    """All that a few steps need not show: schedules, momenta, when states begin and how often."""
    found = {repr(schedule) for schedule in program.schedules.values()}
    found |= {repr((a.branch, a.momentum)) for a in program.averages}
    return found | {repr((s.name, s.start, s.every)) for s in program.states}


def _graph(graph: Graph) -> str:
    """Nodes by what they compute; the order of what commutes does not count, nor do names."""
    made: dict[str, str] = {}
    for node in graph.nodes:
        inputs = [made[i] if isinstance(i, str) else repr(i) for i in node.inputs]
        if node.op in _COMMUTES:
            inputs.sort()
        made[node.name] = _hash(f"{node.op}({inputs}, {node.settings!r}): {node.type!r}")
    return "\n".join(_roots(graph, made))


def _roots(graph: Graph, made: dict[str, str]) -> Iterator[str]:
    for key in sorted(graph.outputs):
        yield f"{key} = {made[graph.outputs[key]]}"
    for state in sorted(graph.writes):
        write = graph.writes[state]
        place = "" if write.index is None else made[write.index]
        yield f"{state}[{place}] <- {made[write.value]}"


def _net(net: NetPlan) -> str:
    return repr((net.name, net.kind, net.stages, net.parts, net.origin))


def _state(plan: StatePlan) -> str:
    return repr((
        plan.name, plan.kind, plan.shape, plan.initialiser, dict(plan.settings), plan.latched,
        plan.start, plan.every, plan.constraint,
    ))  # fmt: skip


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
