"""What a program computes, whatever the names and the order of its declarations.

Two programs with one canonical form are the same computation: the same graph of the step and of
the features, on nets, states and draws that are used alike. The form has no names; nets, states and
draws are numbered as they are come upon from the loss on. Source: the idea of Merkle trees; a first
pass gives every node a digest of all that it is made of, by which operands that may be exchanged
are put in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from sslang.ir.graph import Graph, Node, OpNumber
from sslang.ir.program import AveragePlan, NetPlan, Program, StatePlan
from sslang.records import record

_COMMUTE = frozenset(("add", "multiply", "maximum", "minimum"))
# Settings that name something of the program; `choice` names its sites.
_NAMING = frozenset(("site", "net", "state"))


@record(frozen=True)
class Canonical:
    """A phase without names: `text`, and of its graphs the digest of each node."""

    text: str
    graphs: Mapping[str, tuple[Graph, Mapping[str, str]]]  # step and features; digests by node


def canonical(program: Program) -> Canonical:
    """Return the canonical form of a phase."""
    return _Form(program).whole()


class _Form:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.numbers: dict[tuple[str, str], str] = {}
        self.lines: list[str] = []
        self.graphs: dict[str, tuple[Graph, Mapping[str, str]]] = {}

    def whole(self) -> Canonical:
        graphs = [("step", self.program.step)]
        if self.program.features is not None:
            graphs.append(("features", self.program.features))
        for what, graph in graphs:
            self._of_graph(what, graph)
        self._plans()
        return Canonical("\n".join(self.lines) + "\n", self.graphs)

    # --- first pass: what each node is made of ----------------------------------------------

    @cached_property
    def _nets(self) -> dict[str, str]:
        """By the name of a net, what it is."""
        found = {plan.name: _net(plan) for plan in self.program.nets}
        for average in self.program.averages:
            for copy, source in average.pairs:
                found[copy] = f"{_average(average)} of {found[source]}"
        return found

    @cached_property
    def _states(self) -> dict[str, str]:
        plans = (*self.program.states, *self.program.weights)
        return {plan.name: _state(plan) for plan in plans}

    def _digested(self, graph: Graph) -> dict[str, str]:
        found: dict[str, str] = {}
        for node in graph.nodes:
            operands = [found[i] if isinstance(i, str) else repr(i) for i in node.inputs]
            if node.op in _COMMUTE:
                operands.sort()
            text = f"{node.op}({operands}) {sorted(self._described(node))} {node.type}"
            found[node.name] = hashlib.sha256(text.encode()).hexdigest()
        return found

    def _described(self, node: Node) -> Iterator[tuple[str, str]]:
        """The settings of a node, with what their names stand for."""
        for name, value in node.settings:
            if name == "site":
                continue
            if name in ("net", "state"):
                known = {**self._states, **self._nets}
                yield name, known.get(value, "")
            else:
                yield name, self._value(name, value, lambda kind, site: "")

    # --- second pass: who stands where ------------------------------------------------------

    def _of_graph(self, what: str, graph: Graph) -> None:
        digests = self._digested(graph)
        self.graphs[what] = graph, digests
        placed: dict[str, str] = {}
        outputs = sorted((key, name) for key, name in graph.outputs.items() if key != "embedding")
        roots = [name for _, name in outputs]
        writes = sorted(graph.writes.items(), key=lambda item: (
            self._states.get(item[0], ""), digests[item[1].value]))  # fmt: skip
        roots += [name for _, write in writes for name in write.references]
        for name in roots:
            self._place(graph, name, digests, placed)
        self.lines += [f"{what} {key} = {placed[name]}" for key, name in outputs]
        for state, write in writes:
            index = "" if write.index is None else f"[{placed[write.index]}]"
            number = self._number("state", state)
            self.lines.append(f"{what} {number}{index} <- {placed[write.value]}")

    def _place(
        self, graph: Graph, root: str, digests: Mapping[str, str], placed: dict[str, str]
    ) -> None:
        """Write the nodes that `root` needs, each after its operands."""
        waiting = [root]
        while waiting:
            name = waiting[-1]
            node = graph.by_name[name]
            operands = list(node.inputs)
            if node.op in _COMMUTE:
                operands.sort(key=lambda i: digests[i] if isinstance(i, str) else repr(i))
            due = [i for i in operands if isinstance(i, str) and i not in placed]
            if due:
                waiting.extend(reversed(due))
                continue
            waiting.pop()
            if name in placed:
                continue
            shown = [placed[i] if isinstance(i, str) else repr(i) for i in operands]
            settings = sorted(
                (key, self._number(key, value) if key in _NAMING
                 else self._value(key, value, self._number))
                for key, value in node.settings
            )  # fmt: skip
            placed[name] = f"%{len(self.lines)}"
            self.lines.append(f"{placed[name]} = {node.op}({shown}) {settings} {node.type}")

    def _number(self, kind: str, name: str) -> str:
        """A net, state or site by the order in which it is come upon."""
        if (kind, name) not in self.numbers:
            count = sum(k == kind for k, _ in self.numbers)
            self.numbers[kind, name] = f"{kind}#{count}"
        return self.numbers[kind, name]

    def _value(self, name: str, value: Any, number: Any) -> str:
        if isinstance(value, OpNumber):
            return f"{value.op.op}.{value.name}"
        if name == "choice":
            return repr([(number("site", site), *rest) for site, *rest in value])
        return str(value)

    def _plans(self) -> None:
        """What the nets and states are that were come upon, and how averages follow."""
        used = dict(self.numbers)
        for average in self.program.averages:
            for copy, source in average.pairs:
                if ("net", copy) in used:
                    self._number("net", source)
        for (kind, name), number in list(self.numbers.items()):
            if kind == "net":
                self.lines.append(f"{number} is {self._nets.get(name, name)}")
            elif kind == "state":
                self.lines.append(f"{number} is {self._states.get(name, '')}")
        for average in self.program.averages:
            for copy, source in average.pairs:
                if ("net", copy) in used:
                    pair = self._number("net", copy), self._number("net", source)
                    self.lines.append(f"{pair[0]} follows {pair[1]}")
        fixed = sorted(self._number("net", name) for name in self.program.fixed
                       if ("net", name) in self.numbers)  # fmt: skip
        self.lines.append(f"fixed {fixed}")


def _net(plan: NetPlan) -> str:
    stages = [(path, sorted(given.items())) for path, given in plan.stages]
    return f"{plan.kind} {stages} {plan.origin}"


def _average(plan: AveragePlan) -> str:
    return f"average({plan.momentum}, fresh={plan.fresh}, buffers={plan.buffers})"


def _state(plan: StatePlan) -> str:
    settings = sorted((name, str(value)) for name, value in plan.settings.items())
    parts = (
        plan.kind,
        plan.shape,
        plan.initialiser,
        settings,
        plan.latched,
        plan.start,
        plan.every,
    )
    return f"{[str(part) for part in parts]}"


def origins(of: Canonical, other: Canonical) -> list[Node]:
    """Return where a form begins to differ from another: nodes that the other does not have,
    though it has all of their operands."""
    found = []
    for what, (graph, digests) in of.graphs.items():
        known = set(other.graphs[what][1].values()) if what in other.graphs else set()
        found += [
            node for node in graph.pruned().nodes
            if digests[node.name] not in known
            and all(digests[name] in known for name in node.references)
        ]  # fmt: skip
    return found


def same(one: Iterable[Canonical], other: Iterable[Canonical]) -> bool:
    """Whether two programs, phase by phase, compute the same."""
    return [form.text for form in one] == [form.text for form in other]
