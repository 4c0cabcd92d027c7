"""A spec built: its graphs, and what must exist around them - nets, averages, states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from typing import Any

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import INPUT, Graph
from sslang.model.spec import Spec
from sslang.ops.schedules import Schedule
from sslang.records import record
from sslang.types import Dim, Duration, Size, TensorType


@record(frozen=True)
class NetPlan:
    """How a net is built: (dotted path of a builder, its arguments) a stage."""

    name: str
    kind: str  # encoder, head or average
    stages: tuple[tuple[str, Mapping[str, Any]], ...]
    parts: tuple[Mapping[str, tuple[str, ...]], ...]  # a stage: its named parts and prefixes
    span: Span
    origin: tuple[str, str] | None = None  # a run or file to load it from, and the net's name there


@record(frozen=True)
class AveragePlan:
    """The copies that a branch keeps, each with the net it follows."""

    branch: str
    pairs: tuple[tuple[str, str], ...]
    momentum: float | Schedule
    fresh: bool
    buffers: bool


@record(frozen=True)
class StatePlan:
    """A queue, bank, state or weight: its shape, and how it begins.

    A queue has its rows first, oldest first. `latched`: it begins as the value of the first step.
    `starts_empty`: a queue that reads as no rows until it is full. Writes happen from the time
    `start` on, at every `every`. A weight is trained, and kept to its `constraint`.
    """

    name: str
    kind: str  # queue, bank, state or weight
    shape: tuple[Size, ...]
    initialiser: str
    settings: Mapping[str, Any]
    span: Span
    latched: bool = False
    start: Duration | None = None
    every: Duration | None = None
    constraint: str = ""

    @property
    def starts_empty(self) -> bool:
        return self.initialiser == "empty"


def _flat(values: Iterable[object]) -> Iterator[Dim]:
    """The sizes among the values of settings, and in their tuples and slices."""
    for value in values:
        if isinstance(value, Dim):
            yield value
        elif isinstance(value, tuple):
            yield from _flat(value)
        elif isinstance(value, slice):
            yield from _flat((value.start, value.stop))


@record(frozen=True)
class Program:
    """One phase of a method under one recipe. The first holds the phases after it."""

    spec: Spec
    phase: str
    step: Graph  # outputs: loss, and embedding where the step computes what features does
    features: Graph | None  # evaluation: one output, features
    nets: tuple[NetPlan, ...]
    averages: tuple[AveragePlan, ...]
    states: tuple[StatePlan, ...]
    weights: tuple[StatePlan, ...]
    fixed: frozenset[str]  # nets that this phase only applies, in evaluation mode
    diagnostics: tuple[Diagnostic, ...]
    spans: Mapping[str, Span]  # where each field of the recipe and each declaration stands
    used: frozenset[str]  # declarations of the file that this recipe reaches
    drops: Mapping[Span, bool] = field(default_factory=dict)  # settings of drop_path: do they drop?
    views: Mapping[str, str] = field(default_factory=dict)  # declared, by name: nodes of the step
    later: tuple[Program, ...] = ()  # of the first phase: those that follow

    @property
    def phases(self) -> tuple[Program, ...]:
        """This phase and those after it."""
        return (self, *self.later)

    @property
    def dims(self) -> frozenset[str]:
        """The sizes that the data decide and that the step uses: `dataset`, `classes`."""
        found: set[object] = set()
        for node in self.step.nodes:
            shape = node.type.shape if isinstance(node.type, TensorType) else ()
            found.update(shape, _flat(v for _, v in node.settings))
        for plan in (*self.states, *self.weights):
            found.update(plan.shape)
        for net in self.nets:
            found.update(_flat(v for _, given in net.stages for v in given.values()))
        names = {name for d in found if isinstance(d, Dim) for name, _ in d.terms}
        return frozenset(names & {"dataset", "classes"})

    @property
    def reads(self) -> frozenset[str]:
        """What the step reads of a row besides its image: `index`, `label`."""
        return frozenset(n.setting("name") for n in self.step.nodes if n.op == INPUT)

    def net(self, name: str) -> NetPlan:
        return self._nets[name]

    @cached_property
    def _nets(self) -> dict[str, NetPlan]:
        return {net.name: net for net in self.nets}

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Schedules that enter the step as numbers, by node."""
        return {n.name: n.setting("schedule") for n in self.step.nodes if n.op == "schedule"}
