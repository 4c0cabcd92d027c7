"""A spec built: its graphs, and what must exist around them - nets, averages, states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import Graph
from sslang.model.spec import Spec
from sslang.ops.schedules import Schedule


@dataclass(frozen=True)
class NetPlan:
    """How a net is built: (dotted path of a builder, its arguments) a stage."""

    name: str
    kind: str  # encoder, head or average
    stages: tuple[tuple[str, Mapping[str, Any]], ...]
    parts: tuple[Mapping[str, tuple[str, ...]], ...]  # a stage: its named parts and prefixes
    span: Span


@dataclass(frozen=True)
class AveragePlan:
    """The copies that a branch keeps, each with the net it follows."""

    branch: str
    pairs: tuple[tuple[str, str], ...]
    momentum: float | Schedule
    fresh: bool
    buffers: bool


@dataclass(frozen=True)
class StatePlan:
    """A queue of `rows` rows, and the initialiser of a row with its settings."""

    name: str
    rows: int
    row: tuple[int, ...]
    initialiser: str
    settings: Mapping[str, Any]
    span: Span


@dataclass(frozen=True)
class Program:
    """A method under one recipe."""

    spec: Spec
    step: Graph  # outputs: loss, and embedding where the step computes what features does
    features: Graph | None  # evaluation: one output, features
    nets: tuple[NetPlan, ...]
    averages: tuple[AveragePlan, ...]
    states: tuple[StatePlan, ...]
    diagnostics: tuple[Diagnostic, ...]
    spans: Mapping[str, Span]  # where each field of the recipe and each declaration stands
    used: frozenset[str]  # declarations of the file that this recipe reaches

    def net(self, name: str) -> NetPlan:
        return next(net for net in self.nets if net.name == name)

    @property
    def schedules(self) -> dict[str, Schedule]:
        """Schedules that enter the step as numbers, by node."""
        return {n.name: n.setting("schedule") for n in self.step.nodes if n.op == "schedule"}
